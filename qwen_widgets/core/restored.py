"""What became of a lost ledger, and the time of which a new one knows nothing: values, as they are kept. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from qwen_widgets.core.answers import Prediction, read_prediction

Why = Literal["damaged", "gone", "behind"]


@dataclass(frozen=True, slots=True)
class Restored:
    """How a ledger came to be made anew.

    Attributes
    ----------
    why : {"damaged", "gone", "behind"}
        It could not be read; it was not there, or empty; it knew less than its own copy.
    at : float
        When, seconds since the epoch.
    aside : str
        Name of the file that was set aside; empty where there was none.
    copied_at : float or None
        When the copy was made that was taken up; None where there was none.
    known : int
        Purchases that the new ledger knows.
    unsure : int
        Orders that were sent since the copy, and of which it isn't known what became of them.
    found : int
        Orders that the account's history has told of since.
    """

    why: Why
    at: float
    aside: str = ""
    copied_at: float | None = None
    known: int = 0
    unsure: int = 0
    found: int = 0

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None) -> Restored | None:
        """Return it from such a text, None of none or of any other."""
        with suppress(ValueError, TypeError):
            if text:
                return cls(**json.loads(text))
        return None


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of time in which orders may have been sent that are written down nowhere.

    Attributes
    ----------
    since : float or None
        Seconds since the epoch; None where it may be any time ago.
    until : float
        When the new ledger was begun.
    seen : mapping of provider to mapping of model to predictions
        What the accounts' histories have of that time and the ledger hasn't, of the models of which they were read.
    """

    since: float | None
    until: float
    seen: Mapping[str, Mapping[str, tuple[Prediction, ...]]] = field(default_factory=dict)


def dump_gaps(gaps: tuple[Gap, ...]) -> str:
    """Return gaps as text."""
    return json.dumps(
        [
            {
                "since": gap.since,
                "until": gap.until,
                "seen": {
                    name: {model: [_as_item(one) for one in found] for model, found in models.items()}
                    for name, models in gap.seen.items()
                },
            }
            for gap in gaps
        ]
    )


def load_gaps(text: str | None, *, now: float) -> tuple[Gap, ...]:
    """Return gaps from such a text; one that can't be read may mean any time."""
    if text is None:
        return ()
    try:
        return tuple(
            Gap(
                None if one["since"] is None else float(one["since"]),
                float(one["until"]),
                {
                    name: {model: tuple(map(read_prediction, items)) for model, items in models.items()}
                    for name, models in one["seen"].items()
                },
            )
            for one in json.loads(text)
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return (Gap(None, now),)


def _as_item(one: Prediction) -> dict[str, Any]:
    """Return what is needed of a prediction, in the words of the API."""
    created = None if one.created_at is None else one.created_at.isoformat()
    told = None if one.input is None else dict(one.input)
    return {"id": one.id, "status": one.status, "model": one.model, "created_at": created, "input": told}
