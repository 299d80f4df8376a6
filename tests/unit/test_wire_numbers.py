"""Numbers of the API: bounded where they are read, whatever stands in their place."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_widgets.core.answers import read_envelope, read_json, read_prediction
from qwen_widgets.core.catalogue import read_catalogue
from qwen_widgets.core.strays import read_stray
from qwen_widgets.core.wire_numbers import MOST_PRICE, balance, exact, integer, number, price

#: What is no number that anybody could mean.
NONE = [
    "1e999999", "-1e999999", "1e-999999", float("inf"), float("nan"), 1e308, -1e308, 10**5000, "9" * 5000, "0." + "3" * 5000,
    "１２", "1_000", "0x10", "", " ", "inf", "NaN", "Infinity", "--1", "1e", True, None, [], {}, [1], {"amount": 1}, b"1",
]  # fmt: skip


def kind(value):
    """Name a value without writing it: Python writes no number of 5,000 digits."""
    return f"{value[:12]!r}" if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize("value", NONE, ids=kind)
def test_what_is_out_of_all_bounds_is_no_number(value):
    for read in (exact, number, integer, price, balance):
        assert read(value) is None


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (0.03, Decimal("0.03")), ("0.03", Decimal("0.03")), (" 3e-2 ", Decimal("0.03")), (1, Decimal(1)), (1000, MOST_PRICE),
        (1000.01, None), (0, None), (-0.03, None), (0.00001, None), ("$0.03", None),
    ],
)  # fmt: skip
def test_a_price_is_between_a_hundredth_of_a_cent_and_a_thousand_dollars(value, amount):
    assert price(value) == amount


def test_a_balance_can_be_a_debt():
    assert balance("-2.50") == Decimal("-2.50")
    assert balance(10**10) is None


@given(st.one_of(st.text(), st.floats(), st.integers(), st.text(alphabet="0123456789eE+-._ ", max_size=60)))
def test_what_is_a_number_fits_into_64_bits(value):
    whole = integer(value)
    assert whole is None or -(2**63) < whole < 2**63
    amount = price(value)
    assert amount is None or 0 < amount <= MOST_PRICE


def test_an_answer_with_a_number_of_thousands_of_digits_is_read_all_the_same():
    body = b'{"code": %b, "data": {"id": "abc", "status": "created", "executionTime": %b}}' % (
        b"9" * 5000,
        b"-" + b"9" * 5000,
    )
    envelope = read_envelope(body)
    assert envelope.code is None
    assert read_prediction(envelope.data).id == "abc"
    assert read_json(b'{"a": 12}') == {"a": 12}


@pytest.mark.parametrize("value", [*NONE, -1, 10**18], ids=kind)
def test_a_prediction_is_read_whatever_its_numbers_are(value):
    found = read_prediction(
        {"id": "abc", "status": "completed", "outputs": ["https://x/a.png"], "timings": {"inference": value},
         "code": value, "created_at": value, "input": {"seed": value, "size": value, "prompt": value}}
    )  # fmt: skip
    assert found.id == "abc"
    assert found.seconds is None or 0 <= found.seconds <= 7 * 24 * 3600
    assert found.code is None or abs(found.code) < 2**63
    assert found.created_at is None
    stray = read_stray(found)
    assert stray.seed is None or 0 <= stray.seed < 2**31
    assert stray.size == (0, 0)


@pytest.mark.parametrize("value", NONE, ids=kind)
def test_a_catalogue_is_read_whatever_its_numbers_are(value):
    limits = {"type": "integer", "minimum": value, "maximum": value, "maxLength": value, "default": value}
    schema = {
        "properties": {"prompt": {"type": "string", "maxLength": value}, "size": limits, "steps": limits}
    }
    entry = {"model_id": "acme/x", "type": "text-to-image", "base_price": value,
             "api_schema": {"api_schemas": [{"request_schema": schema}]}}  # fmt: skip
    [found] = read_catalogue([entry]).entries
    assert found.price is None
    assert read_catalogue([entry]).prices == {"acme/x": 0}
