"""The embedded service: the REST contract of the hosted one as an ASGI app, in process or on a port.

In process it is reached through ``httpx.ASGITransport(app=service.app)`` under `OFFLINE_BASE_URL`, a host that can never
resolve, so that a request which misses the transport fails instead of reaching somebody. On a port it is served by
``python -m qwen_widgets serve``. The contract is that of https://wavespeed.ai/docs.

Two marks in a prompt show what a failure looks like, without a key and without cost:

- ``offline:moderated`` ends as ``failed`` with the inner code 1200, as the hosted service does with flagged content.
- ``offline:fail`` ends as ``failed`` with the inner code 1403.

Both are refunded the moment they fail; the hosted service takes up to 3 hours. Input pictures are the service's own uploads
and outputs: it has no network, so any other address ends as ``failed`` with the inner code 1402.
"""

from __future__ import annotations

import heapq
import hmac
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import formatdate
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qwen_widgets.core.models import HIGHEST_SEED
from qwen_widgets.offline.catalogue import OFFERS, Offer, catalogue_entry
from qwen_widgets.offline.enhancer import enhance
from qwen_widgets.offline.files import file_response
from qwen_widgets.offline.orders import Order, read_order
from qwen_widgets.offline.predictions import FAILURES, FORMATS, Prediction, Status, TextForm, pace
from qwen_widgets.offline.rendering import Editor, Painter, Renderer
from qwen_widgets.offline.uploads import Uploads, fault_of
from qwen_widgets.offline.wire import (
    RefusedError,
    done,
    instant,
    origin,
    read_object,
    refuse,
    refuse_http,
    text,
    whole,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Where a client in the same process finds the service; ``.invalid`` never resolves (RFC 2606).
OFFLINE_ORIGIN = "http://offline.qwen-widgets.invalid"
API_PATH = "/api/v3"
OFFLINE_BASE_URL = OFFLINE_ORIGIN + API_PATH

_DAY = 24 * 3600.0
_MINUTE = 60.0
_MAX_PREDICTIONS = 10_000
_MAX_PAGE = 100

_log = logging.getLogger(__name__)


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
        Seconds until a prediction, its picture or an upload is gone.
    clock : callable
        The time now, seconds since the epoch.
    text_form : str
        How the answer of a model that makes text comes: ``text``, the ``address`` of a text file, or an ``object``.
    tickets : bool
        Whether uploads go by ticket and PUT; without, only the older multipart way is there.
    upload_bytes : int
        Bytes of uploads in memory; the oldest give way.
    more : tuple of Offer
        Models beside the eight of the hosted service's pages.
    """

    duration: float = 1.2
    require_key: str | None = field(default=None, repr=False)
    per_minute: int | None = None
    at_once: int | None = None
    balance: Decimal = Decimal(1000)
    keep: float = 7 * _DAY
    clock: Callable[[], float] = time.time
    text_form: TextForm = "text"
    tickets: bool = True
    upload_bytes: int = 200 << 20
    more: tuple[Offer, ...] = ()


class OfflineService:
    """The embedded service.

    Parameters
    ----------
    settings : ServiceSettings, optional
    painter : callable, optional
        Draws a picture from a prompt, a size (width, height; pixels) and a seed; it runs in a worker thread.
    editor : callable, optional
        Changes pictures by a prompt, to a size or their own, with a seed; it runs in a worker thread.

    Attributes
    ----------
    app : Starlette
        The ASGI app.
    uploads : Uploads
        The pictures that clients handed in.
    """

    def __init__(
        self,
        settings: ServiceSettings | None = None,
        *,
        painter: Painter | None = None,
        editor: Editor | None = None,
    ) -> None:
        self.settings = settings or ServiceSettings()
        self.uploads = Uploads(self.settings.upload_bytes, self.settings.keep, self.settings.clock)
        self._renderer = Renderer(painter, editor)
        self._models = {offer.id: offer for offer in (*OFFERS, *self.settings.more)}
        # Clients on two event loops may share one service, so state changes under a lock, never across an await.
        self._lock = threading.Lock()
        self._predictions: dict[str, Prediction] = {}
        self._submits = 0
        self._spent = Decimal(0)
        self._to_refund: list[Prediction] = []
        self._starts: deque[float] = deque()
        self._ends: list[float] = []
        api = [
            Route("/balance", self._get_balance),
            Route("/account/balance", self._get_balance),
            Route("/models", self._get_models),
            Route("/model/price", self._post_price, methods=["POST"]),
            Route("/model/pricing", self._post_pricing, methods=["POST"]),
            *self.uploads.api(tickets=self.settings.tickets),
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
                Route("/pictures/{file}", self._get_picture),
                Route("/texts/{id}.txt", self._get_text),
                *self.uploads.storage(),
            ],
            middleware=[Middleware(_Edge, settings=self.settings)],
            exception_handlers={RefusedError: refuse, HTTPException: refuse_http},
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

    def _start(self, order: Order, sources: tuple[str, ...], fault: tuple[int, str] | None) -> Prediction:
        settings = self.settings
        with self._lock:
            now = self._settle()
            if settings.at_once is not None and len(self._ends) >= settings.at_once:
                raise RefusedError(429, "You have reached your concurrency limit")
            if settings.per_minute is not None and len(self._starts) >= settings.per_minute:
                limit = f"{settings.per_minute} images a minute"
                raise RefusedError(429, f"You have reached your rate limit: {limit}")
            if settings.balance - self._spent < order.model.price:
                raise RefusedError(400, "Insufficient credits. Please top up.")
            asked = order.asked_seed
            seed = secrets.randbelow(HIGHEST_SEED + 1) if asked is None or asked < 0 else asked
            # Milliseconds, as `created_at` tells them, so that a filter of the history means the same instant;
            # never later than now, or a prediction of no duration would not be completed at once.
            created = math.floor(now * 1000) / 1000
            prediction = Prediction(
                id=secrets.token_hex(16),
                order=order,
                seed=seed,
                sources=sources,
                created=created,
                ends=created + settings.duration * pace(order, seed),
                failure=next((end for mark, end in FAILURES.items() if mark in order.prompt), fault),
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

    def _model(self, model_id: object) -> Offer:
        if not isinstance(model_id, str) or model_id not in self._models:
            raise RefusedError(400, "Model not found")
        return self._models[model_id]

    # Input pictures.

    async def _sources(
        self, order: Order, request: Request
    ) -> tuple[tuple[str, ...], tuple[int, str] | None]:
        """Return the names of an order's input pictures in memory, and what is wrong with one of them, if so."""
        names: list[str] = []
        for number, address in enumerate(order.images, start=1):
            name = await self._source(address, request)
            upload = self.uploads.find(name)
            if upload is None or upload.data is None:
                return (), (1402, f"The media could not be reached: image {number}, {address[:200]}")
            fault = await anyio.to_thread.run_sync(fault_of, upload.data, order.model.given)
            if fault:
                return (), (1401, f"images: image {number} {fault}")
            names.append(name)
        return tuple(names), None

    async def _source(self, address: str, request: Request) -> str:
        """Return the name of an upload, or of a picture of our own that becomes one; or nothing."""
        try:
            parts = urlsplit(address)
        except ValueError:
            return ""
        if f"{parts.scheme}://{parts.netloc}" not in {origin(request), OFFLINE_ORIGIN}:
            return ""
        folder, _, name = parts.path.lstrip("/").partition("/")
        if folder == "uploads":
            return name
        prediction, now = self._find(name.partition(".")[0])
        if folder != "pictures" or prediction is None or prediction.status(now) != "completed":
            return ""
        kind = FORMATS[prediction.order.output_format][1]
        return self.uploads.add(await self._draw(prediction), name=prediction.id, content_type=kind).name

    async def _draw(self, prediction: Prediction) -> bytes:
        if prediction.is_text:
            raise RefusedError(404, "no such picture")
        found = [self.uploads.find(name) for name in prediction.sources]
        sources = [upload.data for upload in found if upload is not None and upload.data is not None]
        if len(sources) < len(prediction.sources):
            raise RefusedError(404, "its input picture is no longer there")
        try:
            return await self._renderer.draw(prediction, sources)
        except Exception as error:
            _log.exception("the picture of prediction %s could not be drawn", prediction.id)
            raise RefusedError(500, "the picture could not be drawn") from error

    # Answers.

    def _told(self, prediction: Prediction, status: Status, request: Request) -> dict[str, object]:
        at = origin(request)
        outputs: list[object] = [f"{at}/pictures/{prediction.file}"]
        if prediction.is_text:
            outputs = [self._text_output(prediction, at)] if status == "completed" else []
        return prediction.told(status, at, API_PATH, outputs)

    def _text_output(self, prediction: Prediction, at: str) -> object:
        form = self.settings.text_form
        if form == "address":
            return f"{at}/texts/{prediction.id}.txt"
        return {"text": self._enhanced(prediction)} if form == "object" else self._enhanced(prediction)

    def _enhanced(self, prediction: Prediction) -> str:
        inputs = prediction.input
        found = [self.uploads.find(name) for name in prediction.sources]
        picture = next((upload.data for upload in found if upload is not None), None)
        return enhance(
            prediction.prompt, inputs.get("style", "default"), inputs.get("mode", "image"), picture
        )

    # The calls, one endpoint each.

    async def _post_submit(self, request: Request) -> Response:
        model = self._model(request.path_params["model_id"])
        order = read_order(model, await read_object(request))
        prediction = self._start(order, *await self._sources(order, request))
        # As it was created, even where it takes no time at all: an answer to a submit has no picture yet.
        return done(self._told(prediction, "created", request) | {"input": prediction.input})

    async def _get_result(self, request: Request) -> Response:
        prediction, now = self._find(request.path_params["id"])
        if prediction is None:
            return JSONResponse({"error": "task not found"}, 404)
        return done(self._told(prediction, prediction.status(now), request))

    async def _post_history(self, request: Request) -> Response:
        body = await read_object(request)
        page = whole(body, "page", 1, 10**9, default=1)
        page_size = whole(body, "page_size", 1, _MAX_PAGE, default=20)
        model, status = text(body, "model"), text(body, "status")
        after, before = instant(body, "created_after"), instant(body, "created_before")
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
            self._told(prediction, prediction.status(now), request) | {"input": prediction.input}
            for prediction in found[(page - 1) * page_size : page * page_size]
        ]
        return done({"page": page, "page_size": page_size, "total": len(found), "items": items})

    async def _post_delete(self, request: Request) -> Response:
        ids = (await read_object(request)).get("ids")
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise RefusedError(400, "ids: a list of prediction ids is needed")
        with self._lock:
            self._settle()
            # A deleted prediction that is in progress still counts, and still costs: there is no cancelling.
            count = sum(self._predictions.pop(each, None) is not None for each in ids)
        return done({"deleted_count": count})

    async def _get_balance(self, _request: Request) -> Response:
        return done({"balance": float(self.balance)})

    async def _priced(self, request: Request) -> Offer:
        body = await read_object(request)
        if not isinstance(body.get("inputs", {}), dict):
            raise RefusedError(400, "inputs: an object is needed")
        return self._model(body.get("model_id"))

    async def _post_price(self, request: Request) -> Response:
        model = await self._priced(request)
        price = float(model.price)
        return done({"model_id": model.id, "price": price, "discounted_price": price})

    async def _post_pricing(self, request: Request) -> Response:
        model = await self._priced(request)
        return done({"unit_price": float(model.price), "currency": "USD"})

    async def _get_models(self, request: Request) -> Response:
        at = origin(request)
        return done([catalogue_entry(offer, at, API_PATH) for offer in self._models.values()])

    async def _get_picture(self, request: Request) -> Response:
        file = request.path_params["file"]
        prediction, now = self._find(file.partition(".")[0])
        if prediction is None or prediction.file != file or prediction.status(now) != "completed":
            raise RefusedError(404, "no such picture")
        return file_response(
            request, await self._draw(prediction), FORMATS[prediction.order.output_format][1]
        )

    async def _get_text(self, request: Request) -> Response:
        prediction, now = self._find(request.path_params["id"])
        if prediction is None or not prediction.is_text or prediction.status(now) != "completed":
            raise RefusedError(404, "no such text")
        return file_response(request, self._enhanced(prediction).encode(), "text/plain; charset=utf-8")


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
