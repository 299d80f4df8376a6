"""Transport: what the API's client and the pictures' client share.

Imports httpx, as `wavespeed` and `download` do and nobody else. httpx's errors hold the request, and the request
holds the key; so do the frames of their tracebacks. `contained` lets nothing of them out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx

# httpcore imports it for every lock and event, and each time anew where it isn't there: more than half of the CPU time of a
# call (anyio 4.12 no longer brings it). Imported here, so that no sniffio.py of the notebook's folder is.
import sniffio  # noqa: F401

from qwen_widgets._version import __version__
from qwen_widgets.core.answers import BadAnswerError
from qwen_widgets.core.errors import QwenError, SettingsError, clean

T = TypeVar("T")


_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the network may take, seconds.

    Attributes
    ----------
    connect : float
        Until a connection stands, TLS included.
    read : float
        Between two reads or writes.
    whole_call, whole_download, whole_upload : float
        In all: a server that sends a byte now and then would outwit `read`.
    grace : float
        After which a download has to keep the minimum rate.
    """

    connect: float = 10.0
    read: float = 30.0
    whole_call: float = 60.0
    whole_download: float = 300.0
    whole_upload: float = 300.0
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Broken:
    """A call that got no whole answer, and why in a few words: no address, no header."""

    words: str


def new_client(timeouts: Timeouts, *, loopback: bool, app: Any = None, auth: Any = None) -> httpx.AsyncClient:
    """Return an httpx client that follows no redirect and keeps no cookie.

    Raises
    ------
    SettingsError
        The environment names a proxy that can't be used.
    """
    try:
        return httpx.AsyncClient(
            auth=auth,
            transport=httpx.ASGITransport(app=app) if app is not None else None,
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect, pool=timeouts.connect),
            limits=_LIMITS,
            follow_redirects=False,
            # A proxy of the environment serves the public network; loopback is never asked through one.
            trust_env=not loopback,
            headers={
                "User-Agent": f"qwen-widgets/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        pass
    # Without the address: it may hold a password.
    unusable = SettingsError("the proxy of the environment can't be used.")
    unusable.next_step = "Check HTTPS_PROXY and ALL_PROXY (socks needs the package socksio)."
    unusable.stops_run = True
    raise unusable


async def contained(work: Awaitable[T], seconds: float) -> T | Broken:
    """Await a call for at most so long; whatever goes wrong in it comes back as words.

    An error of httpx, and a cancellation that passed through it, would bring the key along: in the request they
    hold, as the context of the next error, or among the names of their frames, which a verbose traceback shows.
    """
    broken: Broken | None = None
    try:
        async with asyncio.timeout(seconds):
            return await work
    except asyncio.CancelledError:
        pass
    except QwenError:
        raise
    except Exception as error:  # noqa: BLE001  (h11 has let a ValueError through; whatever it is, it is an outcome)
        broken = Broken(_words(error))
    if broken is not None:
        return broken
    raise asyncio.CancelledError


def _words(error: BaseException) -> str:
    """Say in a few words what kept a call from its answer."""
    if isinstance(error, BadAnswerError):
        return str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        cause = cause.__cause__ or cause.__context__
    words: list[tuple[type[BaseException], str]] = [
        (httpx.ConnectTimeout, "no connection in time"),
        (httpx.ConnectError, "no connection"),
        (httpx.TimeoutException, "no answer in time"),
        (TimeoutError, "no answer in time"),
        (httpx.WriteError, "the connection broke while sending"),
        (httpx.RemoteProtocolError, "the connection was closed, or what came is not HTTP"),
        (httpx.ReadError, "the connection broke"),
        (httpx.ProxyError, "the proxy refused"),
        (httpx.DecodingError, "what came can't be decoded"),
    ]
    for kind, text in words:
        if isinstance(error, kind):
            return text
    if isinstance(error, OSError) and error.strerror:
        return clean(error.strerror, longest=80)
    return type(error).__name__


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
