"""What the API's answers mean: JSON in, predictions and typed errors out. No I/O.

Lenient on purpose: the documentation, the official clients and published answers disagree on most fields,
so that every field may be null, absent, of another type or spelled with other digits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from qwen_widgets.core.errors import (
    KeyRefusedError,
    ModeratedError,
    NoCreditError,
    PredictionFailedError,
    QwenError,
    RateLimitedError,
    RejectedError,
    clean,
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?")
#: The wording varies; these words don't.
_NO_CREDIT = re.compile(
    r"insufficient\s+(credit|balance|fund)|top\s*up|not enough (credit|balance)", re.IGNORECASE
)
_KEY = re.compile(r"(api[ _-]?key|token|unauthori[sz]ed)", re.IGNORECASE)

ENDED_BADLY = frozenset({"failed", "cancelled", "canceled", "timeout", "deleted"})
MODERATION = 1200
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
        Addresses of the pictures.
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
        """Whether it ended without a picture."""
        if self.status in ENDED_BADLY:
            return True
        return self.status in ("completed", "succeeded") and not self.outputs

    def failure(self) -> QwenError:
        """Return the error that a failed prediction stands for."""
        said = clean(self.error)
        if self.code == MODERATION or (self.code is None and "sensitive" in said.lower()):
            return ModeratedError("The service flagged the prompt.", prediction_id=self.id)
        if self.status in ("completed", "succeeded"):
            said = said or "it completed without a picture"
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
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    raise BadAnswerError("the answer is not JSON")


def read_data(body: bytes) -> Any:
    """Return `data` of the envelope, or the whole object where there is no envelope.

    Raises
    ------
    BadAnswerError
        The body is not a JSON object.
    QwenError
        The envelope's own code says that the call was refused.
    """
    answer = read_json(body)
    if not isinstance(answer, dict):
        raise BadAnswerError("the answer is not a JSON object")
    code = _int(answer.get("code"))
    if code is not None and code not in (0, 200) and not _has_id(answer.get("data")):
        raise refusal(code if 400 <= code < 600 else 400, body)
    if "data" in answer:
        return answer["data"]
    return answer


def _has_id(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("id"), str) and bool(data["id"])


def read_prediction(data: Any) -> Prediction:
    """Read a prediction.

    Raises
    ------
    BadAnswerError
        There is no usable id.
    """
    if not isinstance(data, dict):
        raise BadAnswerError("the answer holds no prediction")
    prediction_id = data.get("id")
    if not isinstance(prediction_id, str) or not _ID.fullmatch(prediction_id):
        raise BadAnswerError("the answer holds no usable prediction id")
    timings = data.get("timings")
    milliseconds = _number(timings.get("inference") if isinstance(timings, dict) else None)
    if milliseconds is None:
        milliseconds = _number(data.get("executionTime"))
    status = data.get("status")
    echoed = data.get("input")
    model = data.get("model")
    return Prediction(
        id=prediction_id,
        status=status.strip().lower() if isinstance(status, str) else "",
        outputs=_outputs(data.get("outputs")),
        flagged=_flagged(data.get("has_nsfw_contents")),
        error=_error_text(data.get("error")),
        code=_int(data.get("code")),
        seconds=None if milliseconds is None else milliseconds / 1000,
        created_at=read_time(data.get("created_at")),
        input=echoed if isinstance(echoed, dict) else None,
        model=model if isinstance(model, str) else "",
    )


def check_prediction_id(text: str) -> str:
    """Return the id, or raise BadAnswerError where it could be a path or worse."""
    if not _ID.fullmatch(text):
        raise BadAnswerError("that is no prediction id")
    return text


def _outputs(value: Any) -> tuple[str, ...]:
    """Read outputs: a list, null, one text, an object with an address, or a list of these."""
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, dict):
        for name in ("url", "image", "image_url", "download_url", "uri"):
            if isinstance(value.get(name), str):
                return (value[name],)
        return ()
    if isinstance(value, list):
        return tuple(address for item in value[:64] for address in _outputs(item))
    return ()


def _flagged(value: Any) -> bool:
    if isinstance(value, list):
        return any(item is True for item in value)
    return value is True


def _error_text(value: Any) -> str:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return _error_text(value.get("message") or value.get("detail"))
    return ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _int(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


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
        return clean(re.sub(r"<[^>]*>", " ", text))
    if isinstance(answer, dict):
        for name in ("message", "error", "detail", "msg"):
            text = _error_text(answer.get(name))
            if text and text.lower() != "success":
                return text
        data = answer.get("data")
        if isinstance(data, dict):
            return _error_text(data.get("error")) or _error_text(data.get("message"))
        return ""
    return clean(answer) if isinstance(answer, str) else ""


def refusal(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> QwenError:
    """Return the error of an answer that proves that nothing was created (4xx)."""
    said = error_text(body)
    if status == 429:
        limited = RateLimitedError(f"The account's limit was reached: {said or 'HTTP 429'}")
        limited.retry_after = read_retry_after(headers or {})
        return limited
    if status == 402 or _NO_CREDIT.search(said):
        return NoCreditError(f"The account has no credit left: {said or f'HTTP {status}'}")
    if status in (401, 403):
        words = said or f"HTTP {status}"
        return KeyRefusedError(f"The API refused the key: {words}")
    if status == 400 and _KEY.search(said) and "invalid" in said.lower():
        return KeyRefusedError(f"The API refused the key: {said}")
    return RejectedError(f"The API refused the request: {said or f'HTTP {status}'}")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, None where it doesn't say.

    Seconds, ``retry-after-ms``, or a date measured against the answer's own ``Date``. What is negative, not a
    number, infinite or longer than `LONGEST_RETRY` counts as `DEFAULT_RETRY`.
    """
    milliseconds = headers.get("retry-after-ms")
    text = headers.get("retry-after")
    if milliseconds is not None:
        number = _number(milliseconds)
        seconds = math.nan if number is None else number / 1000
    elif text is not None:
        number = _number(text)
        seconds = _until(text, headers.get("date")) if number is None else number
    else:
        return None
    return seconds if 0 <= seconds <= LONGEST_RETRY else DEFAULT_RETRY


def _until(text: str, date: str | None) -> float:
    then = read_http_date(text)
    now = read_http_date(date) if date else datetime.now(UTC)
    return math.nan if then is None or now is None else (then - now).total_seconds()


def read_http_date(text: str) -> datetime | None:
    """Read the date of a header, in UTC; None where it can't be read."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
