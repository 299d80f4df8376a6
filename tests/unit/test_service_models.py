"""The embedded service's family of models: what each takes, what each gives, and its input pictures."""

import asyncio
import io
import json

import pytest
from house import (
    EDIT,
    LONGEST,
    MODEL,
    OPTIMIZER,
    PLUS,
    PRO,
    PRO_EDIT,
    SEEDREAM,
    SEEDREAM_EDIT,
    encoded,
    open_house,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qwen_widgets.core.models import MODELS
from qwen_widgets.offline import origin
from qwen_widgets.offline.catalogue import OFFERS, Offer
from qwen_widgets.offline.service import OFFLINE_ORIGIN

EDITS = (EDIT, PRO_EDIT, PLUS, SEEDREAM_EDIT)
SEEDED = (MODEL, PRO, EDIT, PRO_EDIT, PLUS)


async def inputs_for(house, model, **changes):
    """The inputs that a model needs, with changes."""
    if model == OPTIMIZER:
        return {"prompt": None, "text": "a red fox"} | changes
    return ({"images": [await house.upload()]} if model in EDITS else {}) | changes


async def picture_of(house, data):
    answer = await house.client.get(data["outputs"][0])
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as image:
        image.load()
        return image, answer.headers["content-type"]


# Two readings of the API: the service's table and the client's


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_clients_table_says_the_same_as_the_services(model):
    offer = next(offer for offer in OFFERS if offer.id == model.id)
    assert model.price == offer.price
    assert set(model.inputs) == set(offer.inputs)
    pictures = offer.inputs.get("images", {"minItems": 0, "maxItems": 0})
    assert (model.min_images, model.max_images) == (pictures["minItems"], pictures["maxItems"])
    assert list(model.formats) == offer.inputs.get("output_format", {"enum": []})["enum"]
    if model.max_images:
        assert (model.min_image_side, model.max_image_side) == offer.given
    if model.takes_size:
        assert offer.sides[0] <= model.min_side <= model.max_side <= offer.sides[1]
        assert (model.min_pixels or 1, model.max_pixels or offer.pixels[1]) == offer.pixels


# What each model takes


@pytest.mark.parametrize("model", [offer.id for offer in OFFERS])
async def test_every_model_runs_from_submit_to_output(house, model):
    data = await house.start(model=model, **await inputs_for(house, model))
    house.clock.pass_(LONGEST)
    done = await house.result(data["id"])
    assert (done["status"], done["model"]) == ("completed", model)
    assert len(done["outputs"]) == 1
    (item,) = (await house.history(model=model))["items"]
    assert item["input"].keys() <= {
        "prompt",
        "size",
        "seed",
        "images",
        "output_format",
        "text",
        "mode",
        "style",
    }
    price = next(offer.price for offer in OFFERS if offer.id == model)
    assert house.service.balance == 1000 - price


@pytest.mark.parametrize("model", [SEEDREAM, SEEDREAM_EDIT, OPTIMIZER])
async def test_a_model_without_a_seed_ignores_one_and_writes_it_down(house, model):
    data = await house.start(model=model, **await inputs_for(house, model, seed=7))
    assert "seed" not in data["input"]
    assert house.service.predictions[data["id"]].ignored == ("seed",)


async def test_seedream_without_a_seed_makes_another_picture_each_time():
    async with open_house(painter=None) as house:
        pictures = []
        for _ in range(2):
            done = await house.finished("a red fox", model=SEEDREAM)
            pictures.append((await house.client.get(done["outputs"][0])).content)
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ("2560*1440", True),
        ("4096*4096", True),
        ("1440*2560", True),
        ("2048*2048", True),
        ("2559*1440", False),
        ("4097*4096", False),
        ("1024*1024", False),
        ("2K", False),
    ],
)
async def test_seedreams_size_is_limited_in_pixels_in_all(house, size, fits):
    answer = await house.submit(model=SEEDREAM, size=size)
    assert answer.status_code == (200 if fits else 400)
    assert fits or "size" in answer.json()["message"]


