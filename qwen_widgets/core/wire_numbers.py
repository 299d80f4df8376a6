"""Numbers as an API writes them, bounded where they are read: what is out of all bounds is no number.

A price of 1e999999 dollars, an id of 5,000 digits or a time of minus infinity can be in an answer, and must not travel
further than here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

#: As JSON and headers write a number; no other digits than ASCII's, and an exponent that leads somewhere.
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_LONGEST = 40
#: Nothing counts further than a signed number of 64 bits, and SQLite keeps none that is larger.
_MOST = 2**63 - 1
#: US dollars a picture or text. Less than the least is no price (the ledger counts in millionths), and would escape every
#: limit; more than the most is a mistake.
LEAST_PRICE = Decimal("0.0001")
MOST_PRICE = Decimal(1000)
#: US dollars of an account; it can be in debt.
_MOST_BALANCE = Decimal(10**9)


def exact(value: Any) -> Decimal | None:
    """Read a number, also one that came as a text; None for anything else and for what no one means."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int) and abs(value) > _MOST:
        # Python writes none of thousands of digits.
        return None
    text = str(value).strip()
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    found = Decimal(text)
    return found if abs(found) <= _MOST else None


def number(value: Any) -> float | None:
    """Read a number as a float."""
    found = exact(value)
    return None if found is None else float(found)


def integer(value: Any) -> int | None:
    """Read a whole number, also one that came as a text or with a fraction; None for anything else."""
    found = exact(value)
    return None if found is None else int(found)


def price(value: Any) -> Decimal | None:
    """Read what a picture or a text costs, US dollars; None where it names no amount that could be meant."""
    found = exact(value)
    return found if found is not None and LEAST_PRICE <= found <= MOST_PRICE else None


def balance(value: Any) -> Decimal | None:
    """Read what an account has left, US dollars."""
    found = exact(value)
    return found if found is not None and abs(found) <= _MOST_BALANCE else None


def from_digits(digits: str) -> int | float:
    """Return JSON's whole number; one that is too long for any use is infinite, and the rest of the answer is read."""
    return int(digits) if len(digits) <= _LONGEST else float("-inf" if digits.startswith("-") else "inf")
