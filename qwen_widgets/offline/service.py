"""The embedded service: the REST contract of the hosted one as an ASGI app, in process or on a port.

In process it is reached through ``httpx.ASGITransport(app=service.app)`` under `OFFLINE_BASE_URL`, a host that can never
resolve, so that a request which misses the transport fails instead of reaching somebody. On a port it is served by
``python -m qwen_widgets serve``. The contract is that of https://wavespeed.ai/docs.

Two marks in a prompt show what a failure looks like, without a key and without cost:

- ``offline:moderated`` ends as ``failed`` with the inner code 1200, as the hosted service does with flagged content.
- ``offline:fail`` ends as ``failed`` with the inner code 1403.

Both are refunded the moment they fail; the hosted service takes up to 3 hours.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import io
import json
import logging
import os
import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qwen_widgets.core.models import DEFAULT_RATIO, HIGHEST_SEED, MODELS, PRESETS, Model, Size
from qwen_widgets.offline.catalogue import catalogue_entry
from qwen_widgets.offline.files import picture_response

if TYPE_CHECKING:
    from PIL.Image import Image
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Painter = Callable[[str, tuple[int, int], int], "Image"]
Status = Literal["created", "processing", "completed", "failed"]

#: Where a client in the same process finds the service; ``.invalid`` never resolves (RFC 2606).
OFFLINE_ORIGIN = "http://offline.qwen-widgets.invalid"
API_PATH = "/api/v3"
OFFLINE_BASE_URL = OFFLINE_ORIGIN + API_PATH

#: The marks in a prompt that make its prediction fail, with the inner code and the text of the failure.
FAILURES: dict[str, tuple[int, str]] = {
    "offline:moderated": (
        1200,
        "Content flagged as potentially sensitive. Please change the wording and try again.",
    ),
    "offline:fail": (1403, "The task failed. Please try again."),
}

_DAY = 24 * 3600.0
_MINUTE = 60.0
_SPREAD = 0.35  # of the duration, each way
_WAITING = 0.15  # of the duration is spent as `created`
_MAX_BODY = 1 << 20
_MAX_DRAINED = 16 * _MAX_BODY
_MAX_PREDICTIONS = 10_000
_MAX_PAGE = 100
_PICTURES_KEPT = 32
_PICTURE_BYTES_KEPT = 64 << 20
_PAINTERS_AT_ONCE = min(4, os.cpu_count() or 1)

_SIZE = re.compile(r"([0-9]{1,5})\*([0-9]{1,5})", re.ASCII)

_log = logging.getLogger(__name__)
# anyio's limiters belong to one event loop; a run variable is anyio's own way of having one for each.
_painters: RunVar[CapacityLimiter] = RunVar("qwen_widgets_offline_painters")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How the service behaves.

    Attributes
    ----------
    duration : float
        Seconds that a prediction takes in the middle. Each one is up to 35 % quicker or slower, always the same for
        the same request, so that a grid fills unevenly and repeatably.
    require_key : str or None
        The key that every call has to carry; without one any key, or none, is fine.
    per_minute : int or None
        Predictions started in a sliding minute before the answer is 429.
    at_once : int or None
        Predictions in progress before the answer is 429.
    balance : Decimal
        Credit at the start, US dollars.
    keep : float
        Seconds until a prediction and its picture are gone.
    clock : callable
        The time now, seconds since the epoch.
    """

    duration: float = 1.2
    require_key: str | None = field(default=None, repr=False)
    per_minute: int | None = None
    at_once: int | None = None
    balance: Decimal = Decimal(1000)
    keep: float = 7 * _DAY
    clock: Callable[[], float] = time.time


