"""Models that are not built in: what is sent to them, and what names their pictures, whatever their schema says."""

from __future__ import annotations

from typing import Any

import pytest
from listed import FULL, entry, learned

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Model, Size
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.grid.export import extended
from qwen_widgets.grid.recipe import write_cell
from qwen_widgets.panel.controls import drawn_seeds

PROMPT = {"prompt": {"type": "string"}}
SEED = {"seed": {"type": "integer"}}


def model(properties: dict[str, Any], **more: Any) -> Model:
    """The model of a schema that has a prompt and these inputs."""
    return learned(entry(PROMPT | properties, **more))[FULL]


def asked(of: Model, **more: Any) -> ImageRequest:
    """A picture of that model, as small as can be asked for."""
    return ImageRequest("a fox", 7 if of.takes_seed else None, more.pop("size", of.default_size), of, **more)


# --- one picture, at an address ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "schema", "sent"),
    [
        ("n", {"type": "integer", "default": 4}, 1),
        ("num_images", {"type": "integer", "default": 4, "minimum": 1, "maximum": 4}, 1),
        ("max_images", {"type": "integer"}, 1),
        ("batch_size", {"type": "string", "default": "4", "enum": ["1", "2", "4"]}, "1"),
        ("num_outputs", {}, 1),
        ("enable_sync_mode", {"type": "boolean", "default": True}, False),
        ("enable_base64_output", {"type": "boolean", "default": True}, False),
        ("return_base64", {"type": "boolean"}, False),
        ("sync_mode", {"type": "string", "default": "true"}, "false"),
        ("n", {"type": "integer", "default": 1}, None),
        ("enable_sync_mode", {"type": "boolean", "default": False}, None),
    ],
)
@pytest.mark.parametrize("required", [False, True])
def test_one_picture_at_an_address_is_asked_for_whatever_the_default_is(
    name: str, schema: dict[str, Any], sent: object, required: bool
) -> None:
    needed = ["prompt", name] if required else ["prompt"]
    body = asked(model({name: schema}, required=needed)).body()
    assert body == {"prompt": "a fox"} | ({} if sent is None else {name: sent})
    assert sent is None or type(body[name]) is type(sent)


