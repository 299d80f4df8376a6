"""What the service's calls share on the wire: a body read within bounds, its fields checked, the envelope around an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MAX_BODY = 1 << 20
_DRAINED = 16  # times the limit is read from a client that sends too much


class RefusedError(Exception):
    """An answer that is an error: ``{code, message}`` with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def refuse(_request: Request, error: Exception) -> Response:
    """Answer a refusal in the service's shape."""
    assert isinstance(error, RefusedError)
    return JSONResponse({"code": error.status, "message": error.message}, error.status)


async def refuse_http(_request: Request, error: Exception) -> Response:
    """Answer Starlette's own 404 and 405 in the service's shape."""
    assert isinstance(error, HTTPException)
    message = HTTPStatus(error.status_code).phrase
    return JSONResponse({"code": error.status_code, "message": message}, error.status_code, error.headers)


def done(data: object) -> Response:
    """Wrap what a call gives in the envelope of one that was accepted."""
    return JSONResponse({"code": 200, "message": "success", "data": data})


def origin(request: Request) -> str:
    """Return the address that the client came by, so that what it is told works behind any port."""
    return str(request.base_url).rstrip("/")


async def read_bytes(request: Request, limit: int = MAX_BODY) -> bytes:
    """Return a request's body, or refuse it with 413 where it is over the limit."""
    data, length = bytearray(), 0
    async for chunk in request.stream():
        length += len(chunk)
        # Read on without keeping it: a client that is still sending would see a reset instead of the 413.
        if length > max(limit, _DRAINED * MAX_BODY) and length > limit:
            break
        if length <= limit:
            data += chunk
    if length > limit:
        raise RefusedError(413, f"the body is over {limit} bytes")
    return bytes(data)


def _no_constant(name: str) -> None:
    # Python's own reader takes NaN and Infinity, which are no JSON and could not be echoed.
    raise ValueError(name)


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request's body."""
    data = await read_bytes(request)
    try:
        body = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return body


def text(body: Mapping[str, Any], name: str, *, default: str = "") -> str:
    """Return a text field."""
    value = body.get(name, default)
    # JSON can escape half a surrogate pair, which no UTF-8 answer could echo.
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise RefusedError(400, f"{name}: a text is needed")
    return value


def whole(body: Mapping[str, Any], name: str, lowest: int, highest: int, *, default: int) -> int:
    """Return a field that is a whole number, both limits included."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise RefusedError(400, f"{name}: a whole number from {lowest} to {highest} is needed")
    return value


def instant(body: Mapping[str, Any], name: str) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch; UTC where it names no zone."""
    written = text(body, name)
    if not written:
        return None
    try:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RefusedError(400, f"{name}: an ISO 8601 time is needed") from None