class _Order(NamedTuple):
    """What a submit asks for, checked."""

    model: Model
    prompt: str
    size: Size
    seed: int
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One prediction, as the service knows it; most of it is never told to a client.

    Attributes
    ----------
    id : str
        32 hex digits.
    model : Model
    prompt : str
    size : Size
        Pixels.
    asked_seed : int
        The seed of the request, maybe -1.
    seed : int
        The seed that the picture is drawn with.
    ignored : tuple of str
        Names in the request that the model has no use for.
    created, ends : float
        Seconds since the epoch.
    failure : tuple of (int, str) or None
        The inner code and the text that it ends with, where it fails.
    """

    id: str
    model: Model
    prompt: str
    size: Size
    asked_seed: int
    seed: int
    ignored: tuple[str, ...]
    created: float
    ends: float
    failure: tuple[int, str] | None

    @property
    def input(self) -> dict[str, object]:
        """The resolved input, which some answers echo; a drawn seed is not in it."""
        return {"prompt": self.prompt, "size": self.size.wire, "seed": self.asked_seed}

    def status(self, now: float) -> Status:
        """Return the state at a time; nothing runs in the background, so the clock alone decides."""
        if now >= self.ends:
            return "failed" if self.failure else "completed"
        return "processing" if now - self.created >= _WAITING * (self.ends - self.created) else "created"


class OfflineService:
    """The embedded service.

    Parameters
    ----------
    settings : ServiceSettings, optional
    painter : callable, optional
        Draws a picture from a prompt, a size (width, height; pixels) and a seed; it runs in a worker thread.

    Attributes
    ----------
    app : Starlette
        The ASGI app.
    """

    def __init__(self, settings: ServiceSettings | None = None, *, painter: Painter | None = None) -> None:
        self.settings = settings or ServiceSettings()
        self._painter = painter or _paint_offline
        # Clients on two event loops may share one service, so state changes under a lock, never across an await.
        self._lock = threading.Lock()
        self._predictions: dict[str, Prediction] = {}
        self._submits = 0
        self._spent = Decimal(0)
        self._to_refund: list[Prediction] = []
        self._starts: deque[float] = deque()
        self._ends: list[float] = []
        self._pictures: OrderedDict[tuple[str, Size, int], bytes] = OrderedDict()
        api = [
            Route("/balance", self._get_balance),
            Route("/account/balance", self._get_balance),
            Route("/models", self._get_models),
            Route("/model/price", self._post_price, methods=["POST"]),
            Route("/model/pricing", self._post_pricing, methods=["POST"]),
            Route("/predictions", self._post_history, methods=["POST"]),
            Route("/predictions/delete", self._post_delete, methods=["POST"]),
            Route("/predictions/{id}/result", self._get_result),
            Route("/predictions/{id}", self._get_result),
            # Last: a model's id is any path, and would take the calls above for itself.
            Route("/{model_id:path}", self._post_submit, methods=["POST"]),
        ]
        self.app = Starlette(
            routes=[
                *(Route(API_PATH + route.path, route.endpoint, methods=route.methods) for route in api),
                Route("/pictures/{id}.png", self._get_picture),
            ],
            middleware=[Middleware(_Edge, settings=self.settings)],
            exception_handlers={_RefusedError: _refuse, HTTPException: _refuse_http},
        )

    @property
    def predictions(self) -> Mapping[str, Prediction]:
        """The predictions that exist, by id, oldest first."""
        with self._lock:
            self._settle()
            return MappingProxyType(dict(self._predictions))

    @property
    def submits(self) -> int:
        """How many predictions were ever started; each was charged."""
        return self._submits

    @property
    def balance(self) -> Decimal:
        """The credit that is left, US dollars; failed predictions are refunded."""
        with self._lock:
            self._settle()
            return self.settings.balance - self._spent

    # What the service does, under the lock.

    def _settle(self) -> float:
        """Forget what has expired, refund what has failed, and return the time now."""
        now = self.settings.clock()
        while self._starts and self._starts[0] <= now - _MINUTE:
            self._starts.popleft()
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        if failed := [prediction for prediction in self._to_refund if prediction.ends <= now]:
            self._spent -= sum((prediction.model.price for prediction in failed), Decimal(0))
            self._to_refund = [prediction for prediction in self._to_refund if prediction.ends > now]
        while self._predictions:
            oldest = next(iter(self._predictions.values()))
            if oldest.created + self.settings.keep > now and len(self._predictions) <= _MAX_PREDICTIONS:
                break
            del self._predictions[oldest.id]
        return now

    def _start(self, order: _Order) -> Prediction:
        settings = self.settings
        with self._lock:
            now = self._settle()
            if settings.at_once is not None and len(self._ends) >= settings.at_once:
                raise _RefusedError(429, "You have reached your concurrency limit")
            if settings.per_minute is not None and len(self._starts) >= settings.per_minute:
                limit = f"{settings.per_minute} images a minute"
                raise _RefusedError(429, f"You have reached your rate limit: {limit}")
            if settings.balance - self._spent < order.model.price:
                raise _RefusedError(400, "Insufficient credits. Please top up.")
            seed = order.seed if order.seed >= 0 else secrets.randbelow(HIGHEST_SEED + 1)
            # Milliseconds, as `created_at` tells them, so that a filter of the history means the same instant.
            created = round(now, 3)
            prediction = Prediction(
                id=secrets.token_hex(16),
                model=order.model,
                prompt=order.prompt,
                size=order.size,
                asked_seed=order.seed,
                seed=seed,
                ignored=order.ignored,
                created=created,
                ends=created + settings.duration * _pace(order.model, order.prompt, order.size, seed),
                failure=next((end for mark, end in FAILURES.items() if mark in order.prompt), None),
            )
            self._predictions[prediction.id] = prediction
            self._submits += 1
            self._spent += prediction.model.price
            self._starts.append(now)
            heapq.heappush(self._ends, prediction.ends)
            if prediction.failure:
                self._to_refund.append(prediction)
            return prediction

    def _find(self, prediction_id: str) -> tuple[Prediction | None, float]:
        with self._lock:
            now = self._settle()
            return self._predictions.get(prediction_id), now

    # The calls, one endpoint each.

    async def _post_submit(self, request: Request) -> Response:
        body = await _read(request)
        prediction = self._start(_order(_model(request.path_params["model_id"]), body))
        # As it was created, even where it takes no time at all: an answer to a submit has no picture yet.
        return _done(_told(prediction, "created", request) | {"input": prediction.input})

    async def _get_result(self, request: Request) -> Response:
        prediction, now = self._find(request.path_params["id"])
        if prediction is None:
            return JSONResponse({"error": "task not found"}, 404)
        return _done(_told(prediction, prediction.status(now), request))

    async def _post_history(self, request: Request) -> Response:
        body = await _read(request)
        page = _whole(body, "page", 1, 10**9, default=1)
        page_size = _whole(body, "page_size", 1, _MAX_PAGE, default=20)
        model, status = _text(body, "model"), _text(body, "status")
        after, before = _instant(body, "created_after"), _instant(body, "created_before")
        with self._lock:
            now = self._settle()
            found = [
                prediction
                for prediction in reversed(self._predictions.values())
                if (not model or prediction.model.id == model)
                and (not status or prediction.status(now) == status)
                and (after is None or prediction.created >= after)
                and (before is None or prediction.created <= before)
            ]
        items = [
            _told(prediction, prediction.status(now), request) | {"input": prediction.input}
            for prediction in found[(page - 1) * page_size : page * page_size]
        ]
        return _done({"page": page, "page_size": page_size, "total": len(found), "items": items})

    async def _post_delete(self, request: Request) -> Response:
        ids = (await _read(request)).get("ids")
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise _RefusedError(400, "ids: a list of prediction ids is needed")
        with self._lock:
            self._settle()
            # A deleted prediction that is in progress still counts, and still costs: there is no cancelling.
            count = sum(self._predictions.pop(each, None) is not None for each in ids)
        return _done({"deleted_count": count})

    async def _get_balance(self, _request: Request) -> Response:
        return _done({"balance": float(self.balance)})

    async def _post_price(self, request: Request) -> Response:
        model = await _priced_model(request)
        price = float(model.price)
        return _done({"model_id": model.id, "price": price, "discounted_price": price})

    async def _post_pricing(self, request: Request) -> Response:
        model = await _priced_model(request)
        return _done({"unit_price": float(model.price), "currency": "USD"})

    async def _get_models(self, request: Request) -> Response:
        return _done([catalogue_entry(model, _origin(request), API_PATH) for model in MODELS])

    async def _get_picture(self, request: Request) -> Response:
        prediction, now = self._find(request.path_params["id"])
        if prediction is None or prediction.status(now) != "completed":
            raise _RefusedError(404, "no such picture")
        try:
            data = await self._draw(prediction)
        except Exception as error:
            _log.exception("the picture of prediction %s could not be drawn", prediction.id)
            raise _RefusedError(500, "the picture could not be drawn") from error
        return picture_response(request, data)

    async def _draw(self, prediction: Prediction) -> bytes:
        key = (prediction.prompt, prediction.size, prediction.seed)
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
        limiter = _painters.get(None)
        if limiter is None:
            limiter = CapacityLimiter(_PAINTERS_AT_ONCE)
            _painters.set(limiter)
        data = await anyio.to_thread.run_sync(
            self._paint, prediction, abandon_on_cancel=True, limiter=limiter
        )
        with self._lock:
            self._pictures[key] = data
            while (
                len(self._pictures) > _PICTURES_KEPT
                or sum(map(len, self._pictures.values())) > _PICTURE_BYTES_KEPT
            ):
                self._pictures.popitem(last=False)
        return data

    def _paint(self, prediction: Prediction) -> bytes:
        """Draw and encode a picture, in a worker thread."""
        image = self._painter(prediction.prompt, prediction.size, prediction.seed)
        buffer = io.BytesIO()
        # Measured with a drawn 1024×1024: half the time of the default level 6 (0.03 s), for a fifth more bytes.
        image.save(buffer, "PNG", compress_level=3)
        return buffer.getvalue()


def _paint_offline(prompt: str, size: tuple[int, int], seed: int) -> Image:
    from qwen_widgets.offline.painter import paint  # noqa: PLC0415 - numpy and Pillow, once there is a picture to draw

    return paint(prompt, size, seed)


class _RefusedError(Exception):
    """An answer that is an error: ``{code, message}`` with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Edge:
    """What holds for every call: a ``Date`` header, and the key where one is required."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._clock = settings.clock
        self._bearer = None if settings.require_key is None else f"Bearer {settings.require_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("date", formatdate(self._clock(), usegmt=True))
            await send(message)

        app: ASGIApp = self._app
        if self._bearer is not None and scope["path"].startswith(API_PATH):
            told = Headers(scope=scope).get("authorization", "")
            if not hmac.compare_digest(told.encode("latin-1"), self._bearer):
                app = JSONResponse({"code": 401, "message": "Invalid API key"}, 401)
        await app(scope, receive, send_dated)


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _RefusedError)
    return JSONResponse({"code": error.status, "message": error.message}, error.status)


async def _refuse_http(_request: Request, error: Exception) -> Response:
    """Answer Starlette's own 404 and 405 in the service's shape."""
    assert isinstance(error, HTTPException)
    message = HTTPStatus(error.status_code).phrase
    return JSONResponse({"code": error.status_code, "message": message}, error.status_code, error.headers)


# Reading a request.


async def _read(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request's body."""
    data, length = bytearray(), 0
    async for chunk in request.stream():
        length += len(chunk)
        # Read on without keeping it: a client that is still sending would see a reset instead of the 413.
        if length > _MAX_DRAINED:
            break
        if length <= _MAX_BODY:
            data += chunk
    if length > _MAX_BODY:
        raise _RefusedError(413, f"the body is over {_MAX_BODY} bytes")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise _RefusedError(400, "the body is not a JSON object")
    return body


