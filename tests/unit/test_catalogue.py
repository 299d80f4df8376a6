"""The live catalogue: read leniently, kept short, and what it changes of the models."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listed import FULL, entry, learned

from qwen_widgets.core.catalogue import Catalogue, changes, read_catalogue
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.model_schema import Input, check_body
from qwen_widgets.core.models import MODELS, Shelf, Size
from qwen_widgets.core.request import ImageRequest

QWEN = MODELS[0]
PAINTER = {
    "prompt": {"type": "string", "maxLength": 300},
    "size": {"type": "string", "minimum": 512, "maximum": 2048, "default": "1024*1024"},
    "seed": {"type": "integer", "minimum": 0, "maximum": 65535},
    "output_format": {"type": "string", "enum": ["png", "jpeg"], "default": "jpeg"},
    "strength": {"type": "number", "minimum": 0, "maximum": 1},
}


def test_a_built_in_model_takes_up_limits_and_prices() -> None:
    size = {"type": "string", "minimum": 256, "maximum": 2048}
    new = learned(entry({"prompt": {"type": "string", "maxLength": 1000}, "size": size}, QWEN.id))[QWEN.id]
    assert (new.price, new.max_prompt, new.max_side) == (Decimal("0.05"), 1000, 2048)
    assert (new.name, new.inputs) == (QWEN.name, QWEN.inputs)
    (line,) = changes(MODELS, [new])
    assert line == (
        "qwen-image-2.0: $0.03 → $0.05 a picture, prompt ≤ 800 → 1000 characters, "
        "256 to 1536 pixels a side → 256 to 2048 pixels a side"
    )
    before, after = Shelf(), Shelf()
    after.learn([new])
    assert not before.find("qwen-image-2.0").fits(Size(2048, 1024))  # type: ignore[union-attr]
    assert after.find("qwen-image-2.0").fits(Size(2048, 1024))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "size",
    [
        None,
        "1024*1024",
        {},
        {"minimum": "a", "maximum": None},
        {"minimum": 2048, "maximum": 256},
        {"minimum": -1, "maximum": 10**12},
        {"minimum": 1e400, "maximum": float("nan")},
        {"minimum": True, "maximum": 2000},
    ],
)
@pytest.mark.parametrize("price", [None, "free", -1, 0, "1e-9", True, float("inf"), 10**9, [], {"usd": 1}])
def test_nonsense_leaves_a_built_in_model_as_it_was(size: Any, price: Any) -> None:
    prompt = {"type": "string", "maxLength": "many"}
    new = learned(entry({"prompt": prompt, "size": size}, QWEN.id, base_price=price))[QWEN.id]
    for name in ("price", "max_prompt", "min_side", "max_side", "inputs", "formats"):
        assert getattr(new, name) == getattr(QWEN, name)


@pytest.mark.parametrize(
    "surprise",
    [
        None,
        7,
        "text",
        [],
        {},
        {"model_id": None},
        {"model_id": 7, "name": []},
        {"model_id": "../../balance"},
        {"model_id": "maker/" + "x" * 500},
        {"model_id": "no-slash"},
        {"model_id": FULL, "api_schema": None},
        {"model_id": FULL, "api_schema": {"api_schemas": None}},
        {"model_id": FULL, "api_schema": {"api_schemas": [None, 7, {"request_schema": None}]}},
        {"model_id": FULL, "api_schema": {"components": {"schemas": None}}},
        entry(None),
        entry([]),
        entry({"prompt": None, "seed": 7}),
        entry({"prompt": {"type": ["string", "null"]}}),
        entry({"prompt": {"type": "string", "enum": "abc", "maxLength": -5}}, required="prompt"),
        entry({"prompt": {"type": "poem"}, "x" * 100: {}, "a b": {}}, required=[None, 7]),
        entry(PAINTER, name=None, type=None, base_price=None),
    ],
)
def test_surprises_are_survived_and_the_others_are_read(surprise: Any) -> None:
    found = read_catalogue([surprise, entry(PAINTER, "maker/other")])
    assert "maker/other" in {one.id for one in found.entries}
    assert learned(surprise, entry(PAINTER, "maker/other"))["maker/other"].max_prompt == 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SAID = st.dictionaries(
    st.sampled_from(
        [
            "type",
            "enum",
            "default",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "items",
            "minItems",
            "maxItems",
        ]
    ),
    JSON,
)


# A deep value takes long to be made up on a busy machine, which says nothing of the reading.
AT_LEISURE = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@AT_LEISURE
@given(st.dictionaries(st.sampled_from(["prompt", "size", "seed", "images", "image", "output_format"]), SAID))
def test_no_schema_stops_the_reading(properties: dict[str, Any]) -> None:
    found = read_catalogue([entry(properties), entry(properties, QWEN.id)])
    assert len(found.entries) == 2
    again = Catalogue.from_json(found.to_json())
    assert [model.id for model in again.models()] == [model.id for model in found.models()]


@AT_LEISURE
@given(JSON)
def test_no_answer_stops_the_reading(data: Any) -> None:
    read_catalogue(data)
    read_catalogue([data])


def test_a_model_that_is_not_built_in_is_used_as_its_schema_says() -> None:
    model = learned(entry(PAINTER))[FULL]
    assert model.inputs == ("prompt", "size", "seed", "output_format")
    assert model.formats == ("", "jpeg", "png")
    request = ImageRequest("a red fox", 7, Size(1024, 512), model)
    assert request.body() == {"prompt": "a red fox", "size": "1024*512", "seed": 7}
    for prompt, seed, size, words in [
        ("x" * 301, 7, (1024, 512), "301 characters"),
        ("a fox", 65536, (1024, 512), "at most 65535"),
        ("a fox", 7, (4096, 512), "512 to 2048 pixels"),
    ]:
        with pytest.raises(InputError, match=words):
            ImageRequest(prompt, seed, Size(*size), model)


def test_a_choice_of_sizes_is_kept_to() -> None:
    size = {"type": "string", "enum": ["auto", "1024*1024", "1536*1024"]}
    model = learned(entry({"prompt": {"type": "string"}, "size": size}))[FULL]
    assert model.sizes == (Size(1024, 1024), Size(1536, 1024))
    assert model.default_size == Size(1024, 1024)
    assert ImageRequest("a fox", None, Size(1536, 1024), model).body()["size"] == "1536*1024"
    with pytest.raises(InputError, match="one of 1024×1024, 1536×1024"):
        ImageRequest("a fox", None, Size(1280, 720), model)


@pytest.mark.parametrize(
    ("name", "properties", "more"),
    [
        ("no prompt", {"text": {"type": "string"}}, {}),
        ("no price", PAINTER, {"base_price": None}),
        ("a video", PAINTER, {"type": "text-to-video"}),
    ],
)
def test_what_no_request_can_be_written_for_is_not_learned(
    name: str, properties: Any, more: dict[str, Any]
) -> None:
    assert learned(entry(properties, **more)) == {}, name


def test_an_input_that_is_missing_is_said() -> None:
    model = learned(entry({**PAINTER, "voice": {"type": "string"}}, required=["prompt", "voice"]))[FULL]
    with pytest.raises(InputError, match="input voice: maker/painter/text-to-image wants one"):
        ImageRequest("a fox", 7, Size(1024, 512), model)


@pytest.mark.parametrize(
    ("one", "value", "words"),
    [
        (Input("steps", "integer"), "many", "takes a whole number there"),
        (Input("steps", "integer"), 1.5, "takes a whole number there"),
        (Input("steps", "integer"), True, "takes a whole number there"),
        (Input("steps", "integer", minimum=4), 3, "at least 4"),
        (Input("strength", "number", maximum=1), 1.5, "at most 1"),
        (Input("on", "boolean"), 1, "takes a boolean there"),
        (Input("kind", "string", choices=("a", "b")), "c", "takes a, b there"),
        (Input("kind", "string", longest=3), "abcd", "4 characters"),
        (Input("images", "array", fewest=1), [], "at least 1"),
        (Input("images", "array", most=1), ["a", "b"], "at most 1"),
    ],
)
def test_a_value_outside_of_its_schema_is_one_sentence(one: Input, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_body([one], {one.name: value}, "maker/painter")


def test_values_within_their_schema_pass() -> None:
    check_body([Input("a", "number", minimum=0, maximum=1), Input("b", "poem"), Input("c", required=True, default=3)],
               {"a": 1, "b": object()}, "m")  # fmt: skip
    with pytest.raises(InputError, match="has none of that name; it has a"):
        check_body([Input("a")], {"z": 1}, "m")


def test_what_is_kept_is_short() -> None:
    many = [
        entry({**PAINTER, "prompt": {"type": "string", "description": "x" * 2000}}, f"maker/m-{n}")
        for n in range(100)
    ]
    kept = read_catalogue(many).to_json()
    assert len(json.dumps(many)) > 200_000
    assert len(kept) < 60_000
    assert "xxx" not in kept
