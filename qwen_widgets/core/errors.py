"""QwenError and its kinds: each says whether money was spent and what to do next."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Paid = Literal["no", "yes", "unknown"]

# C0 and C1 control characters, and the bidirectional overrides that can disguise text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
# A terminal escape goes as a whole: what is left of one without its ESC would be read as text.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_LONGEST = 300


def clean(text: object, *, longest: int = _LONGEST, both_ends: bool = False) -> str:
    """Make foreign text fit for a message: one line, no control characters, at most `longest` characters.

    With `both_ends` a longer one is cut in the middle: a path is told by the file's name.
    """
    # Half a surrogate pair can't be written anywhere.
    whole = str(text).encode("utf-8", "replace").decode()
    line = _CONTROL.sub(" ", _ESCAPE.sub("", whole))
    line = " ".join(line.split())
    if len(line) <= longest:
        return line
    start = longest // 3 if both_ends else longest - 1
    return f"{line[:start]}…{line[len(line) - (longest - 1 - start) :]}"


class QwenError(Exception):
    """Anything that this package reports.

    Attributes
    ----------
    paid : {"no", "yes", "unknown"}
        Whether money was spent on what failed.
    next_step : str
        What the user can do now, one sentence; empty where the message says it.
    prediction_id : str or None
        The service's job, where there is one.
    """

    paid: Paid = "no"
    next_step: str = ""
    #: The short title of a failed cell.
    title: str = "Failed"
    #: Whether the same request may succeed when it is asked again unchanged.
    may_retry: bool = False
    #: Whether no further request of the same run can succeed.
    stops_run: bool = False

    def __init__(
        self,
        message: str,
        *,
        paid: Paid | None = None,
        next_step: str | None = None,
        prediction_id: str | None = None,
    ) -> None:
        super().__init__(message)
        if paid is not None:
            self.paid = paid
        if next_step is not None:
            self.next_step = next_step
        self.prediction_id = prediction_id

    @property
    def message(self) -> str:
        """The sentence that says what was wrong."""
        return str(self.args[0]) if self.args else ""

    @property
    def sentence(self) -> str:
        """What was wrong, and what to do about it."""
        stop = "" if self.message.endswith((".", "!", "?", "…")) or not self.next_step else "."
        return " ".join(text for text in (self.message + stop, self.next_step) if text)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback: the lines that the user wrote, and the sentence.

        What was typed is wrong, or what was asked for can't be had; the frames that have found it out say nothing
        of that. Outside of IPython it is an exception as any other.
        """
        lines = []
        for frame, line in traceback.walk_tb(self.__traceback__):
            room = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if room == __name__.partition(".")[0]:
                break
            if room in ("IPython", "ipykernel"):
                continue
            file = frame.f_code.co_filename
            where = "" if room == "__main__" else f"{Path(file).name}, "
            lines.append(f"{where}line {line}: {linecache.getline(file, line).strip()}")
        return [*lines, f"{type(self).__name__}: {self.sentence}"]


class InputError(QwenError, ValueError):
    """What the user typed can't be used: nothing was sent, nothing was bought."""

    title = "Can't run"


class ArgumentError(InputError, TypeError):
    """A function has no such argument."""


class PlaceError(InputError, IndexError):
    """A grid has no such cell."""


class SettingsError(QwenError):
    """A setting (address, folder, provider) can't be used."""

    title = "Settings"
    # A setting is mended, and the request stays as it is.
    may_retry = True


class BudgetError(QwenError):
    """A run would cost more than is allowed: nothing was bought."""

    title = "Over the limit"


class LedgerError(QwenError):
    """The ledger can't be read or written, so nothing may be bought."""

    title = "Ledger"


class UnprovenError(LedgerError):
    """The ledger was lost, and what it had bought last can't be proven: nothing is bought before the user says so."""

    next_step = (
        "%qwen ledger accept (qw.accept_ledger() in Python) has it bought all the same: what was bought before is then "
        "paid for a second time."
    )


class DamagedRowError(QwenError):
    """A row of the ledger can't be read, so nothing may be bought in its place."""

    title = "Damaged row"
    paid: Paid = "unknown"

    @classmethod
    def of(cls, row_id: int, columns: Sequence[str]) -> DamagedRowError:
        """Return the error of one row, with the columns that can't be read."""
        return cls(
            f"Row {row_id} of the ledger is damaged ({', '.join(columns)}), so nothing is bought in its place.",
            next_step=f"%qwen forget {row_id} gives it up; then the cell buys it anew.",
        )


class KeyRefusedError(QwenError):
    """The API key is missing, wrong, or lacks the role (HTTP 401, 403)."""

    title = "Key refused"
    next_step = "Set WAVESPEED_API_KEY or use %qwen login, then run the cell again."
    may_retry = True
    stops_run = True


