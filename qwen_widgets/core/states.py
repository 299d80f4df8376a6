"""The states of a purchase as one table: what is heard of which call leads where, and what makes an end an end.

An end is entered only by what nothing can change any more. Every passing cause leaves the row open: it is tried
again in the same run, by the next run of the cell, by ``grid.retry()`` and by ``%qwen resume``, without an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal, NamedTuple

State = Literal[
    "planned", "sending", "submitted", "completed", "stored", "unknown", "rejected", "failed", "expired",
]  # fmt: skip
#: From these a picture can still come without a second order.
OPEN: tuple[State, ...] = ("planned", "sending", "submitted", "completed", "unknown")
#: Sent, and not here: what `resume` asks for.
UNFINISHED: tuple[State, ...] = ("sending", "submitted", "completed", "unknown")
ENDS: tuple[State, ...] = ("stored", "rejected", "failed", "expired")
#: Seconds, by the service's own dates, between two answers that it has no such prediction before that counts.
GONE_FOR = 3 * 3600.0
#: The service deletes predictions, pictures and uploads after so many seconds.
KEPT = 7 * 24 * 3600.0


class Heard(Enum):
    """What a purchase hears of a call."""

    # of the order
    ANNOUNCED = "the row is durable, and the order may leave"
    HELD_BACK = "the run was stopped before the order left"
    NOT_SENT = "no byte of the order left this machine"
    NEVER_SENT = "it could not be sent however often it was tried"
    LIMITED = "429: nothing was made, and it may be ordered later"
    LIMITED_FOR_LONG = "429 for a quarter of an hour"
    REFUSED = "the service's own word about this very request"
    NOT_TAKEN = "a gateway, the key or the credit stood in the way"
    ACCEPTED = "an id"
    LOST = "the answer was lost, or can't be read; or whoever has sent it is gone"
    # of the history
    FOUND = "a prediction that is this order's"
    ABSENT = "the history reaches back behind the order, and it is not there"
    ABSENT_AGAIN = "absent, and it has been sent twice by now"
    UNSURE = "nothing that proves either"
    HERE = "a prediction that is this order's, and was fetched already as nobody's"
    SOMEBODYS = "the prediction, taken for nobody's, is another row's"
    DOUBLED = "another order was answered with the very id"
    # of the result
    RUNNING = "no end: still running, no answer, a 404, completed without a result"
    COMPLETED = "completed, with where the result is"
    FAILED = "the service's word that it failed"
    GONE = "the service has no such prediction any more: `is_too_old` or `is_gone`"
    # of the picture or the text
    ARRIVED = "whole, checked, and on the disk"
    NOT_YET = "another status, bytes that are no picture, an address that doesn't work"
    # of the disk
    DAMAGED = "the stored file is missing, or not what was stored"
    # of the user
    GIVEN_UP = "the user has given it up, or buys it again"


class Rule(NamedTuple):
    """Where something leads; for an end, what proves that nothing can change it."""

    to: State
    proof: str = ""


_NOTHING_MADE = "nothing was made: the same cell may order it again"
_GIVEN_UP = Rule("expired", "the user's own word")
_FETCHED_BEFORE = Rule("stored", "the file is whole, and its hash is in the row")
_SOMEBODYS = Rule("expired", "the prediction stands in the other row")
TABLE: Mapping[tuple[State, Heard], Rule] = {
    ("planned", Heard.ANNOUNCED): Rule("sending"),
    # Sent before, and refused by a limit; one that never was is taken back without a trace.
    ("planned", Heard.HELD_BACK): Rule("rejected", _NOTHING_MADE),
    # Of a ledger that was lost: the account's history knows more.
    ("planned", Heard.LOST): Rule("unknown"),
    ("sending", Heard.HELD_BACK): Rule("planned"),
    ("sending", Heard.NOT_SENT): Rule("planned"),
    ("sending", Heard.NEVER_SENT): Rule("rejected", _NOTHING_MADE),
    ("sending", Heard.LIMITED): Rule("planned"),
    ("sending", Heard.LIMITED_FOR_LONG): Rule("rejected", _NOTHING_MADE),
    ("sending", Heard.REFUSED): Rule("rejected", "the service's envelope names this request as the fault"),
    ("sending", Heard.NOT_TAKEN): Rule("rejected", _NOTHING_MADE),
    ("sending", Heard.ACCEPTED): Rule("submitted"),
    ("sending", Heard.LOST): Rule("unknown"),
    ("sending", Heard.DOUBLED): Rule("unknown"),
    ("sending", Heard.HERE): _FETCHED_BEFORE,
    ("unknown", Heard.FOUND): Rule("submitted"),
    ("unknown", Heard.ABSENT): Rule("planned"),
    ("unknown", Heard.ABSENT_AGAIN): Rule("rejected", _NOTHING_MADE),
    ("unknown", Heard.UNSURE): Rule("unknown"),
    ("unknown", Heard.LOST): Rule("unknown"),
    ("unknown", Heard.DOUBLED): Rule("unknown"),
    ("unknown", Heard.HERE): _FETCHED_BEFORE,
    ("unknown", Heard.SOMEBODYS): _SOMEBODYS,
    ("unknown", Heard.GONE): Rule("expired", "older than the service keeps anything, by its own dates"),
    ("submitted", Heard.RUNNING): Rule("submitted"),
    ("submitted", Heard.COMPLETED): Rule("completed"),
    ("submitted", Heard.FAILED): Rule("failed", "the service's word about this prediction"),
    ("submitted", Heard.GONE): Rule("expired", "said over hours, or older than the service keeps it"),
    ("submitted", Heard.SOMEBODYS): _SOMEBODYS,
    ("submitted", Heard.DOUBLED): Rule("unknown"),
    ("completed", Heard.ARRIVED): Rule("stored", "the file is whole, and its hash is in the row"),
    ("completed", Heard.NOT_YET): Rule("completed"),
    ("completed", Heard.GONE): Rule("expired", "said over hours, or older than the service keeps it"),
    ("completed", Heard.SOMEBODYS): _SOMEBODYS,
    ("completed", Heard.DOUBLED): Rule("unknown"),
    ("stored", Heard.DAMAGED): Rule("completed"),
    ("stored", Heard.SOMEBODYS): _SOMEBODYS,
    # Also a row that can't be read any more.
    **{(state, Heard.GIVEN_UP): _GIVEN_UP for state in (*OPEN, *ENDS)},
    # What was given up, or ended too early, and comes to light in the account's history.
    **{(state, Heard.FOUND): Rule("submitted") for state in ENDS},
}


def after(state: State, heard: Heard) -> Rule:
    """Return where a state goes; a pair that isn't in the table is a fault of this package."""
    return TABLE[state, heard]


def is_too_old(now: float | None, sent: float | None) -> bool:
    """Whether the service has deleted what was ordered then: whoever asks, it can't be had any more.

    Parameters
    ----------
    now, sent : float or None
        Seconds since the epoch by the service's own clock, None where it has never told. This machine's proves nothing.
    """
    return now is not None and sent is not None and now - sent > KEPT


def is_gone(now: float | None, missed: float | None) -> bool:
    """Whether the service, which has just answered 404, has been saying so for hours; as in `is_too_old`."""
    return now is not None and missed is not None and now - missed > GONE_FOR