async def test_seedreams_default_is_a_jpeg_of_2048(house):
    image, kind = await picture_of(house, await house.finished(model=SEEDREAM))
    assert (image.format, image.size, kind) == ("JPEG", (2048, 2048), "image/jpeg")


@pytest.mark.parametrize(
    ("model", "form", "kind"),
    [
        (SEEDREAM, "jpeg", "image/jpeg"),
        (SEEDREAM, "png", "image/png"),
        (SEEDREAM_EDIT, "png", "image/png"),
        (PLUS, "jpeg", "image/jpeg"),
        (PLUS, "png", "image/png"),
        (PLUS, "webp", "image/webp"),
    ],
)
async def test_the_output_comes_in_the_format_that_was_asked_for(house, model, form, kind):
    done = await house.finished(model=model, **await inputs_for(house, model, output_format=form))
    image, told = await picture_of(house, done)
    assert (image.format, told) == (form.upper(), kind)


async def test_one_picture_comes_in_two_formats(house):
    inputs = await inputs_for(house, PLUS, seed=5)
    seen = []
    for form in ("png", "webp", "png"):
        image, _ = await picture_of(house, await house.finished(model=PLUS, output_format=form, **inputs))
        seen.append(image.format)
    assert seen == ["PNG", "WEBP", "PNG"]


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (SEEDREAM, {"output_format": "webp"}),
        (PLUS, {"output_format": "gif"}),
        (PLUS, {"output_format": 1}),
        (EDIT, {"images": []}),
        (EDIT, {"images": "one"}),
        (EDIT, {"images": [7]}),
        (EDIT, {"images": [""]}),
        (EDIT, {"seed": -2}),
        (EDIT, {"size": "2000*2000"}),
        (EDIT, {"prompt": "x" * 801}),
        (EDIT, {"prompt": " "}),
        (OPTIMIZER, {"text": ""}),
        (OPTIMIZER, {"text": ["a fox"]}),
        (OPTIMIZER, {"mode": "audio"}),
        (OPTIMIZER, {"style": "cubist"}),
        (OPTIMIZER, {"image": 5}),
    ],
    ids=str,
)
async def test_a_bad_input_names_itself_and_costs_nothing(house, model, changes):
    answer = await house.submit(model=model, **(await inputs_for(house, model) | changes))
    assert answer.status_code == 400
    assert next(iter(changes)) in answer.json()["message"]
    assert house.service.submits == 0


@pytest.mark.parametrize("model", EDITS)
async def test_an_edit_needs_pictures(house, model):
    answer = await house.submit(model=model)
    assert (answer.status_code, answer.json()["message"]) == (400, "images: it is required")


async def test_the_optimizer_needs_a_text(house):
    answer = await house.submit(model=OPTIMIZER)
    assert (answer.status_code, answer.json()["message"]) == (400, "text: it is required")


@pytest.mark.parametrize(("model", "most"), [(EDIT, 6), (PRO_EDIT, 6), (PLUS, 3), (SEEDREAM_EDIT, 10)])
async def test_only_so_many_pictures_are_taken(house, model, most):
    address = await house.upload()
    assert (await house.submit(model=model, images=[address] * most)).status_code == 200
    answer = await house.submit(model=model, images=[address] * (most + 1))
    assert answer.status_code == 400
    assert f"1 to {most}" in answer.json()["message"]


@pytest.mark.parametrize("model", [MODEL, PRO, EDIT, PRO_EDIT])
async def test_the_qwen_2_models_know_no_output_format(house, model):
    data = await house.start(model=model, **await inputs_for(house, model, output_format="jpeg"))
    assert house.service.predictions[data["id"]].ignored == ("output_format",)


async def test_an_edit_takes_a_size_though_it_lists_none(house):
    data = await house.start(model=EDIT, **await inputs_for(house, EDIT, size="640*480"))
    assert house.service.predictions[data["id"]].ignored == ()
    house.clock.pass_(LONGEST)
    image, _ = await picture_of(house, await house.result(data["id"]))
    assert (image.format, image.size) == ("PNG", (640, 480))