class NoCreditError(QwenError):
    """The account has no credit left; the API says so with HTTP 400 or 402."""

    title = "No credit"
    next_step = "Top up the account, then run the cell again."
    may_retry = True
    stops_run = True


class RejectedError(QwenError):
    """The API refused the request as it is (bad parameter, unknown model): nothing was bought."""

    title = "Refused"
    next_step = "Change the request and run the cell again."


class NotTakenError(RejectedError):
    """Something on the way refused the request (a gateway, an address that isn't there yet): nothing was made.

    Not the service's own word about this request, so that the next run of the cell asks again.
    """

    title = "Not taken"
    next_step = "Run the cell again: nothing was bought."
    may_retry = True


class RateLimitedError(QwenError):
    """The account's rate or concurrency limit was reached (HTTP 429): nothing was bought.

    Attributes
    ----------
    retry_after : float or None
        Seconds that the server asked to wait.
    limit : {"rate", "concurrency"}
        Whether there were too many in a span of time, or too many at the same time.
    """

    title = "Too many at once"
    next_step = "Wait a minute and run the cell again: what is already here costs nothing."
    may_retry = True
    retry_after: float | None = None
    limit: Literal["rate", "concurrency"] = "rate"


class NotSentError(QwenError):
    """The request never left this machine (DNS, refused, TLS): nothing was bought."""

    title = "Not sent"
    next_step = "Check the network and run the cell again."
    may_retry = True


class UnknownOutcomeError(QwenError):
    """A submit was sent and its answer was lost: the picture may exist and may be charged. Never sent again blindly."""

    title = "Not known"
    paid: Paid = "unknown"
    next_step = "The account's history shows whether it was made; grid.retry() buys it again."
    #: The first 4 KB of an answer that came and could not be read.
    answer: str = ""


class PredictionFailedError(QwenError):
    """The service took the request and reported a failure; failed predictions are refunded within 3 hours.

    Attributes
    ----------
    code : int or None
        The business code of the task, 1400 to 5004.
    """

    title = "Failed"
    next_step = (
        "Not charged in the end: failed predictions are refunded. Run the cell again or change the wording."
    )
    may_retry = True
    code: int | None = None


class ModeratedError(PredictionFailedError):
    """The service flagged the prompt or the picture (inner code 1200)."""

    title = "Moderated"
    next_step = "Not charged. Change the wording and run again."
    may_retry = False


class StillRunningError(QwenError):
    """The prediction did not end within its deadline; it goes on at the service."""

    title = "Still running"
    paid: Paid = "yes"
    next_step = "Run the cell again later: it asks for the same prediction and buys nothing."
    may_retry = True


class UnavailableError(QwenError):
    """A call that is free to repeat (a result, a picture, a price) got no usable answer."""

    title = "No answer"
    next_step = "Run the cell again: what is paid for is fetched, not bought again."
    may_retry = True


class AddressError(UnavailableError):
    """The address of a picture or a text doesn't work (HTTP 403, 404, 410), or leads nowhere that is opened.

    It may be too early (a CDN that lags) or too late (an address that was good for an hour): a fresh one is asked for.
    """

    paid: Paid = "yes"


class ExpiredError(QwenError):
    """The service has deleted the prediction or its picture (it keeps them for 7 days), which is proven."""

    title = "Gone"
    paid: Paid = "yes"
    next_step = "The service deletes pictures after 7 days; grid.retry() buys it again."


class OtherKeyError(QwenError):
    """It was bought with another API key, and this key's account can't say what became of it: it stays to be fetched."""

    title = "Other key"
    paid: Paid = "yes"
    next_step = (
        "Run the cell again with the key it was bought with: it is fetched, and nothing is bought again."
    )
    may_retry = True


class PictureError(QwenError):
    """What came as a picture can't be used: not PNG, JPEG or WebP, too large, truncated, unreadable.

    The address may give the whole picture a moment later.
    """

    title = "Bad picture"
    paid: Paid = "yes"
    next_step = "Run the cell again: it is fetched again, not bought again."
    may_retry = True


class DamagedError(QwenError):
    """A stored picture's file is gone, or is no longer what was stored."""

    title = "Damaged"
    paid: Paid = "yes"
    next_step = "Run the cell again: it is fetched again at no cost, while the service keeps it (7 days)."
    may_retry = True


class TextError(QwenError):
    """What came as an enhanced prompt can't be used: no text, too large, not UTF-8."""

    title = "Bad text"
    paid: Paid = "yes"
    next_step = "Run it again: the text is fetched again, not bought again."
    may_retry = True


class StoppedError(QwenError):
    """The run was stopped before this picture was bought."""

    title = "Stopped"
    next_step = "Run the cell again to buy it."
    may_retry = True
