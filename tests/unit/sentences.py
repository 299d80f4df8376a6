"""What the tests of the syntax share: seeds that are drawn in order, and what one sentence is."""

from __future__ import annotations

import unicodedata


def drawing(*seeds):
    """Give a draw that hands out these seeds, then fails."""
    left = iter(seeds)
    return lambda: next(left)


def sentence(caught):
    return check_sentence(caught.value)


def check_sentence(error):
    """Check that a message is one short line that any stream can print and no terminal obeys."""
    message = error.message
    assert error.paid == "no"
    assert message.endswith((".", "…"))
    assert len(message.splitlines()) == 1
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in message)
    assert len(message) < 500
    return message
