"""Models that are not built in: what is sent to them, and what names their pictures, whatever their schema says."""

from __future__ import annotations

from typing import Any

import pytest
from listed import FULL, entry, learned

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import Model
from qwen_widgets.core.request import ImageRequest

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
