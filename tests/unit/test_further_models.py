"""Models that are not built in: what is sent to them, and what names their pictures, whatever their schema says."""

from __future__ import annotations

from typing import Any

import pytest
from listed import FULL, entry, learned

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Model, Size
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.grid.recipe import write_cell

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
