"""The family of models: what each takes, what is sent for it, and what a sweep of several is."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, PRESETS, SHELF, Model, Shelf, Size, find_model, remembered_model
from qwen_widgets.core.request import ImageRequest, InputPicture, MadeFrom
from qwen_widgets.core.sweep import Sweep, plan_sweep
from qwen_widgets.grid.recipe import write_cell

#: Each model's inputs and price, from the table of the API reference.
TABLE = {
    "wavespeed-ai/qwen-image-2.0/text-to-image": ({"prompt", "size", "seed"}, "0.03"),
    "wavespeed-ai/qwen-image-2.0-pro/text-to-image": ({"prompt", "size", "seed"}, "0.07"),
    "wavespeed-ai/qwen-image-2.0/edit": ({"prompt", "images", "seed"}, "0.03"),
    "wavespeed-ai/qwen-image-2.0-pro/edit": ({"prompt", "images", "seed"}, "0.07"),
    "wavespeed-ai/qwen-image/edit-plus": ({"prompt", "images", "seed", "output_format"}, "0.02"),
    "bytedance/seedream-v5.0-lite": ({"prompt", "size", "output_format"}, "0.035"),
    "bytedance/seedream-v5.0-lite/edit": ({"prompt", "size", "output_format", "images"}, "0.035"),
}
NAMES = [
    "qwen-image-2.0",
    "qwen-image-2.0-pro",
    "qwen-image-2.0-edit",
    "qwen-image-2.0-pro-edit",
    "qwen-image-edit-plus",
    "seedream-5-lite",
    "seedream-5-lite-edit",
]
#: What names the picture of "a red fox", in the model's own size and format, in the ledgers that there are.
KEYS = {
    "qwen-image-2.0": "4ae221ab2b0832ffc9379999526f92731eb48a2b4d3e88fe541cc9d114276652",
    "qwen-image-2.0-pro": "5a2623529bb7a0178a6d95c7c796cfb87ea209524fdf50c28164ca5577137c3c",
    "qwen-image-2.0-edit": "5e29578ae053a35312cabc56e0ca3a0e556fd80a05d9807a06731779535e68d0",
    "qwen-image-2.0-pro-edit": "7c14976244cb74770696d01a73f2ed6882d58e2369f02e5e78ee75223d2f8c1c",
    "qwen-image-edit-plus": "3fa39612e51384ce74fb7c55b042c2aceb3c282df5f8af6141fd6a6afdc33214",
    "seedream-5-lite": "394763e408ff3266c601c019b12b20e452b1b0e129a25c8031777924f9d9630a",
    "seedream-5-lite-edit": "3c9241341f57e96b73f6718af60bbe9b0295837cf6558a1057b8e20368bbcada",
}
PHOTO = InputPicture("ab" * 32, 800, 600, ".jpg", "photo.jpg")
ADDRESS = "https://media.example/photo.jpg"


def sweep_of(model: Model, **options: object) -> Sweep:
    images = [PHOTO] if model.takes_images else []
    return plan_sweep("a fox", seeds="1-2", models=model, images=images, **options)  # type: ignore[arg-type]


def test_the_family_is_the_one_of_the_reference() -> None:
    assert [model.name for model in MODELS] == NAMES
    assert {model.id: (set(model.inputs), str(model.price)) for model in MODELS} == TABLE
    assert all(find_model(model.id) is find_model(model.name.upper()) is model for model in MODELS)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_body_holds_exactly_the_inputs_of_the_schema(model: Model) -> None:
    request = sweep_of(model).unique[0]
    body = request.body([ADDRESS])
    assert set(body) == TABLE[model.id][0]
    assert body["prompt"] == "a fox"
    assert body.get("images", [ADDRESS]) == [ADDRESS]
    assert body.get("seed", 1) == 1
    assert body.get("output_format", "jpeg") == "jpeg"


def test_the_keys_of_what_was_bought_before_stay_as_they_were() -> None:
    old = ImageRequest("a red fox in fresh snow", 7, Size(1280, 720), MODELS[0])
    assert old.key == "9f3f9745700d4701c2c78b08721a04de1f2a296cc383e57ee5891db30929a8ee"
    for name, key in KEYS.items():
        model = find_model(name)
        seed, images = 7 if model.takes_seed else None, (PHOTO,) if model.takes_images else ()
        size = model.default_size if model.takes_size else PHOTO.size
        assert ImageRequest("a red fox", seed, size, model, images).key == key, name


def test_everything_that_decides_the_picture_is_in_its_key() -> None:
    edit, plus = find_model("qwen-image-2.0-edit"), find_model("qwen-image-edit-plus")
    other = replace(PHOTO, sha256="cd" * 32)
    requests = [
        ImageRequest("a fox", 1, PHOTO.size, edit, (PHOTO,)),
        ImageRequest("a fox", 1, PHOTO.size, edit, (other,)),
        ImageRequest("a fox", 1, PHOTO.size, edit, (PHOTO, other)),
        ImageRequest("a fox", 1, PHOTO.size, edit, (other, PHOTO)),
        ImageRequest("a fox", 2, PHOTO.size, edit, (PHOTO,)),
        ImageRequest("a fox", 1, PHOTO.size, plus, (PHOTO,), "png"),
        ImageRequest("a fox", 1, PHOTO.size, plus, (PHOTO,), "webp"),
    ]
    assert len({request.key for request in requests}) == len(requests)
    elsewhere = replace(
        PHOTO, source="copy.jpg", made_from=MadeFrom("k", "r", 0, 1, "a cat", 3, MODELS[0].id)
    )
    assert ImageRequest("a fox", 1, PHOTO.size, edit, (elsewhere,)).key == requests[0].key


def test_a_catalogue_that_changes_a_model_changes_no_key() -> None:
    request = sweep_of(find_model("qwen-image-2.0-edit")).unique[0]
    narrowed = replace(request.model, inputs=("prompt",), max_side=512)
    assert ImageRequest("a fox", 1, request.size, narrowed, (PHOTO,), check=False).key == request.key


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": "seedream-5-lite", "seed": 3, "size": Size(2048, 2048)}, "takes no seed"),
        ({"model": "qwen-image-2.0", "seed": None}, "a whole number is needed"),
        ({"model": "seedream-5-lite", "seed": None}, "3,686,400 to 16,777,216"),
        ({"model": "qwen-image-2.0", "output_format": "png"}, "no choice of format"),
        (
            {"model": "seedream-5-lite", "seed": None, "size": Size(2048, 2048), "output_format": "webp"},
            "makes jpeg or png",
        ),
        ({"model": "qwen-image-2.0", "images": (PHOTO,)}, "qwen-image-2.0-edit takes pictures"),
        (
            {"model": "seedream-5-lite", "seed": None, "images": (PHOTO,)},
            "seedream-5-lite-edit takes pictures",
        ),
        ({"model": "qwen-image-2.0-edit"}, "give one with -i .*, or use qwen-image-2.0, which"),
        ({"model": "qwen-image-edit-plus", "images": (PHOTO,) * 4}, "4 were given, .* takes at most 3"),
        (
            {"model": "qwen-image-2.0-edit", "images": (replace(PHOTO, width=300),)},
            "'photo.jpg': it is 300×600",
        ),
    ],
)
def test_what_a_model_does_not_take_is_one_sentence(values: dict[str, object], words: str) -> None:
    given = {"prompt": "a fox", "seed": 1, "size": Size(1024, 1024)} | values
    model = find_model(str(given.pop("model")))
    with pytest.raises(InputError, match=words) as caught:
        ImageRequest(model=model, **given)  # type: ignore[arg-type]
    assert "\n" not in caught.value.message


# --- sizes ------------------------------------------------------------------------------------------------


def test_a_ratio_is_each_models_own_size_of_it() -> None:
    sweep = plan_sweep("a fox", seeds="1-2", sizes="16:9, 1:1", models="qwen-image-2.0,seedream-5-lite")
    assert [(row.model.name, str(row.size)) for row in sweep.rows] == [
        ("qwen-image-2.0", "1280×720"),
        ("qwen-image-2.0", "1024×1024"),
        ("seedream-5-lite", "2560×1440"),
        ("seedream-5-lite", "2048×2048"),
    ]
    flagged = plan_sweep("a fox --ar 3:4", seeds=1, models="qwen-image-2.0,seedream-5-lite")
    assert [str(row.size) for row in flagged.rows] == ["864×1152", "1728×2304"]


@pytest.mark.parametrize("ratio", PRESETS)
def test_every_preset_fits_every_model_and_reads_back(ratio: str) -> None:
    for model in MODELS:
        size = model.preset(ratio)
        assert size is not None
        assert model.fits(size)
        assert model.ratio(size) == ratio


def test_pixels_that_one_of_the_models_does_not_take_name_its_nearest() -> None:
    with pytest.raises(InputError, match=r"limits of seedream-5-lite.*nearest that would do is 2560×1440"):
        plan_sweep("a fox", sizes="1280x720", models="qwen-image-2.0,seedream-5-lite")
    with pytest.raises(InputError, match=r"limits of seedream-5-lite.*nearest that would do is 4096×4096"):
        plan_sweep("a fox", sizes="8000x8000", models="seedream-5-lite")


def test_the_default_size_is_the_models() -> None:
    assert plan_sweep("a fox", models="seedream-5-lite").sizes == (Size(2048, 2048),)
    assert plan_sweep("a fox").sizes == (Size(1024, 1024),)


def test_an_edit_is_as_large_as_its_first_picture_and_a_size_for_it_is_noted() -> None:
    sweep = plan_sweep("a fox", seeds=1, sizes="16:9", images=[PHOTO])
    assert sweep.models == (find_model("qwen-image-2.0-edit"),)
    assert sweep.sizes == (PHOTO.size,)
    assert sum("takes no size" in note for note in sweep.notes) == 1
    assert plan_sweep("a fox", seeds=1, images=[PHOTO]).notes == ()


def test_a_model_that_edits_in_a_size_of_its_own_keeps_the_pictures_shape() -> None:
    sweep = plan_sweep("a fox", models="seedream-5-lite-edit", images=[PHOTO])
    (size,) = sweep.sizes
    assert size.width * 3 == size.height * 4
    assert any(str(size) in note for note in sweep.notes)
    chosen = plan_sweep("a fox", sizes="1:1", models="seedream-5-lite-edit", images=[PHOTO])
    assert chosen.sizes == (Size(2048, 2048),)


# --- a model without a seed -------------------------------------------------------------------------------


def test_a_model_without_a_seed_has_one_column_and_says_why() -> None:
    sweep = plan_sweep("a fox\n\na cat", seeds="1-4", models="seedream-5-lite")
    assert sweep.seeds == (None,)
    assert len(sweep.unique) == 2
    assert sweep.notes == ("seedream-5-lite takes no seed: one picture a prompt; --fresh makes another.",)


def test_beside_models_with_seeds_it_has_the_last_column_to_itself() -> None:
    sweep = plan_sweep("a fox", seeds="1,2", models="seedream-5-lite,qwen-image-2.0")
    assert sweep.seeds == (1, 2, None)
    assert sorted(sweep.requests) == [(0, 2), (1, 0), (1, 1)]
    larger = sweep.extended(seeds=[3])
    assert larger.seeds == (1, 2, None, 3)
    assert sorted(larger.requests) == [(0, 2), (1, 0), (1, 1), (1, 3)]
    further = plan_sweep("a fox", seeds="1").extended(plan_sweep("a cat", models="seedream-5-lite").rows)
    assert further.seeds == (1, None)
    assert sorted(further.requests) == [(0, 0), (1, 1)]


def test_seeds_that_cannot_be_read_are_an_error_for_it_too() -> None:
    with pytest.raises(InputError, match="is not a number"):
        plan_sweep("a fox", seeds="one", models="seedream-5-lite")


# --- formats ----------------------------------------------------------------------------------------------


def test_a_format_is_for_the_models_that_have_the_choice() -> None:
    plus = plan_sweep("a fox", images=[PHOTO], models="qwen-image-edit-plus", output_format="PNG")
    assert plus.unique[0].body()["output_format"] == "png"
    assert plan_sweep("a fox", models="seedream-5-lite", output_format="jpg").rows[0].output_format == "jpeg"
    mixed = plan_sweep("a fox", seeds=1, models="qwen-image-2.0,seedream-5-lite", output_format="png")
    assert [row.output_format for row in mixed.rows] == ["", "png"]
    assert any("qwen-image-2.0 has no choice of format" in note for note in mixed.notes)
    with pytest.raises(InputError, match="no choice of format"):
        plan_sweep("a fox", output_format="png")
    with pytest.raises(InputError, match="seedream-5-lite makes jpeg or png"):
        plan_sweep("a fox", models="seedream-5-lite", output_format="gif")


# --- kept and written back --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_sweep_comes_back_from_the_ledger_with_all_it_holds(model: Model) -> None:
    made = replace(PHOTO, made_from=MadeFrom("k" * 64, "run", 0, 1, "a cat", None, MODELS[0].id))
    images = [made] if model.takes_images else []
    sweep = plan_sweep("a fox\n\na cat", seeds="1-2", models=model, images=images)
    again = Sweep.from_json(sweep.to_json())
    assert again == sweep
    assert [request.key for request in again.unique] == [request.key for request in sweep.unique]
    assert [row.images[0].made_from for row in again.rows if row.images] == [made.made_from] * 2 * len(images)


def test_a_sweep_of_an_earlier_version_can_still_be_read() -> None:
    text = f'{{"rows": [["a fox", 1024, 1024, "{MODELS[0].id}"]], "seeds": [7], "places": [[0, 0]]}}'
    assert Sweep.from_json(text) == plan_sweep("a fox", seeds=7)


def test_a_model_that_is_no_longer_known_can_be_shown_and_not_asked() -> None:
    gone = remembered_model("somebody/gone")
    assert (gone.title, gone.price) == ("somebody/gone", Decimal(0))
    text = '{"rows": [["a fox", 99, 99, "somebody/gone"]], "seeds": [7], "places": [[0, 0]]}'
    assert Sweep.from_json(text).unique[0].model == gone
    with pytest.raises(InputError, match="no such model"):
        find_model("somebody/gone")


@pytest.mark.parametrize(
    "options",
    [
        {"seeds": "1-2", "sizes": "16:9", "models": "qwen-image-2.0,seedream-5-lite"},
        {"models": "seedream-5-lite", "output_format": "png"},
        {"models": "seedream-5-lite", "sizes": "2400x2000"},
        {"seeds": "1,2", "images": [PHOTO]},
        {"seeds": "1,2", "images": [PHOTO], "models": "qwen-image-edit-plus,seedream-5-lite-edit"},
        {"images": [replace(PHOTO, source="my photo's.jpg")], "seeds": 3},
    ],
)
def test_the_recipe_of_every_model_reads_back(options: dict[str, object]) -> None:
    from qwen_widgets.magic import QwenMagics, _words

    sweep = plan_sweep("a fox\n\na cat", **options)  # type: ignore[arg-type]
    first, _, body = write_cell(sweep).partition("\n")
    args = QwenMagics.qwenimage.parser.parse_args(_words(first.removeprefix("%%qwenimage")))
    again = plan_sweep(
        body,
        seeds=" ".join(args.seeds) if args.seeds else None,
        sizes=" ".join(args.size) if args.size else None,
        models=" ".join(args.model) if args.model else None,
        images=[replace(PHOTO, source=source) for [source] in args.image or []],
        output_format=args.format or "",
    )
    assert again == sweep
    assert [picture.source for picture in again.rows[0].images] == [
        picture.source for picture in sweep.rows[0].images
    ]


# --- the shelf --------------------------------------------------------------------------------------------


def test_what_a_catalogue_teaches_is_found_and_replaced_as_a_whole() -> None:
    shelf = Shelf()
    raised = replace(MODELS[0], max_side=2048)
    foreign = Model("somebody/new", "somebody/new", "New", Decimal("0.01"))
    shelf.learn([raised, foreign])
    assert [model.id for model in shelf.models] == [*(model.id for model in MODELS), "somebody/new"]
    assert shelf.find("qwen-image-2.0") is raised
    assert shelf.find("Somebody/New") is foreign
    shelf.learn([])
    assert shelf.models == MODELS
    assert shelf.find("somebody/new") is None


def test_a_reader_sees_the_old_shelf_or_the_new_one() -> None:
    shelf = Shelf()
    many = [Model(f"a/{i}", f"a/{i}", "", Decimal(0)) for i in range(1000)]
    stop = threading.Event()

    def teach() -> None:
        while not stop.is_set():
            shelf.learn(many)
            shelf.learn([])

    teacher = threading.Thread(target=teach)
    teacher.start()
    try:
        lengths = {len(shelf.models) for _ in range(2000)}
    finally:
        stop.set()
        teacher.join()
    assert lengths <= {len(MODELS), len(MODELS) + 1000}


def test_the_process_has_one_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = Model("somebody/new", "somebody/new", "New", Decimal("0.01"), max_side=4096)
    try:
        SHELF.learn([foreign, replace(MODELS[0], max_side=2048)])
        assert plan_sweep("a fox", models="somebody/new", sizes="4000x4000").models == (foreign,)
        assert plan_sweep("a fox", sizes="2048x2048").sizes == (Size(2048, 2048),)
        assert plan_sweep("a fox", sizes="16:9").sizes == (Size(1280, 720),)
        # What was planned with a cached limit of before would be wrong.
        assert plan_sweep("a fox", sizes="5:1", models="somebody/new").sizes[0].pixels <= 1024 * 1024
    finally:
        SHELF.learn([])