@pytest.mark.parametrize(
    ("name", "schema", "words"),
    [
        ("max_images", {"type": "integer", "minimum": 2, "default": 4}, r"makes several pictures at a time.*max_images"),
        ("n", {"type": "integer", "enum": [2, 4]}, r"makes several pictures at a time.*\(n\)"),
        ("sync_mode", {"type": "boolean", "enum": [True]}, "sends its pictures in the very answer.*sync_mode"),
    ],
)  # fmt: skip
def test_a_model_that_makes_no_single_picture_is_refused(name: str, schema: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        asked(model({name: schema}))


def test_what_is_sent_for_one_picture_names_none() -> None:
    one, four = (model({"n": {"type": "integer", "default": default}}) for default in (1, 4))
    assert asked(one).key == asked(four).key


# --- values -----------------------------------------------------------------------------------------------


def test_a_choice_of_sizes_is_sent_as_the_schema_writes_it() -> None:
    choices = ["1024x1024", "1280 X 720", "768×1024", "auto"]
    made = model({"size": {"type": "string", "enum": choices}}, required=["prompt", "size"])
    sweep = plan_sweep("a fox", sizes="1:1, 1280x720, 768*1024", models=made)
    assert [request.body()["size"] for request in sweep.unique] == choices[:3]
    # It is the same picture however its size is written.
    starred = model({"size": {"type": "string", "enum": ["1024*1024"]}})
    assert asked(starred).key == sweep.unique[0].key
    with pytest.raises(InputError, match="one of 1024×1024, 1280×720, 768×1024"):
        plan_sweep("a fox", sizes="512x512", models=made)


NAMED = {"size": {"type": "string", "enum": ["1K", "2K"]}}


def test_a_size_with_a_name_is_a_further_input() -> None:
    made = model(NAMED)
    assert asked(made).body() == {"prompt": "a fox"}
    (request,) = plan_sweep("a fox", models=made, inputs={"size": "2K"}).unique
    assert request.body() == {"prompt": "a fox", "size": "2K"}
    with pytest.raises(InputError, match=r"size '3K': .* takes 1K, 2K there"):
        plan_sweep("a fox", models=made, inputs={"size": "3K"})
    with pytest.raises(InputError, match="takes no pixels but 1K, 2K; write --input size=1K"):
        plan_sweep("a fox", sizes="16:9", models=made)
    with pytest.raises(InputError, match="wants one of 1K, 2K; give it with --input size=…"):
        plan_sweep("a fox", models=model(NAMED, required=["prompt", "size"]))
    with pytest.raises(InputError, match="input size: it has an option of its own"):
        plan_sweep("a fox", models=model({"size": {"type": "string"}}), inputs={"size": "1K"})


def test_a_size_for_a_model_that_takes_none_says_what_comes() -> None:
    assert any(
        "takes no size: it chooses its own" in note
        for note in plan_sweep("a fox", sizes="16:9", models=model({})).notes
    )


@pytest.mark.parametrize("asked_for", [{}, {"count": 4}, {"seeds": "random*4"}, {"seeds": [-1, -1]}])
def test_seeds_are_drawn_within_the_schema(asked_for: dict[str, Any]) -> None:
    few = model({"seed": {"type": "integer", "minimum": 3, "maximum": 100}})
    for models in (few, [few, MODELS[0]]):
        sweep = plan_sweep("a fox\n\na cat --seed random*2", models=models, **asked_for)
        assert all(seed is not None and 3 <= seed <= 100 for seed in sweep.seeds)
    with pytest.raises(InputError, match=r"seed 101: .* takes at most 100"):
        plan_sweep("a fox", models=few, seeds=101)


def test_seeds_for_more_columns_and_of_a_panel_are_drawn_within_the_schema() -> None:
    few = model({"seed": {"type": "integer", "minimum": 3, "maximum": 100}})
    sweep = extended(plan_sweep("a fox", models=[few, MODELS[0]], seeds=4), None, "random*20")
    assert len(sweep.seeds) >= 20  # one may be drawn that is there
    assert all(seed is not None and 3 <= seed <= 100 for seed in sweep.seeds)
    for _ in range(40):
        assert all(3 <= seed <= 100 for seed in drawn_seeds([few, MODELS[0]], 90))


INPUTS = {
    "strength": {"type": "number", "minimum": 0, "maximum": 1},
    "free": {},
    "steps": {"type": "integer"},
    "negative_prompt": {"type": "string"},
}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"strength": "nan"}, "strength nan: .* takes a number there that can be written down"),
        ({"strength": float("nan")}, "strength nan: .* takes a number there that can be written down"),
        ({"strength": "inf"}, "strength inf: "),
        ({"strength": "-Infinity"}, "strength -inf: "),
        ({"strength": "1e999"}, "strength inf: "),
        ({"free": float("inf")}, "free inf: "),
        ({"steps": 10**400}, "steps: that number is too large"),
        ({"free": 10**5000}, "free: that number is too large"),
        ({"negative_prompt": "ugly\ud800"}, r"negative_prompt: character 5 is half of a pair \(U\+D800\)"),
        ({"free": "\udfff"}, r"free: character 1 is half of a pair \(U\+DFFF\)"),
    ],
)
def test_what_can_not_be_sent_as_json_is_one_sentence(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        plan_sweep("a fox", models=model(INPUTS), inputs=inputs)
    caught.value.sentence.encode()
    assert "\n" not in caught.value.sentence


def test_a_catalogue_with_half_a_character_can_be_kept() -> None:
    choices = ["plain", "\ud800"]
    made = model({"look": {"type": "string", "enum": choices, "default": "\udfff"}})
    assert [one.choices for one in made.schema] == [(), ("plain",)]
    assert [one.default for one in made.schema] == [None, None]


def test_the_least_and_the_longest_text_are_kept_to() -> None:
    long = model({"prompt": {"type": "string", "minLength": 50}})
    with pytest.raises(InputError, match=r"prompt: 5 characters, and .* wants at least 50"):
        asked(long)
    assert ImageRequest("a fox " * 10, None, long.default_size, long).body()
    # No text is as short as that: it is no limit.
    assert asked(model({"prompt": {"type": "string", "maxLength": 0}, "look": {"type": "string", "maxLength": 0}}),
                 extra=(("look", "plain"),)).body()  # fmt: skip


# --- what names a picture ---------------------------------------------------------------------------------


def formats(*names: str, **more: Any) -> dict[str, Any]:
    """An input of these formats, the first the default."""
    return {"output_format": {"type": "string", "enum": sorted(names), "default": names[0], **more}}


def test_another_default_format_names_no_other_picture() -> None:
    before, after = model(SEED | formats("jpeg", "png")), model(SEED | formats("png", "jpeg", "webp"))
    first, second = asked(before), asked(after)
    assert first.key == second.key == asked(model(SEED)).key
    assert first.body() == second.body() == {"prompt": "a fox", "seed": 7}
    for edited in (before, after):
        named = asked(edited, output_format="jpeg")
        assert named.body()["output_format"] == "jpeg"
        assert named.key == asked(before, output_format="jpeg").key != first.key


def test_a_format_that_was_named_is_in_the_cell_that_makes_it_again() -> None:
    for name in ("jpeg", "png"):
        assert f"--format {name}" in write_cell(
            plan_sweep("a fox", models=model(formats("jpeg", "png")), output_format=name)
        )
    assert "--format" not in write_cell(plan_sweep("a fox", models=model(formats("jpeg", "png"))))
    with pytest.raises(InputError, match="painter/text-to-image makes jpeg or png"):
        plan_sweep("a fox", models=model(formats("jpeg", "png")), output_format="webp")


def test_a_format_that_can_not_be_left_out_is_sent_and_names_nothing() -> None:
    first, second = (
        asked(model(formats(*names), required=["prompt", "output_format"]))
        for names in (("jpeg", "png"), ("png", "jpeg"))
    )
    assert (first.body()["output_format"], second.body()["output_format"]) == ("jpeg", "png")
    assert first.key == second.key


@pytest.mark.parametrize(
    "sizes",
    [
        ["1280*720", "1328*1328", "720*1280"],
        ["auto", "720*1280", "512*512", "1328*1328", "1280*720"],
        ["2560*1440", "1328*1328", "4000*4000"],
    ],
)
def test_a_size_that_nobody_named_depends_on_no_order(sizes: list[str]) -> None:
    size = {"size": {"type": "string", "enum": sizes}}
    assert {
        asked(model({"size": {"type": "string", "enum": some}})).size for some in (sizes, sizes[::-1])
    } == {Size(1328, 1328)}
    with_square = {"type": "string", "enum": [*sizes, "1024*1024"]}
    assert model({"size": with_square}).default_size == MODELS[0].default_size
    assert asked(model(size)).body()["size"] == "1328*1328"