def _model(model_id: object) -> Model:
    for model in MODELS:
        if model.id == model_id:
            return model
    raise _RefusedError(400, "Model not found")


async def _priced_model(request: Request) -> Model:
    body = await _read(request)
    if not isinstance(body.get("inputs", {}), dict):
        raise _RefusedError(400, "inputs: an object is needed")
    return _model(body.get("model_id"))


def _order(model: Model, body: Mapping[str, Any]) -> _Order:
    prompt = _text(body, "prompt")
    if not prompt.strip():
        raise _RefusedError(400, "prompt: it is required")
    if len(prompt) > model.max_prompt:
        raise _RefusedError(400, f"prompt: {len(prompt)} characters, at most {model.max_prompt} are allowed")
    match = _SIZE.fullmatch(_text(body, "size", default=PRESETS[DEFAULT_RATIO].wire))
    if match is None:
        raise _RefusedError(400, "size: it must be width*height, such as 1024*1024")
    size = Size(int(match[1]), int(match[2]))
    if not model.fits(size):
        raise _RefusedError(400, f"size: each side must be {model.min_side} to {model.max_side} pixels")
    seed = _whole(body, "seed", -1, HIGHEST_SEED, default=-1)
    # The hosted service says nothing about a name that it doesn't know; a test may want to.
    ignored = tuple(sorted(body.keys() - {"prompt", "size", "seed"}))
    return _Order(model, prompt, size, seed, ignored)


