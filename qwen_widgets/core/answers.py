"""What the API's answers mean: JSON in, predictions and typed errors out. No I/O.

Lenient on purpose: the documentation, the official clients and published answers disagree on most fields,
so that every field may be null, absent, of another type or spelled with other digits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from qwen_widgets.core.errors import (
    ExpiredError,
    KeyRefusedError,
    ModeratedError,
    NoCreditError,
    NotTakenError,
    PredictionFailedError,
    QwenError,
    RateLimitedError,
    RejectedError,
    TextError,
    clean,
)
from qwen_widgets.core.wire_numbers import from_digits, integer, number

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII)
#: The wording varies; these words don't.
_NO_CREDIT = re.compile(
    r"insufficient\s+(credit|balance|fund)|top\s*up|not enough (credit|balance)", re.IGNORECASE
)
#: Control characters, which no prompt may hold.
_PLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
#: What the service calls the limit that counts predictions at the same time; every other one counts a span of time.
_CONCURRENCY = re.compile(r"concurren|simultaneous|at the same time|at once", re.IGNORECASE)
_KEY = re.compile(r"(api[ _-]?key|token|unauthori[sz]ed)", re.IGNORECASE)

#: A text as models like to wrap it, and what a server sends in place of a text: a page to sign in, an error.
_FENCED = re.compile(r"```\w*\s*\n(.*?)\n?\s*```", re.DOTALL)
_PAGE = re.compile(r"<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_WEB_ADDRESS = re.compile(r"https?://[!-~]{1,4000}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
#: Headers that a storage's ticket has no say in: whose they are, and how the bytes travel.
_OUR_HEADERS = frozenset(
    {"authorization", "cookie", "host", "content-length", "transfer-encoding", "connection", "expect", "te",
     "trailer", "upgrade", "proxy-authorization", "content-encoding"}
)  # fmt: skip

ENDED_BADLY = frozenset({"failed", "cancelled", "canceled", "timeout", "deleted"})
MODERATION = 1200
#: Milliseconds; the service keeps a prediction for seven days.
_LONGEST_INFERENCE = 7 * 24 * 3600 * 1000
#: The service found nothing at an input picture's address.
MEDIA_UNREACHABLE = 1402
#: Longest wait that a Retry-After may ask for before it counts as nonsense, and what is waited then; seconds.
LONGEST_RETRY = 300.0
DEFAULT_RETRY = 60.0


class BadAnswerError(ValueError):
    """An answer that can't be read: not JSON, no object, no id."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The service's job for one request.

    Attributes
    ----------
    status : str
        In lower case; `completed` and the members of `ENDED_BADLY` are final, any other is not.
    outputs : tuple of str
        Addresses of the pictures; of a model that makes text, the text or the address of a file that holds it.
    flagged : bool
        Whether the service marked an output as not safe for work.
    seconds : float or None
        Time of the inference.
    input : mapping or None
        The input that the service resolved, where it echoes one.
    """

    id: str
    status: str
    outputs: tuple[str, ...] = ()
    flagged: bool = False
    error: str = ""
    code: int | None = None
    seconds: float | None = None
    created_at: datetime | None = None
    input: Mapping[str, Any] | None = None
    model: str = ""

    @property
    def completed(self) -> bool:
        """Whether the picture can be fetched."""
        return self.status in ("completed", "succeeded") and bool(self.outputs)

    @property
    def failed(self) -> bool:
        """Whether it ended without a picture. Completed without outputs is no end: they may come a moment later."""
        return self.status in ENDED_BADLY

    @property
    def empty(self) -> bool:
        """Whether it is said to be completed, and not where the result is."""
        return self.status in ("completed", "succeeded") and not self.outputs

    def failure(self) -> QwenError:
        """Return the error that a failed prediction stands for."""
        said = clean(self.error)
        if self.code == MODERATION or (self.code in (None, 0, 200) and "sensitive" in said.lower()):
            return ModeratedError("The service flagged the prompt.", prediction_id=self.id)
        if self.status == "deleted":
            return ExpiredError("The service has deleted this prediction.", prediction_id=self.id)
        kind = PredictionFailedError(
            f"The service could not make it: {said or self.status}", prediction_id=self.id, paid="no"
        )
        kind.code = self.code
        return kind


def read_json(body: bytes) -> Any:
    """Parse an answer's body.

    Raises
    ------
    BadAnswerError
        It is not JSON, or nested deeper than Python can follow.
    """
    try:
        return json.loads(body, parse_int=from_digits)
    except (ValueError, RecursionError):
        pass
    raise BadAnswerError("the answer is not JSON")


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer's `code` and `data`; an answer without an envelope is its own data."""

    code: int | None
    data: Any

    @property
    def refused(self) -> bool:
        """Whether the envelope says that the call was refused. Where there is an id, something was made."""
        return self.code not in (None, 0, 200) and not _has_id(self.data)

    @property
    def names_the_request(self) -> bool:
        """Whether the code is the service's own word about the request: 4xx, or the task's 1200 to 1499."""
        code = self.code if self.code is not None else 0
        return 400 <= code < 500 or MODERATION <= code < 1500

    @property
    def as_status(self) -> int:
        """The HTTP status that the code stands for."""
        return self.code if self.code is not None and 400 <= self.code < 600 else 400


