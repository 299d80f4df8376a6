"""Reconciling: which prediction of the account's history is the one whose answer was lost.

The API has no idempotency key, so a lost answer leaves two possibilities, and asking the history is the only way
to tell them apart. What can't be told stays unknown: nothing is bought a second time on a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.records import Record

#: Seconds after the submit at which the history is asked: the history lags behind.
SETTLE = (2.0, 8.0, 30.0, 120.0)
#: Seconds before and after the submit, by the server's clock, within which its prediction must have been created.
BEFORE, AFTER = 30.0, 180.0
#: The service deletes predictions after so many seconds.
KEPT = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at the history says of one lost answer.

    Attributes
    ----------
    verdict : {"found", "absent", "ambiguous"}
    prediction : Prediction or None
        The one that is ours, where it was found.
    strays : tuple of Prediction
        Predictions that could be ours and could be another's; none is dropped.
    """

    verdict: Literal["found", "absent", "ambiguous"]
    prediction: Prediction | None = None
    strays: tuple[Prediction, ...] = ()


def find(
    record: Record, history: Sequence[Prediction], known: Collection[str], others: Sequence[Record]
) -> Finding:
    """Look for the prediction of a lost answer.

    Parameters
    ----------
    record : Record
        The row whose answer was lost.
    history : sequence of Prediction
        All predictions of the model in the minutes around the submit.
    known : collection of str
        Ids that the ledger has already: never taken a second time.
    others : sequence of Record
        Further rows of the same model whose answers were lost in the same minutes.
    """
    unknown = [prediction for prediction in history if prediction.id not in known]
    ours = [p for p in unknown if p.input is not None and echoes(p.input, record)]
    if ours:
        # Equal inputs are equal pictures: the oldest is taken, and a further one is somebody's own purchase.
        return Finding("found", ours[-1])
    # One whose input is known and different is never taken.
    silent = tuple(p for p in unknown if p.input is None)
    if not silent:
        return Finding("absent")
    if len(silent) == 1 and not others:
        return Finding("found", silent[0])
    return Finding("ambiguous", strays=silent)


def echoes(echoed: Mapping[str, Any], record: Record) -> bool:
    """Whether an echoed input is what the row asked for; a field that is missing speaks neither way."""
    if echoed.get("prompt") != record.prompt:
        return False
    seed = echoed.get("seed")
    size = echoed.get("size")
    return _same(seed, record.seed) and (size is None or _size(size) == record.size.wire)


def _same(value: Any, seed: int) -> bool:
    return value is None or str(value) == str(seed)


def _size(value: Any) -> str:
    return str(value).replace("x", "*").replace("×", "*").replace(" ", "")