def _text(body: Mapping[str, Any], name: str, *, default: str = "") -> str:
    value = body.get(name, default)
    # JSON can escape half a surrogate pair, which no UTF-8 answer could echo.
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise _RefusedError(400, f"{name}: a text is needed")
    return value


def _whole(body: Mapping[str, Any], name: str, lowest: int, highest: int, *, default: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise _RefusedError(400, f"{name}: a whole number from {lowest} to {highest} is needed")
    return value


def _instant(body: Mapping[str, Any], name: str) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch; UTC where it names no zone."""
    text = _text(body, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _RefusedError(400, f"{name}: an ISO 8601 time is needed") from None


# Writing an answer.


def _done(data: object) -> Response:
    return JSONResponse({"code": 200, "message": "success", "data": data})


def _origin(request: Request) -> str:
    """Return the address that the client came by, so that what it is told works behind any port."""
    return str(request.base_url).rstrip("/")


def _told(prediction: Prediction, status: Status, request: Request) -> dict[str, object]:
    """Return the `data` of a prediction."""
    origin = _origin(request)
    completed = status == "completed"
    milliseconds = round((prediction.ends - prediction.created) * 1000) if completed else 0
    created = datetime.fromtimestamp(prediction.created, UTC).isoformat(timespec="milliseconds")
    data: dict[str, object] = {
        "id": prediction.id,
        "model": prediction.model.id,
        "status": status,
        "outputs": [f"{origin}/pictures/{prediction.id}.png"] if completed else [],
        "urls": {"get": f"{origin}{API_PATH}/predictions/{prediction.id}/result"},
        "has_nsfw_contents": [False] if completed else [],
        "created_at": created.replace("+00:00", "Z"),
        "error": "",
        "executionTime": milliseconds,
        "timings": {"inference": milliseconds},
    }
    if status == "failed" and prediction.failure:
        data["code"], data["error"] = prediction.failure
    return data


def _pace(model: Model, prompt: str, size: Size, seed: int) -> float:
    """Return the factor on the duration, 0.65 to 1.35, always the same for the same request."""
    digest = hashlib.sha256(f"{model.id}\n{size.wire}\n{seed}\n{prompt}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return 1 - _SPREAD + 2 * _SPREAD * share
