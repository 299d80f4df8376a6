"""WaveSpeed: the client of the REST API. The only importer of httpx.

Two httpx clients: one for the API, which carries the key, and one for pictures, which never has one. The class
of a submit's outcome (not sent, accepted, refused, unknown) decides what may be paid for again, so a submit is
sent exactly once by this module, whatever happens.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import httpx

from qwen_widgets._version import __version__
from qwen_widgets.core import answers
from qwen_widgets.core.answers import BadAnswerError, Prediction
from qwen_widgets.core.errors import (
    ExpiredError,
    NotSentError,
    PictureError,
    QwenError,
    SettingsError,
    UnavailableError,
    UnknownOutcomeError,
    clean,
)
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.models import Model
from qwen_widgets.core.request import ImageRequest

DEFAULT_BASE_URL = "https://api.wavespeed.ai/api/v3"
#: An answer of the API is a few hundred bytes; more than this is not one.
LARGEST_ANSWER = 1 << 20
LARGEST_PICTURE = 64 << 20
#: A download slower than this, in bytes a second after the first ten seconds, is given up and tried anew.
SLOWEST = 2048
MOST_REDIRECTS = 3
_TIMEOUT = httpx.Timeout(30, connect=10, pool=10)
#: Seconds for one whole call: a server that sends a byte now and then would outwit a read time-out.
_WHOLE_CALL = 60.0
_WHOLE_DOWNLOAD = 300.0
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=5)
#: Answers that prove that nothing was created. Every other answer that isn't a 2xx leaves it open.
_REFUSED = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
_GONE = frozenset({403, 404, 410})


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived whole: where it is, its length in bytes and its sha256."""

    path: Path
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class WaveSpeed:
    """A client of one API at one address, bound to the event loop that first uses it.

    Parameters
    ----------
    base_url : str
        Address of the API; without a path, ``/api/v3`` is meant. Plain http only on loopback.
    key : ApiKey or None
        Sent to this origin and to no other.
    app : ASGI application, optional
        Answers in place of the network (the embedded service).

    Raises
    ------
    SettingsError
        The address can't be used.
    """

    def __init__(self, base_url: str, key: ApiKey | None, *, app: Any = None) -> None:
        self.base_url = check_base_url(base_url, in_process=app is not None)
        self._key = key
        self._app = app
        self._loopback = is_loopback(self.base_url.host)
        self._api: httpx.AsyncClient | None = None
        self._pictures: httpx.AsyncClient | None = None
        #: Server's clock less this machine's, seconds, from the last answer's Date header.
        self.clock_skew = 0.0

    @property
    def origin(self) -> str:
        """Scheme, host and port, the name under which the ledger keeps what was bought here."""
        return str(self.base_url.copy_with(path="/", query=None)).rstrip("/")

    # --- the calls of the API -------------------------------------------------------------------------

    async def submit(self, request: ImageRequest) -> Prediction:
        """Buy one picture. Sends one POST, never two.

        Raises
        ------
        NotSentError
            Nothing left this machine: may be asked again.
        RateLimitedError
            HTTP 429, nothing was created: may be asked again later.
        KeyRefusedError, NoCreditError, RejectedError
            The API refused it, nothing was created.
        UnknownOutcomeError
            It was sent and the answer was lost or can't be read: it may exist and may be charged.
        SettingsError
            The address answered with a redirect, which is never followed.
        """
        sent = False

        async def watch(event: str, info: dict[str, Any]) -> None:
            # A proxy's CONNECT fires the same event; only the POST itself carries the request.
            nonlocal sent
            if event.endswith("send_request_headers.started") and info["request"].method == b"POST":
                sent = True

        lost: str | None = None
        answer: _Answer | None = None
        try:
            async with asyncio.timeout(_WHOLE_CALL):
                answer = await self._call(
                    "POST", self._path(request.model.id), json_body=request.body(), trace=watch
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, BadAnswerError) as error:
            lost = _network_words(error)
        # Raised outside of the except block: the httpx error behind it holds the request, and so the headers.
        if lost is not None:
            if sent or self._app is not None:
                raise UnknownOutcomeError(f"The answer to the order was lost ({lost}).")
            raise NotSentError(f"The API can't be reached ({lost}).")
        assert answer is not None
        return self._read_submit(answer)

    def _read_submit(self, answer: _Answer) -> Prediction:
        if 300 <= answer.status < 400:
            raise _redirected(answer.status)
        if answer.status in _REFUSED:
            raise answers.refusal(answer.status, answer.body, answer.headers)
        if not 200 <= answer.status < 300:
            said = answers.error_text(answer.body)
            raise UnknownOutcomeError(
                f"The service answered HTTP {answer.status}" + (f": {said}" if said else ".")
            )
        unreadable = ""
        try:
            return answers.read_prediction(answers.read_data(answer.body))
        except BadAnswerError as error:
            unreadable = str(error)
        raise UnknownOutcomeError(f"The order was sent, but {unreadable}.")

    async def result(self, prediction_id: str) -> Prediction | None:
        """Ask how a prediction stands; None where the service does not know it (yet).

        Raises
        ------
        UnavailableError
            No usable answer; safe to ask again.
        KeyRefusedError, RateLimitedError
        """
        place = "/predictions/" + quote(answers.check_prediction_id(prediction_id), safe="")
        # Both paths are documented; the one with /result is the usual one.
        for path in (place + "/result", place):
            answer = await self._get_answer("GET", path)
            if answer.status == 404:
                continue
            data = self._read_free(answer)
            try:
                return answers.read_prediction(data)
            except BadAnswerError as error:
                words = str(error)
            raise UnavailableError(f"The service answered, but {words}.")
        return None

    async def history(self, *, model: Model | None = None, since: float, until: float) -> list[Prediction]:
        """List the account's predictions of a span of time, newest first.

        Parameters
        ----------
        since, until : float
            Seconds since the epoch by the server's clock.

        Raises
        ------
        UnavailableError
            A page could not be had: the list is whole or not at all.
        """
        found: list[Prediction] = []
        for page in range(1, 101):
            body: dict[str, Any] = {
                "page": page,
                "page_size": 100,
                "created_after": _iso(since),
                "created_before": _iso(until),
            }
            if model is not None:
                body["model"] = model.id
            data = self._read_free(await self._get_answer("POST", "/predictions", json_body=body))
            items = data.get("items") if isinstance(data, dict) else None
            if not isinstance(items, list):
                raise UnavailableError("The history came without a list.")
            for item in items:
                try:
                    found.append(answers.read_prediction(item))
                except BadAnswerError:
                    continue
            if len(items) < 100:
                return found
        return found

    async def balance(self) -> Decimal:
        """Return the account's balance in US dollars."""
        return self._money(self._read_free(await self._get_answer("GET", "/balance")), "balance")

    async def price(self, request: ImageRequest) -> Decimal:
        """Return what the API would charge for a request, US dollars; asking is free."""
        body = {"model_id": request.model.id, "inputs": request.body()}
        data = self._read_free(await self._get_answer("POST", "/model/price", json_body=body))
        return self._money(data, "discounted_price", "price", "unit_price")

    @staticmethod
    def _money(data: Any, *names: str) -> Decimal:
        for name in names:
            value = data.get(name) if isinstance(data, dict) else None
            if isinstance(value, int | float | str) and not isinstance(value, bool):
                try:
                    amount = Decimal(str(value))
                except InvalidOperation:
                    continue
                if amount.is_finite():
                    return amount
        raise UnavailableError("The answer names no amount.")

    # --- pictures ---------------------------------------------------------------------------------------

    async def download(self, address: str, into: Path) -> Downloaded:
        """Fetch a picture into a file, which is fsynced; the caller renames it.

        What a broken try has left in `into` is continued where the server can.

        Raises
        ------
        ExpiredError
            HTTP 403, 404 or 410: the address no longer works.
        PictureError
            Larger than 64 MB.
        UnavailableError
            Anything else that was wrong with it; safe to ask again.
        """
        url = self._check_picture_url(address)
        broken: str | None = None
        try:
            async with asyncio.timeout(_WHOLE_DOWNLOAD):
                for _ in range(MOST_REDIRECTS + 1):
                    following = await self._fetch(url, into)
                    if isinstance(following, Downloaded):
                        return following
                    url = self._check_picture_url(str(url.join(following)))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            broken = _network_words(error)
        if broken is not None:
            raise UnavailableError(f"The picture could not be fetched ({broken}).", paid="yes")
        raise UnavailableError("The picture's address redirects too often.", paid="yes")

    async def _fetch(self, url: httpx.URL, into: Path) -> Downloaded | str:
        had = into.stat().st_size if into.exists() else 0
        headers = {"Accept": "image/*", "Accept-Encoding": "identity"}
        if had:
            headers["Range"] = f"bytes={had}-"
        async with self._picture_client().stream("GET", url, headers=headers) as response:
            self._check_peer(response)
            if response.is_redirect:
                return str(response.headers.get("location", ""))
            if response.status_code in _GONE:
                raise ExpiredError(f"The picture's address no longer works (HTTP {response.status_code}).")
            if response.status_code == 416:
                into.unlink(missing_ok=True)
                raise UnavailableError("The picture changed while it was fetched.", paid="yes")
            if response.status_code not in (200, 206):
                raise UnavailableError(
                    f"The picture's server answered HTTP {response.status_code}.", paid="yes"
                )
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise UnavailableError("The picture came compressed, which was not asked for.", paid="yes")
            start = had if _continues(response, had) else 0
            return await self._write(response, into, start)

    async def _write(self, response: httpx.Response, into: Path, start: int) -> Downloaded:
        announced = response.headers.get("content-length", "")
        expected = start + int(announced) if announced.isascii() and announced.isdigit() else None
        if expected is not None and expected > LARGEST_PICTURE:
            raise PictureError(f"The picture has {expected >> 20} MB; at most 64 MB are taken.")
        digest = hashlib.sha256()
        length = start
        began = time.monotonic()
        # Opened without following links: the folder may be shared.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(into, flags, 0o600), "r+b") as file:
            digest.update(file.read(start))
            file.seek(start)
            file.truncate()
            async for chunk in response.aiter_raw(1 << 16):
                length += len(chunk)
                if length > LARGEST_PICTURE:
                    raise PictureError("The picture has more than 64 MB.")
                digest.update(chunk)
                file.write(chunk)
                elapsed = time.monotonic() - began
                if elapsed > 10 and (length - start) / elapsed < SLOWEST:
                    raise UnavailableError("The picture came too slowly.", paid="yes")
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if expected is not None and length != expected:
            raise UnavailableError(f"The picture broke off after {length} of {expected} bytes.", paid="yes")
        return Downloaded(into, length, digest.hexdigest())

    def _check_picture_url(self, address: str) -> httpx.URL:
        """Return the address, or raise where it is none that a picture may come from."""
        url: httpx.URL | None = None
        with suppress(httpx.InvalidURL, ValueError):
            url = httpx.URL(address.strip())
        if url is None or not url.host:
            raise UnavailableError(
                f"The service gave no usable address: {clean(address, longest=80)}", paid="yes"
            )
        if url.userinfo:
            raise UnavailableError(
                "The picture's address carries a user name; it was not opened.", paid="yes"
            )
        if self._app is not None:
            if url.host != self.base_url.host:
                raise UnavailableError("The embedded service gave a foreign address.", paid="yes")
            return url
        if self._loopback and is_loopback(url.host) and url.scheme in ("http", "https"):
            return url
        if url.scheme != "https" or url.port not in (None, 443):
            raise UnavailableError(
                f"The picture's address is not https on port 443: {clean(url.host, longest=80)}", paid="yes"
            )
        return url

    def _check_peer(self, response: httpx.Response) -> None:
        """Raise where the connected peer is not a public address; checked after connecting, so DNS can't lie."""
        stream = response.extensions.get("network_stream")
        if self._app is not None or stream is None or _through_proxy(response):
            return
        peer = stream.get_extra_info("server_addr")
        host = peer[0] if isinstance(peer, tuple) and peer else None
        if host is None:
            return
        address = ipaddress.ip_address(host.split("%")[0])
        if self._loopback and address.is_loopback:
            return
        mapped = getattr(address, "ipv4_mapped", None)
        if not (mapped or address).is_global:
            raise UnavailableError("The picture's address leads into a private network.", paid="yes")

    # --- transport --------------------------------------------------------------------------------------

    def _path(self, model_id: str) -> str:
        return "/" + quote(model_id, safe="/-._~")

    def _api_client(self) -> httpx.AsyncClient:
        if self._api is None:
            self._api = self._new_client(auth=_KeyAuth(self._key, self.base_url) if self._key else None)
        return self._api

    def _picture_client(self) -> httpx.AsyncClient:
        if self._pictures is None:
            self._pictures = self._new_client(auth=None)
        return self._pictures

    def _new_client(self, *, auth: httpx.Auth | None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            auth=auth,
            transport=httpx.ASGITransport(app=self._app) if self._app is not None else None,
            timeout=_TIMEOUT,
            limits=_LIMITS,
            follow_redirects=False,
            # A proxy of the environment serves the public network; loopback is never asked through one.
            trust_env=not self._loopback,
            headers={
                "User-Agent": f"qwen-widgets/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            cookies=None,
        )

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        clients = (self._api, self._pictures)
        self._api = self._pictures = None
        for client in clients:
            if client is not None:
                await client.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json_body: Mapping[str, object] | None = None,
        trace: Callable[..., Any] | None = None,
    ) -> _Answer:
        content = None if json_body is None else json.dumps(json_body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        url = str(self.base_url) + path
        request = self._api_client().build_request(method, url, content=content, headers=headers)
        if trace is not None:
            request.extensions["trace"] = trace
        async with self._stream(request) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes(1 << 16):
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise BadAnswerError("the answer is larger than 1 MB")
            self._note_clock(response)
            return _Answer(response.status_code, dict(response.headers), bytes(body))

    @asynccontextmanager
    async def _stream(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        client = self._api_client()
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()
            client.cookies.clear()

    def _note_clock(self, response: httpx.Response) -> None:
        moment = answers.read_http_date(response.headers.get("date", ""))
        if moment is not None:
            self.clock_skew = moment.timestamp() - time.time()

    async def _get_answer(
        self, method: str, path: str, *, json_body: Mapping[str, object] | None = None
    ) -> _Answer:
        """Make a call that is free and safe to repeat."""
        broken = ""
        try:
            async with asyncio.timeout(_WHOLE_CALL):
                return await self._call(method, path, json_body=json_body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, BadAnswerError) as error:
            broken = _network_words(error)
        raise UnavailableError(f"The API gave no answer ({broken}).")

    def _read_free(self, answer: _Answer) -> Any:
        if 300 <= answer.status < 400:
            raise _redirected(answer.status)
        if answer.status in _REFUSED:
            raise answers.refusal(answer.status, answer.body, answer.headers)
        if not 200 <= answer.status < 300:
            said = answers.error_text(answer.body)
            raise UnavailableError(
                f"The service answered HTTP {answer.status}" + (f": {said}" if said else ".")
            )
        try:
            return answers.read_data(answer.body)
        except BadAnswerError as error:
            words = str(error)
        raise UnavailableError(f"The service answered, but {words}.")


class _KeyAuth(httpx.Auth):
    """Puts the key on requests to one origin; asked for anything else, it leaves it out."""

    def __init__(self, key: ApiKey, base: httpx.URL) -> None:
        self._key = key
        self._origin = (base.scheme, base.host, base.port)

    def auth_flow(self, request: httpx.Request) -> Any:
        if (request.url.scheme, request.url.host, request.url.port) == self._origin:
            request.headers["Authorization"] = self._key.authorization()
        yield request


def check_base_url(text: str, *, in_process: bool = False) -> httpx.URL:
    """Return the API's address, with its path and without a slash at the end.

    Raises
    ------
    SettingsError
        Not an address, carries a user name, or plain http that is not on loopback.
    """
    url: httpx.URL | None = None
    with suppress(httpx.InvalidURL, ValueError):
        url = httpx.URL(text.strip().rstrip("/"))
    shown = clean(text, longest=80)
    if url is None or url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise SettingsError(f"base URL {shown!r}: write an address such as {DEFAULT_BASE_URL}.")
    if url.userinfo:
        raise SettingsError(
            "base URL: it must not carry a user name or password; set WAVESPEED_API_KEY instead."
        )
    if url.scheme == "http" and not in_process and not is_loopback(url.host):
        raise SettingsError(f"base URL {shown!r}: plain http is taken only on loopback; use https.")
    return url.copy_with(path="/api/v3") if url.path in ("", "/") else url


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _continues(response: httpx.Response, had: int) -> bool:
    return (
        had > 0
        and response.status_code == 206
        and response.headers.get("content-range", "").replace("bytes=", "bytes ").startswith(f"bytes {had}-")
    )


def _through_proxy(response: httpx.Response) -> bool:
    """Whether the peer is a proxy, whose address says nothing of the picture's server."""
    host = response.request.url.host
    proxies = getproxies()  # the source that httpx reads, too
    return ("https" in proxies or "all" in proxies) and not proxy_bypass(host) and not is_loopback(host)


def _redirected(status: int) -> QwenError:
    error = SettingsError(
        f"The API's address answered with a redirect (HTTP {status}), which is not followed."
    )
    error.next_step = "Check QWEN_WIDGETS_BASE_URL."
    error.stops_run = True
    return error


def _network_words(error: BaseException) -> str:
    """Say in a few words what kept a call from its answer; no address, no header."""
    if isinstance(error, BadAnswerError):
        return str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        cause = cause.__cause__ or cause.__context__
    words: list[tuple[type[BaseException], str]] = [
        (httpx.ConnectTimeout, "no connection within 10 s"),
        (httpx.ConnectError, "no connection"),
        (httpx.ReadTimeout, "no answer in time"),
        (TimeoutError, "no answer in time"),
        (httpx.WriteError, "the connection broke while sending"),
        (httpx.RemoteProtocolError, "the connection was closed"),
        (httpx.ReadError, "the connection broke"),
        (httpx.ProxyError, "the proxy refused"),
        (httpx.PoolTimeout, "no free connection"),
    ]
    return next((text for kind, text in words if isinstance(error, kind)), type(error).__name__)


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