# Input pictures


async def failure(house, **inputs):
    data = await house.start(model=EDIT, **inputs)
    house.clock.pass_(LONGEST)
    done = await house.result(data["id"])
    assert (done["status"], done["outputs"]) == ("failed", [])
    assert house.service.balance == 1000
    return done["code"], done["error"]


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/fox.png",
        "http://127.0.0.1:9/fox.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        f"{OFFLINE_ORIGIN}/uploads/none",
        f"{OFFLINE_ORIGIN}/pictures/none.png",
        f"{OFFLINE_ORIGIN}/",
        "http://[",
        "fox.png",
    ],
)
async def test_an_address_that_is_not_its_own_ends_as_media_not_reachable(house, address):
    code, error = await failure(house, images=[address])
    assert code == 1402
    assert "image 1" in error


async def test_another_host_is_not_taken_for_its_own_whatever_the_path(house):
    foreign = (await house.upload()).replace(OFFLINE_ORIGIN, "https://cdn.example.com")
    assert (await failure(house, images=[foreign]))[0] == 1402


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG or WebP"),
        (b"<!doctype html><p>no", "no PNG, JPEG or WebP"),
        (encoded(form="GIF"), "no PNG, JPEG or WebP"),
        (encoded()[:20], "no PNG, JPEG or WebP"),
        (encoded(Image.effect_noise((512, 512), 90))[:-5000], "broken"),
        (encoded(Image.effect_noise((512, 512), 90), form="JPEG")[:-5000], "broken"),
        (encoded(Image.new("RGB", (300, 300))), "300×300"),
        (encoded(Image.new("RGB", (3073, 400))), "3073×400"),
        (encoded(Image.new("1", (9000, 9000))), "too many pixels"),
        (encoded(Image.new("1", (20000, 20000))), "too many pixels"),
    ],
    ids=[
        "svg",
        "html",
        "gif",
        "cut off",
        "cut off late",
        "cut off jpeg",
        "too small",
        "too large",
        "81 megapixels",
        "400 megapixels",
    ],
)
async def test_a_wrong_picture_fails_and_says_which_and_why(house, data, said):
    good = await house.upload()
    code, error = await failure(house, images=[good, await house.upload(data)])
    assert code == 1401
    assert error.startswith("images: image 2 ")
    assert said in error


async def test_a_picture_of_its_own_can_be_edited(house):
    made = await house.finished(size="512*384")
    done = await house.finished("at night", model=EDIT, images=made["outputs"])
    image, _ = await picture_of(house, done)
    assert image.size == (512, 384)
    await house.client.post("predictions/delete", json={"ids": [made["id"]]})
    assert (await house.client.get(done["outputs"][0])).status_code == 200, "what it was made from may go"


async def test_the_service_knows_its_own_pictures_and_paints_them_anew():
    async with open_house(painter=None) as house:
        made = await house.finished(size="512*384")
        # As its client sends it: fetched, kept, and uploaded again.
        kept = (await house.client.get(made["outputs"][0])).content
        done = await house.finished("at night", model=EDIT, images=[await house.upload(kept)])
        data = (await house.client.get(done["outputs"][0])).content
        assert [words for words, _ in origin.read(data).edits] == ["at night"]
        # Out of a variable it comes without its notes.
        bare = io.BytesIO()
        Image.open(io.BytesIO(data)).save(bare, "PNG")
        assert origin.read(bare.getvalue()) is None
        done = await house.finished("in snow", model=EDIT, images=[await house.upload(bare.getvalue())])
        data = (await house.client.get(done["outputs"][0])).content
        assert [words for words, _ in origin.read(data).edits] == ["at night", "in snow"]


async def test_a_picture_that_is_not_ready_is_not_reachable(house):
    early = (await house.start(size="512*384"))["id"]
    data = await house.start(model=EDIT, images=[f"{OFFLINE_ORIGIN}/pictures/{early}.png"])
    house.clock.pass_(LONGEST)
    assert (await house.result(data["id"]))["code"] == 1402