def read_envelope(body: bytes) -> Envelope:
    """Read an answer.

    Raises
    ------
    BadAnswerError
        The body is not a JSON object.
    """
    answer = read_json(body)
    if not isinstance(answer, dict):
        raise BadAnswerError("the answer is not a JSON object")
    return Envelope(integer(answer.get("code")), answer.get("data", answer))


def _has_id(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("id"), str) and bool(data["id"])


def read_prediction(data: Any, *, asked: str | None = None) -> Prediction:
    """Read a prediction.

    Parameters
    ----------
    asked : str, optional
        The id that the answer has to be about. It may be missing in the answer then, as some are broken so.

    Raises
    ------
    BadAnswerError
        There is no usable id, or another than was asked for.
    """
    if not isinstance(data, dict):
        raise BadAnswerError("the answer holds no prediction")
    prediction_id = data.get("id")
    if asked is not None:
        if prediction_id in (None, "") and isinstance(data.get("status"), str):
            prediction_id = asked
        elif prediction_id != asked:
            raise BadAnswerError("the answer is about another prediction")
    if not isinstance(prediction_id, str) or not _ID.fullmatch(prediction_id):
        raise BadAnswerError("the answer holds no usable prediction id")
    timings = data.get("timings")
    milliseconds = number(timings.get("inference") if isinstance(timings, dict) else None)
    if milliseconds is None:
        milliseconds = number(data.get("executionTime"))
    status = data.get("status")
    echoed = data.get("input")
    model = data.get("model")
    return Prediction(
        id=prediction_id,
        status=status.strip().lower() if isinstance(status, str) else "",
        outputs=_outputs(data.get("outputs")),
        flagged=_flagged(data.get("has_nsfw_contents")),
        error=_error_text(data.get("error")),
        code=integer(data.get("code")),
        seconds=None
        if milliseconds is None or not 0 <= milliseconds <= _LONGEST_INFERENCE
        else milliseconds / 1000,
        created_at=read_time(data.get("created_at")),
        input=echoed if isinstance(echoed, dict) else None,
        model=model if isinstance(model, str) else "",
    )


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of the account's history.

    Attributes
    ----------
    unreadable : int
        Entries that can't be read; each could be any prediction.
    total : int or None
        How many entries there are in all, as far as the service is to be believed.
    """

    entries: tuple[Prediction, ...]
    unreadable: int = 0
    total: int | None = None

    @property
    def count(self) -> int:
        """How many entries came, readable or not."""
        return len(self.entries) + self.unreadable


def read_history_page(data: Any) -> HistoryPage:
    """Read a page of the history.

    Raises
    ------
    BadAnswerError
        There is no list in it.
    """
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise BadAnswerError("the history came without a list")
    entries = []
    for item in items:
        with suppress(BadAnswerError):
            entries.append(read_prediction(item))
    return HistoryPage(tuple(entries), len(items) - len(entries), integer(data.get("total")))


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where a file may be brought, with which headers, and the address that it has then."""

    put_to: str
    headers: Mapping[str, str]
    address: str


