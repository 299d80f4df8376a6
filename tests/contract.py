"""A server that speaks the real contract on a loopback port, and writes down what it was asked."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from qwen_widgets.offline.service import API_PATH, OfflineService, ServiceSettings

KEY = "test-key-5e1f0c"


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None


@dataclass
class ContractServer:
    """The embedded service behind a real port; `asked` is every request, `service` knows the truth."""

    settings: ServiceSettings = field(default_factory=lambda: ServiceSettings(duration=0.3, require_key=KEY))
    asked: list[Asked] = field(default_factory=list)

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
                with suppress(ValueError):
                    asked.body = json.loads(bytes(chunks))
            return message

        await self.service.app(scope, hear, send)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{API_PATH}"

    @property
    def submits(self) -> list[Asked]:
        """The requests that cost money."""
        ours = f"{API_PATH}/predictions"
        return [
            asked
            for asked in self.asked
            if asked.method == "POST" and not asked.path.startswith((ours, f"{API_PATH}/model/"))
        ]

    def env(self) -> dict[str, str]:
        """The environment of a client of this server."""
        return {"QWEN_WIDGETS_BASE_URL": self.base_url, "WAVESPEED_API_KEY": KEY}

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)
