"""Reconciling: which prediction of the account's history is the one whose answer was lost, and when none is.

The API has no idempotency key, so a lost answer leaves two possibilities, and asking the history is the only way
to tell them apart. What can't be told stays unknown: nothing is bought a second time on a guess. No I/O.

What is read of the history proves that an order isn't in it only where

- every page of it came, and every entry could be read; and
- it holds an earlier prediction of the same model than the order: one whose `created_at` says so and whose input is
  told, or one that this ledger has got for an earlier order. An entry of another model shows nothing, since pages
  of one model were asked for; and
- it is in the order of time, newest first, so that nothing newer can come on a page behind that one, or was
  read to where no more came.

An account that has no earlier prediction, as far as the ledger knows, has its history read to the end instead. What the
history says of its own length is never taken for a proof; where it says that there is more than came, it isn't whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.history import Listing
from qwen_widgets.core.models import remembered_model
from qwen_widgets.core.records import Record
from qwen_widgets.core.wire_numbers import integer

#: Seconds after the submit at which the history is asked: the history lags behind.
SETTLE = (2.0, 8.0, 30.0, 120.0)
#: Seconds before and after the submit, by the service's clock, within which its prediction must have been created.
BEFORE, AFTER = 30.0, 180.0


@dataclass(frozen=True, slots=True)
class Sent:
    """When an order was sent by the service's clock, seconds since the epoch: between these.

    Attributes
    ----------
    earliest, latest : float or None
        None where it isn't known: it may have been at any time that the service keeps.
    """

    earliest: float | None = None
    latest: float | None = None

    def before(self, moment: float) -> bool:
        """Whether a moment is certainly before the order."""
        return self.earliest is not None and moment < self.earliest - BEFORE

    def near(self, moment: float) -> bool:
        """Whether what was created at this moment can be what was ordered."""
        late = self.latest is not None and moment > self.latest + AFTER
        return not self.before(moment) and not late


def proves(listing: Listing, model: str, sent: Sent, dated: Mapping[str, float]) -> bool:
    """Return whether what isn't in a listing was not made; the rule stands at the top of this file.

    Parameters
    ----------
    dated : mapping of id to float
        The predictions of the model that this ledger has got and that the service still keeps, and when their orders
        were sent by the service's clock.
    """
    if listing.gap or listing.trouble is not None:
        return False
    if reaches_back(listing, model, sent, dated):
        return True
    if sent.earliest is None:
        return listing.whole and dated.keys() <= listing.entries.keys()
    return listing.whole and not any(map(sent.before, dated.values()))


def reaches_back(listing: Listing, model: str, sent: Sent, dated: Mapping[str, float]) -> bool:
    """Return whether a listing shows by itself that it reaches back behind an order; parameters as of `proves`."""
    behind = any(
        (entry.id in dated and sent.before(dated[entry.id]))
        or (
            entry.model == model
            and bool(entry.input)
            and entry.created_at is not None
            and sent.before(entry.created_at.timestamp())
        )
        for entry in listing.entries.values()
    )
    return behind and (listing.ended or _newest_first(listing.entries.values()))


def _newest_first(entries: Iterable[Prediction]) -> bool:
    moments = [entry.created_at.timestamp() for entry in entries if entry.created_at is not None]
    falling = all(after <= before + BEFORE for before, after in pairwise(moments))
    # One moment alone shows no order.
    return falling and len(moments) > 1 and moments[-1] < moments[0]


def could_be(entry: Prediction, model: str, sent: Sent) -> bool:
    """Return whether an entry can be what was ordered, by its model and its time; what it doesn't tell, it can be."""
    if entry.model not in ("", model):
        return False
    return entry.created_at is None or sent.near(entry.created_at.timestamp())


def twins(record: Record, listing: Listing) -> list[Prediction]:
    """Return the entries, of whatever time, that were asked for with the very same input.

    By their time they aren't the order; but that is another clock's, and the picture is the same.
    """
    return [
        entry
        for entry in listing.entries.values()
        if entry.model in ("", record.model) and likeness(entry.input, record) == "same"
    ]


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
        The predictions that can be it by their model and time, newest first.
    known : collection of str
        Ids that the ledger has already: never taken a second time.
    others : sequence of Record
        Further rows of the same model, sent in the same minutes, whose prediction isn't known either.
    """
    unclaimed = [prediction for prediction in history if prediction.id not in known]
    ours = [p for p in unclaimed if likeness(p.input, record) == "same"]
    if ours:
        # Equal inputs are equal pictures: the oldest is taken, and a further one is somebody's own purchase.
        return Finding("found", ours[-1])
    # One whose input is known and different is never taken.
    perhaps = tuple(p for p in unclaimed if likeness(p.input, record) == "perhaps")
    if not perhaps:
        return Finding("absent")
    rivals = any(likeness(p.input, other) != "other" for p in perhaps for other in others)
    if len(perhaps) == 1 and not rivals:
        return Finding("found", perhaps[0])
    return Finding("ambiguous", strays=perhaps)


def likeness(echoed: Mapping[str, Any] | None, record: Record) -> Literal["same", "perhaps", "other"]:
    """Judge an echoed input by what the row asked for.

    A field that is missing or can't be read speaks neither way, and is no proof: it makes a "perhaps". Of what the
    model doesn't take nothing is expected. Other addresses of input pictures than were sent are no proof either:
    a service may move what it was given.
    """
    given = echoed or {}
    if record.makes_text:
        return _text_likeness(given, record)
    model = remembered_model(record.model)
    prompt, seed, size = given.get("prompt"), integer(given.get("seed")), _size(given.get("size"))
    alike = [None if not isinstance(prompt, str) else _words(prompt) == _words(record.prompt)]
    if record.seed is not None:
        alike.append(None if seed is None else seed == record.seed)
    if model.takes_size:
        alike.append(None if size is None else size == tuple(record.size))
    if record.images:
        alike.append(given.get("images", given.get("image")) in _sent(record) or None)
    if record.output_format and isinstance(given.get("output_format"), str):
        alike.append(given["output_format"] == record.output_format)
    alike += [None if given.get(name) is None else given[name] == value for name, value in record.extra]
    if False in alike:
        return "other"
    return "perhaps" if None in alike else "same"


def _text_likeness(given: Mapping[str, Any], record: Record) -> Literal["same", "perhaps", "other"]:
    text, style = given.get("text"), given.get("style")
    alike = (
        None if not isinstance(text, str) else _words(text) == _words(record.prompt),
        None if not isinstance(style, str) else style == record.text_request().style,
    )
    if False in alike:
        return "other"
    return "perhaps" if None in alike else "same"


def _sent(record: Record) -> tuple[object, ...]:
    """Return the forms in which the addresses of a row's input pictures can be echoed."""
    addresses = record.addresses
    return (list(addresses), *addresses[:1]) if addresses else ()


def _words(prompt: str) -> str:
    """Return a prompt as it is compared: a service may trim it, and loses no word by that."""
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def _size(value: Any) -> tuple[int, ...] | None:
    numbers = re.findall(r"\d{1,6}", value) if isinstance(value, str) else []
    return tuple(int(number) for number in numbers) if len(numbers) == 2 else None