def read_ticket(data: Any) -> Ticket:
    """Read the permission to bring a file to a storage.

    Raises
    ------
    BadAnswerError
        An address is missing or can't be one, or the file is to be sent in another way than by PUT.
    """
    upload = data.get("upload") if isinstance(data, dict) else None
    method = upload.get("method", "PUT") if isinstance(upload, dict) else None
    if not isinstance(upload, dict) or not isinstance(method, str) or method.upper() != "PUT":
        raise BadAnswerError("the answer names no place to bring a file to")
    given = upload.get("headers")
    headers = {
        name: value
        for name, value in (given.items() if isinstance(given, dict) else ())
        if isinstance(value, str)
        and _HEADER.fullmatch(name)
        and value.isascii()
        and value.isprintable()
        and name.lower() not in _OUR_HEADERS
    }
    return Ticket(_web_address(upload.get("url")), headers, read_upload(data))


def read_upload(data: Any) -> str:
    """Return the address of a file that was uploaded.

    Raises
    ------
    BadAnswerError
        There is none.
    """
    return _web_address(data.get("download_url") if isinstance(data, dict) else None)


def _web_address(value: Any) -> str:
    if isinstance(value, str) and _WEB_ADDRESS.fullmatch(value):
        return value
    raise BadAnswerError("the answer names no address of the file")


def check_prediction_id(text: str) -> str:
    """Return the id, or raise BadAnswerError where it could be a path or worse."""
    if not _ID.fullmatch(text):
        raise BadAnswerError("that is no prediction id")
    return text


def _outputs(value: Any) -> tuple[str, ...]:
    """Read outputs: a list, null, one text, an object with an address, or a list of these."""
    items = value[:64] if isinstance(value, list) else [value]
    # One level deep and no deeper: JSON can nest further than Python can follow.
    return tuple(address for item in items if (address := _address(item)))


#: Names under which an object holds an address, then those under which it holds a text.
_NAMES = (
    "url", "image", "image_url", "download_url", "uri",
    "text", "prompt", "enhanced_prompt", "optimized_prompt", "output", "result", "content", "response", "value",
    "outputs",
)  # fmt: skip


def _address(value: Any) -> str:
    if not isinstance(value, dict):
        return value if isinstance(value, str) else ""
    # And one object further down: {"output": {"text": …}}.
    for holder in (value, *(inner for inner in value.values() if isinstance(inner, dict))):
        named = (_first(holder.get(name)) for name in _NAMES)
        if found := next((text for text in named if isinstance(text, str) and text), ""):
            return found
    return ""


def _first(value: Any) -> Any:
    """Return the first entry of a list: {"outputs": ["…"]}."""
    return next(iter(value), None) if isinstance(value, list) else value


def read_text(output: str) -> str:
    """Return what a model that makes text has said: the output itself, or the text of the JSON that it is.

    Raises
    ------
    TextError
        It is empty, JSON that holds no text, or a page: pictures of that would be paid for.
    """
    said = output.strip()
    if fenced := _FENCED.fullmatch(said):
        said = fenced[1].strip()
    if _PAGE.match(said):
        raise TextError("What came as a text is a web page.")
    if said.startswith(("{", "[", '"')):
        with suppress(BadAnswerError):
            said = next(iter(_outputs(read_json(said.encode("utf-8", "replace")))), "")
            if not said:
                raise TextError("What came as a text is JSON that holds none.")
    text = " ".join(_PLAIN.sub(" ", said.encode("utf-8", "replace").decode()).split())
    if not text:
        raise TextError("What came as a text is empty.")
    return text


def _flagged(value: Any) -> bool:
    if isinstance(value, list):
        return any(item is True for item in value)
    return value is True