async def test_an_upload_that_had_to_go_takes_the_edits_picture_with_it():
    async with open_house(upload_bytes=3000) as house:
        address = await house.upload()
        done = await house.finished("at night", model=EDIT, images=[address])
        await house.upload(encoded(Image.effect_noise((64, 64), 90)))
        answer = await house.client.get(done["outputs"][0])
        assert (answer.status_code, answer.json()["message"]) == (404, "its input picture is no longer there")


# Models beside the eight


async def test_a_model_beside_the_eight_is_listed_checked_and_run():
    extra = Offer(
        id="acme/aster-v1/text-to-image",
        inputs={
            "prompt": {"type": "string"},
            "guidance": {"type": "number", "default": 3.5},
            "tiles": {"type": "boolean", "default": False},
            "steps": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20},
            "size": {"type": "string", "default": "512*512"},
        },
    )
    async with open_house(more=(extra,)) as house:
        entries = (await house.client.get("models")).json()["data"]
        assert entries[-1]["model_id"] == extra.id
        done = await house.finished(model=extra.id, guidance=2, tiles=True)
        assert house.service.predictions[done["id"]].input == {
            "prompt": "a red fox",
            "guidance": 2,
            "tiles": True,
            "steps": 20,
            "size": "512*512",
        }
        image, _ = await picture_of(house, done)
        assert image.size == (512, 512)
        for wrong in ({"guidance": "2"}, {"tiles": 1}, {"steps": 51}):
            assert (await house.submit(model=extra.id, **wrong)).status_code == 400
        # No JSON, though Python's own reader takes it; and no answer could echo it.
        nan = await house.client.post(extra.id, content=b'{"prompt": "a fox", "guidance": NaN}')
        assert nan.status_code == 400


# Texts


@pytest.mark.parametrize("form", ["text", "address", "object"])
async def test_an_enhanced_text_comes_in_the_form_that_is_set(form):
    async with open_house(text_form=form) as house:
        done = await house.finished(None, model=OPTIMIZER, text="a red fox")
        (output,) = done["outputs"]
        if form == "address":
            answer = await house.client.get(output)
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.text.startswith("a red fox")
        else:
            assert (output if form == "text" else output["text"]).startswith("a red fox")


async def test_a_text_is_not_told_before_its_prediction_is_completed(house):
    data = await house.start(None, model=OPTIMIZER, text="a red fox")
    assert (data["status"], data["outputs"]) == ("created", [])
    assert (await house.client.get(f"{OFFLINE_ORIGIN}/texts/{data['id']}.txt")).status_code == 404
    house.clock.pass_(LONGEST)
    assert (await house.client.get(f"{OFFLINE_ORIGIN}/texts/{data['id']}.txt")).status_code == 200
    assert (await house.client.get(f"{OFFLINE_ORIGIN}/pictures/{data['id']}.png")).status_code == 404


async def test_a_marked_text_fails_as_a_picture_does(house):
    done = await house.finished(None, model=OPTIMIZER, text="a fox offline:fail")
    assert (done["status"], done["code"]) == ("failed", 1403)
    assert json.dumps(done["outputs"]) == "[]"


# Anything at all

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ("prompt", "text", "size", "seed", "images", "image", "mode", "style", "output_format", "n")
)
LIKELY = st.sampled_from(
    ("a fox", "2048*2048", "1024*1024", "0*0", "png", "anime", -1, 7, [f"{OFFLINE_ORIGIN}/uploads/x"])
)


@settings(max_examples=150)
@given(
    model=st.sampled_from([offer.id for offer in OFFERS]),
    body=st.dictionaries(NAMES, JSON | LIKELY, max_size=6),
    path=st.sampled_from(("", "media/uploads", "model/price", "predictions", "predictions/delete")),
)
def test_no_body_is_a_server_error(model, body, path):
    async def ask():
        async with open_house() as house:
            answer = await house.client.post(path or model, json=body)
            assert answer.status_code in {200, 400}, answer.text
            assert answer.json()["code"] == answer.status_code

    asyncio.run(ask())
