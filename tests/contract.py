"""A server that speaks the real contract on a loopback port, and writes down what it was asked."""

from __future__ import annotations

import json
import random
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.responses import JSONResponse

from qwen_widgets.offline.catalogue import OFFERS, catalogue_entry
from qwen_widgets.offline.service import API_PATH, OfflineService, ServiceSettings

KEY = "test-key-5e1f0c"


@dataclass
class Asked:
    """One request as it arrived; `body` is its JSON, where it is some."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None
    data: bytes = b""


@dataclass
class ContractServer:
    """The embedded service behind a real port; `asked` is every request, `service` knows the truth.

    What else a test may want is in the settings, with ``settings(text_form="object")``: the form in which an enhanced text
    comes, uploads without tickets, models beside the eight. `catalogue` stands in for what ``GET /models`` lists, such
    as ``crowded_catalogue()``; it can be set at any time.
    """

    settings: ServiceSettings = field(default_factory=lambda: settings())
    asked: list[Asked] = field(default_factory=list)
    catalogue: list[Any] | None = None

    def __post_init__(self) -> None:
        self.service = OfflineService(self.settings)
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            host="127.0.0.1",
            port=0,
            log_level="warning",
            lifespan="off",
            date_header=False,
        )
        self._server = uvicorn.Server(config)
        self._socket = config.bind_socket()
        # At once: whoever comes before the thread is up waits, and isn't refused.
        self._socket.listen()
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        asked = Asked(scope["method"], scope["path"], headers)
        self.asked.append(asked)
        chunks = bytearray()

        async def hear() -> Any:
            message = await receive()
            chunks.extend(message.get("body", b""))
            if not message.get("more_body"):
                asked.data = bytes(chunks)
                with suppress(ValueError):
                    asked.body = json.loads(asked.data)
            return message

        app: Any = self.service.app
        if self.catalogue is not None and scope["path"] == f"{API_PATH}/models":
            app = JSONResponse({"code": 200, "message": "success", "data": self.catalogue})
        await app(scope, hear, send)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{API_PATH}"

    @property
    def submits(self) -> list[Asked]:
        """The requests that cost money."""
        free = tuple(f"{API_PATH}/{call}" for call in ("predictions", "model/", "media/"))
        return [asked for asked in self.asked if asked.method == "POST" and not asked.path.startswith(free)]

    @property
    def uploads(self) -> list[Asked]:
        """The requests that brought a file: PUTs to the storage, and multipart posts."""
        older = f"{API_PATH}/media/upload/binary"
        return [asked for asked in self.asked if asked.method == "PUT" or asked.path == older]

    def env(self) -> dict[str, str]:
        """The environment of a client of this server."""
        return {"QWEN_WIDGETS_BASE_URL": self.base_url, "WAVESPEED_API_KEY": KEY}

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)
        # A server that is told to end before it has begun leaves its socket open.
        self._socket.close()


def settings(**changes: Any) -> ServiceSettings:
    """Return the settings of a server in a test, with changes."""
    return ServiceSettings(**({"duration": 0.3, "require_key": KEY} | changes))


def crowded_catalogue(count: int = 1000) -> list[Any]:
    """Return a catalogue of so many models, the eight among them, and every tenth or so with a surprise.

    A surprise: a field is missing, null or of another type, a schema has types that nobody knows or refers to another, a
    limit is a text, an entry is no object at all. The eight are as they should be. Always the same.
    """
    rng = random.Random(1)
    known = [catalogue_entry(offer, "https://api.wavespeed.ai", API_PATH) for offer in OFFERS]
    entries: list[Any] = [*known, *(_entry(rng, number) for number in range(count - len(known)))]
    rng.shuffle(entries)
    return entries


def _entry(rng: random.Random, number: int) -> Any:
    maker = rng.choice(("acme", "tides", "kite-labs", "norn", "ottoman"))
    kind = rng.choice(("text-to-image", "image-to-image", "text-to-video", "image-to-video", "text-to-audio"))
    name = f"{maker}/{rng.choice(('aster', 'brook', 'cedar', 'delta'))}-v{number}/{kind}"
    properties: dict[str, Any] = {
        "prompt": {"type": "string", "description": "What is to be made. " * rng.randint(1, 12)},
        "size": {
            "type": "string",
            "default": "1024*1024",
            "minimum": 256,
            "maximum": rng.choice((1536, 4096)),
        },
        "seed": {"type": "integer", "default": -1, "minimum": -1, "maximum": 2147483647},
        "guidance_scale": {"type": "number", "default": 3.5, "minimum": 0, "maximum": 20, "step": 0.1},
        "enable_base64_output": {"type": "boolean", "default": False},
        "strength": {"type": "number", "default": 0.8},
        "output_format": {"type": "string", "enum": ["jpeg", "png", "webp"], "default": "jpeg"},
    }
    if kind.startswith("image"):
        properties["images"] = {"type": "array", "items": {"type": "string"}, "maxItems": rng.randint(1, 10)}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": ["prompt"]}
    run = {"type": "model_run", "method": "POST", "api_path": f"{API_PATH}/{name}", "request_schema": schema}
    entry: dict[str, Any] = {
        "model_id": name,
        "name": name,
        "description": "A model. " * rng.randint(1, 40),
        "type": kind,
        "base_price": round(rng.uniform(0.001, 2.5), 4),
        "sort_order": number,
        "api_schema": {"api_schemas": [run]},
    }
    if number % 10 == 0:
        return _surprise(number // 10, entry, schema)
    return entry


def _surprise(kind: int, entry: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Spoil an entry in one of sixteen ways."""
    properties = schema["properties"]
    changes: tuple[Any, ...] = (
        lambda: entry.pop("api_schema"),
        lambda: entry.pop("base_price"),
        lambda: entry.pop("type"),
        lambda: entry.update(model_id=None),
        lambda: entry.update(model_id=""),
        lambda: entry.update(base_price="0.05"),
        lambda: entry.update(base_price=None, type=["text-to-image"]),
        lambda: entry["api_schema"].update(api_schemas=[]),
        lambda: entry["api_schema"].update(api_schemas=None),
        lambda: schema.update(properties=None),
        lambda: schema.pop("required"),
        lambda: properties.update(size={"type": ["string", "null"], "minimum": "256", "maximum": {"a": 1}}),
        lambda: properties.update(loras={"type": "tensor", "items": 7}, mask={"$ref": "#/components/Mask"}),
        lambda: properties.update(
            seed="an integer", prompt={"anyOf": [{"type": "string"}, {"type": "null"}]}
        ),
        lambda: schema.update(required="prompt", properties=list(properties)),
    )
    spoil = kind % (len(changes) + 1)
    if spoil == len(changes):
        return (None, "a model", 7, [entry])[kind // (len(changes) + 1) % 4]
    changes[spoil]()
    return entry
