"""How the parsers of what people type say what is wrong, and where; counts that stay small."""

from __future__ import annotations

import re

from qwen_widgets.core.errors import InputError

#: Counts stop here, so that no number in a message has more than a few digits.
MANY = 10**15

_LONGEST_TEXT = 100_000  # characters of one text that is read at all

_BREAKS = re.compile(r"[ \t\r\n\u2028\u2029]+")
# Control characters, bidirectional overrides and lone surrogates, which no stream can print.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str, at: int = 0) -> str:
    """Quote the part of a text around a place, fit for a message: short, one line, printable everywhere."""
    start = max(0, at - 30) if len(text) > 60 else 0
    part = _HIDDEN.sub(
        lambda found: found[0].encode("unicode_escape").decode(),
        _BREAKS.sub(" ", text[start : start + 60]),
    )
    return f"'{'…' if start else ''}{part}{'…' if start + 60 < len(text) else ''}'"


def fault(label: str, text: str, span: tuple[int, int], problem: str) -> InputError:
    """Make the error of a place in a text: ``seeds '1-4, x': 'x' at character 6 is not a number.``."""
    start, end = span
    return InputError(
        f"{label} {shown(text, start)}: {shown(text[start:end])} at character {start + 1} {problem}."
    )


def amount(count: int) -> str:
    """Write a count for a message."""
    return f"{count:,}" if count < MANY else f"more than {MANY:,}"


def to_number(digits: str) -> int:
    """Read ASCII digits, however many; numbers above `MANY` are `MANY`."""
    # int() refuses more than 4,300 digits, with a ValueError of its own.
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 15 else MANY


def check_length(label: str, text: str) -> None:
    """Raise InputError where a text is too long to be read at all."""
    if len(text) > _LONGEST_TEXT:
        raise InputError(
            f"{label} {shown(text)}: the text has {len(text):,} characters, "
            f"and at most {_LONGEST_TEXT:,} are read."
        )