def _error_text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("message") or value.get("detail")
    return _words(value) if isinstance(value, str) else ""


def _words(text: str) -> str:
    """Clean foreign text; half a surrogate pair, which JSON can hold, can be neither stored nor printed."""
    return clean(text.encode("utf-8", "replace").decode())


def read_time(value: Any) -> datetime | None:
    """Read an ISO 8601 time with 0 to 9 fraction digits; without a zone it is UTC. Microseconds are kept."""
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    fraction = (match[2] or "")[:6].ljust(6, "0")
    zone = match[3] or "Z"
    try:
        moment = datetime.fromisoformat(f"{match[1]}.{fraction}{'+00:00' if zone == 'Z' else zone}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def error_text(body: bytes) -> str:
    """Return the words of an error answer: ``{code, message}``, ``{"error": …}``, plain text or HTML."""
    try:
        answer = read_json(body)
    except BadAnswerError:
        text = body[:4096].decode("utf-8", "replace")
        return clean(re.sub(r"<[^<>]*>", " ", text))
    if isinstance(answer, dict):
        for name in ("message", "error", "detail", "msg"):
            text = _error_text(answer.get(name))
            if text and text.lower() != "success":
                return text
        data = answer.get("data")
        if isinstance(data, dict):
            return _error_text(data.get("error")) or _error_text(data.get("message"))
        return ""
    return _error_text(answer)


def refusal(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> QwenError:
    """Return the error of an answer that proves that nothing was created (4xx)."""
    said = error_text(body)
    if status == 429:
        wait = read_retry_after(headers or {})
        # The wait that was asked for was nonsense: say what is done in its place.
        instead = f" (waiting {wait:.0f} s)" if wait != _asked_wait(headers or {}) else ""
        limited = RateLimitedError(f"The account's limit was reached: {said or 'HTTP 429'}{instead}")
        limited.retry_after = wait
        if _CONCURRENCY.search(said):
            limited.limit = "concurrency"
        return limited
    if status == 402 or _NO_CREDIT.search(said):
        return NoCreditError(f"The account has no credit left: {said or f'HTTP {status}'}")
    if status in (401, 403):
        words = said or f"HTTP {status}"
        return KeyRefusedError(f"The API refused the key: {words}")
    if status == 400 and _KEY.search(said) and "invalid" in said.lower():
        return KeyRefusedError(f"The API refused the key: {said}")
    if _own_word(status, body):
        return RejectedError(f"The API refused the request: {said or f'HTTP {status}'}")
    return NotTakenError(f"The request was not taken: {said or f'HTTP {status}'}")


def _own_word(status: int, body: bytes) -> bool:
    """Whether a refusal is the service's own, by its envelope, and not that of a gateway before it.

    The other documented shape, ``{"error": …}``, counts where the status itself speaks of the request's content:
    gateways answer 404, 405 and 413 in that shape, too.
    """
    with suppress(BadAnswerError):
        envelope = read_envelope(body)
        if envelope.code not in (None, 0, 200):
            return envelope.names_the_request
        return status in (400, 422)
    return False


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, None where it doesn't say.

    Seconds, ``retry-after-ms``, or a date measured against the answer's own ``Date``. What is negative, not a
    number, infinite or longer than `LONGEST_RETRY` counts as `DEFAULT_RETRY`.
    """
    seconds = _asked_wait(headers)
    return DEFAULT_RETRY if seconds is not None and not 0 <= seconds <= LONGEST_RETRY else seconds


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds as they were written, not a number where they can't be read."""
    text = headers.get("retry-after")
    milliseconds = number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    if text is None:
        return math.nan if "retry-after-ms" in headers else None
    seconds = number(text)
    return _until(text, headers.get("date")) if seconds is None else seconds


def _until(text: str, date: str | None) -> float:
    then = read_http_date(text)
    now = (read_http_date(date) if date else None) or datetime.now(UTC)
    return math.nan if then is None else (then - now).total_seconds()


def read_http_date(text: str) -> datetime | None:
    """Read the date of a header, in UTC; None where it can't be read."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
