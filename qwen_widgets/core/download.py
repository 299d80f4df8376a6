"""Downloads: an address in, a picture's whole file or a short text out. No key, no cookie; each redirect is checked.

Imports httpx, as `wavespeed` and `transport` do and nobody else.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import re
import stat
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from qwen_widgets.core.errors import (
    AddressError,
    PictureError,
    RejectedError,
    TextError,
    UnavailableError,
    clean,
)
from qwen_widgets.core.transport import Broken, Timeouts, contained, is_loopback, new_client

LARGEST_PICTURE = 64 << 20
#: A prompt has at most a few thousand characters.
LARGEST_TEXT = 64 << 10
#: A download slower than this, in bytes a second after the grace, is given up and tried anew.
SLOWEST = 2048
MOST_REDIRECTS = 3
_GONE = frozenset({403, 404, 410})
#: A storage that says one of these may take the file a moment later.
_BUSY = frozenset({408, 425, 429})
_RANGE = re.compile(r"bytes[ =](\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
#: All that is given out for hosts on the internet. Site-local and IPv4-compatible addresses, translated ones and those of a
#: network's own NAT64 lie outside, and ipaddress takes some of them for public.
#: https://www.iana.org/assignments/ipv6-address-space
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived whole: where it is, its length in bytes and its sha256."""

    path: Path
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is known of a file that is still arriving, so that its rest is only joined to the same file."""

    place: tuple[str, str]
    validator: str
    total: int | None


@dataclass(frozen=True, slots=True)
class _Part:
    """What an answer's body is: the bytes from `start` on, of a file that has `total`."""

    start: int
    #: Bytes that the file has after this body, where the server says it.
    until: int | None
    total: int | None


class Downloads:
    """The client for pictures.

    Parameters
    ----------
    loopback : bool
        Whether pictures may come from this machine: only where the API does.
    app : ASGI application, optional
        Answers in place of the network (the embedded service), for addresses of `app_host`.
    """

    def __init__(self, timeouts: Timeouts, *, loopback: bool, app: Any = None, app_host: str = "") -> None:
        self._timeouts = timeouts
        self._loopback = loopback
        self._app = app
        self._app_host = app_host
        self._client: httpx.AsyncClient | None = None
        self._begun: dict[Path, _Begun] = {}

    async def aclose(self) -> None:
        """Close the connections; the next download opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def download(self, address: str, into: Path) -> Downloaded:
        """Fetch a picture into a file, which is fsynced; the caller renames it.

        What a broken try of this client has left in `into` is continued where the server still has the same file.

        Raises
        ------
        AddressError
            HTTP 403, 404 or 410: the address doesn't work, yet or any more.
        PictureError
            Larger than 64 MB.
        UnavailableError
            Anything else that was wrong with it; asking again is free, and pointless where `may_retry` is False.
        """
        done = await contained(self._follow(address, into), self._timeouts.whole_download)
        if isinstance(done, Broken):
            raise UnavailableError(f"The picture could not be fetched ({done.words}).", paid="yes")
        return done

    async def put(self, address: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Bring a file to a storage, without the key; a redirect is not followed.

        Raises
        ------
        RejectedError
            The storage doesn't take it.
        UnavailableError
            No usable answer: safe to ask again where `may_retry` says so.
        """
        try:
            sent = await contained(self._put(address, data, headers), self._timeouts.whole_upload)
        except UnavailableError as error:
            # An address that nothing is sent to.
            raise RejectedError(error.message) from None
        if isinstance(sent, Broken):
            raise UnavailableError(f"The picture could not be uploaded ({sent.words}).")
        if sent in _BUSY or sent >= 500:
            raise UnavailableError(f"The picture could not be uploaded (the storage answered HTTP {sent}).")
        if not 200 <= sent < 300:
            raise RejectedError(f"The picture could not be uploaded (the storage answered HTTP {sent}).")

    async def _put(self, address: str, data: bytes, headers: Mapping[str, str]) -> int:
        url = self._check_url(address, "upload")
        async with self._send("PUT", url, dict(headers), "upload", data) as response:
            return response.status_code

    async def read_text(self, address: str) -> str:
        """Fetch a short text into memory.

        Raises
        ------
        AddressError
            HTTP 403, 404 or 410: the address doesn't work, yet or any more.
        TextError
            Larger than 64 KB, or not UTF-8.
        UnavailableError
            Anything else that was wrong with it.
        """
        done = await contained(self._read(address), self._timeouts.whole_call)
        if isinstance(done, Broken):
            raise UnavailableError(f"The text could not be fetched ({done.words}).", paid="yes")
        try:
            return done.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
        raise TextError("What came as a text is not UTF-8.")

    async def _read(self, address: str) -> bytes:
        url = self._check_url(address, "text")
        for _ in range(MOST_REDIRECTS + 1):
            async with self._get(url, {"Accept": "text/plain, application/json, */*"}, "text") as response:
                if not response.has_redirect_location:
                    return await _small(response)
                following = str(response.headers["location"])
            url = self._check_url(str(url.join(following)), "text")
        raise UnavailableError("The text's address redirects too often.", paid="yes")

    def _get(
        self, url: httpx.URL, headers: dict[str, str], what: str = "picture"
    ) -> AbstractAsyncContextManager[httpx.Response]:
        return self._send("GET", url, headers, what)

    def _send(
        self, method: str, url: httpx.URL, headers: dict[str, str], what: str, data: bytes | None = None
    ) -> AbstractAsyncContextManager[httpx.Response]:
        if self._client is None:
            self._client = new_client(self._timeouts, loopback=self._loopback, app=self._app)
        guard = _PeerGuard(url, loopback=self._loopback, what=what)
        extensions = {} if self._app is not None else {"trace": guard}
        return self._client.stream(method, url, content=data, headers=headers, extensions=extensions)

    async def _follow(self, address: str, into: Path) -> Downloaded:
        url = self._check_url(address)
        for _ in range(MOST_REDIRECTS + 1):
            following = await self._fetch(url, into)
            if isinstance(following, Downloaded):
                return following
            url = self._check_url(str(url.join(following)))
        raise UnavailableError("The picture's address redirects too often.", paid="yes")

    async def _fetch(self, url: httpx.URL, into: Path) -> Downloaded | str:
        """Fetch the file, or return where it has moved to."""
        had = self._left_over(url, into)
        headers = {"Accept": "image/*"}
        if had:
            headers["Range"] = f"bytes={had}-"
            if self._begun[into].validator:
                headers["If-Range"] = self._begun[into].validator
        async with self._get(url, headers) as response:
            if response.has_redirect_location:
                return str(response.headers["location"])
            if response.status_code in _GONE:
                raise AddressError(f"The picture's address doesn't work (HTTP {response.status_code}).")
            if response.status_code == 416:
                self._start_over(into)
                raise UnavailableError("The picture changed while it was fetched.", paid="yes")
            if response.status_code not in (200, 206):
                raise UnavailableError(
                    f"The picture's server answered HTTP {response.status_code}.", paid="yes"
                )
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise UnavailableError("The picture came compressed, which was not asked for.", paid="yes")
            part = self._which_part(response, into, had)
            if max(part.until or 0, part.total or 0) > LARGEST_PICTURE:
                raise _too_large()
            return await self._write(response, url, into, part)

    def _left_over(self, url: httpx.URL, into: Path) -> int:
        """Return the bytes of `into` that are the beginning of this very picture."""
        begun = self._begun.get(into)
        if begun is None or begun.place != (url.host, url.path):
            return 0
        with suppress(OSError):
            found = into.lstat()
            return found.st_size if stat.S_ISREG(found.st_mode) else 0
        return 0

    def _start_over(self, into: Path) -> None:
        self._begun.pop(into, None)
        into.unlink(missing_ok=True)

    def _which_part(self, response: httpx.Response, into: Path, had: int) -> _Part:
        announced = response.headers.get("content-length", "")
        length = int(announced) if announced.isascii() and announced.isdigit() else None
        if response.status_code == 200:
            return _Part(0, length, length)
        match = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
        if match is None or int(match[1]) not in (0, had):
            self._start_over(into)
            raise UnavailableError(
                "The picture's server sent another part than it was asked for.", paid="yes"
            )
        start, last = int(match[1]), int(match[2])
        total = int(match[3]) if match[3] != "*" else None
        known = self._begun[into].total if start and into in self._begun else None
        if last < start or (known is not None and total is not None and total != known):
            self._start_over(into)
            raise UnavailableError("The picture changed while it was fetched.", paid="yes")
        return _Part(start, last + 1, total if total is not None else known)

    async def _write(self, response: httpx.Response, url: httpx.URL, into: Path, part: _Part) -> Downloaded:
        digest = hashlib.sha256()
        length = part.start
        began = time.monotonic()
        # Opened without following links: the folder may be shared.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(into, flags, 0o600), "r+b") as file:
            digest.update(file.read(part.start))
            file.seek(part.start)
            file.truncate()
            self._begun[into] = _Begun((url.host, url.path), _validator(response), part.total)
            # Without a chunk size, so that what came before a break is in the file.
            async for chunk in response.aiter_raw():
                length += len(chunk)
                if length > LARGEST_PICTURE:
                    raise _too_large()
                digest.update(chunk)
                file.write(chunk)
                elapsed = time.monotonic() - began
                if elapsed > self._timeouts.grace and (length - part.start) / elapsed < SLOWEST:
                    raise UnavailableError("The picture came too slowly.", paid="yes")
            for expected in (part.until, part.total):
                if expected is not None and length != expected:
                    raise UnavailableError(
                        f"The picture broke off after {length} of {expected} bytes.", paid="yes"
                    )
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        del self._begun[into]
        return Downloaded(into, length, digest.hexdigest())

    def _check_url(self, address: str, what: str = "picture") -> httpx.URL:
        """Return the address, or raise where it is none that a picture (or a text) may come from."""
        url: httpx.URL | None = None
        with suppress(httpx.InvalidURL, ValueError):
            url = httpx.URL(address.strip())
        if url is None or not url.host:
            raise _unfit(f"The {what}'s address can't be used: {clean(address, longest=80) or 'it is empty'}")
        if url.userinfo:
            raise _unfit(f"The {what}'s address carries a user name; it was not opened.")
        if self._app is not None:
            if url.host != self._app_host:
                raise _unfit("The embedded service gave a foreign address.")
            return url
        if self._loopback and is_loopback(url.host) and url.scheme in ("http", "https"):
            return url
        if url.scheme != "https" or url.port not in (None, 443):
            raise _unfit(f"The {what}'s address is not https on port 443: {clean(url.host, longest=80)}")
        # A name is judged when it stands connected; a number can be judged before anybody is knocked at.
        number = _number(url.host)
        if number is not None and not _is_public(number):
            raise _unfit(f"The {what}'s address leads into a private network.")
        return url


class _PeerGuard:
    """Looks at who is at the other end as soon as a connection stands, before anything is sent over it.

    DNS can't lie here: it is the connected address that is judged. httpcore reports the connection through its
    `trace` extension. One that goes to a proxy is not judged; its address says nothing of the picture's server.
    """

    def __init__(self, url: httpx.URL, *, loopback: bool, what: str = "picture") -> None:
        self._what = what
        self._host = url.raw_host.decode("ascii")
        self._loopback = loopback
        self._direct = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.started"):
            self._direct = info["host"] == self._host
        elif event.endswith("connect_tcp.complete") and self._direct:
            stream = info["return_value"]
            peer = stream.get_extra_info("server_addr")
            if not isinstance(peer, tuple) or not self._allows(str(peer[0])):
                await stream.aclose()
                raise _unfit(f"The {self._what}'s address leads into a private network.")

    def _allows(self, host: str) -> bool:
        address = _number(host)
        if address is None:
            return False
        return _is_public(address) or (self._loopback and address.is_loopback)


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host that is a number as what it leads to, None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast


def _too_large() -> PictureError:
    error = PictureError("The picture has more than 64 MB.")
    # Eleven times 64 MB in one run would be no help.
    error.may_retry = False
    return error


async def _small(response: httpx.Response) -> bytes:
    """Return the body of an answer that may hold a text."""
    if response.status_code in _GONE:
        raise AddressError(f"The text's address doesn't work (HTTP {response.status_code}).")
    if response.status_code != 200:
        raise UnavailableError(f"The text's server answered HTTP {response.status_code}.", paid="yes")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnavailableError("The text came compressed, which was not asked for.", paid="yes")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_TEXT:
            raise TextError("What came as a text has more than 64 KB.")
    return bytes(body)


def _validator(response: httpx.Response) -> str:
    """Return what `If-Range` takes: a strong ETag, else the time of the last change, else nothing."""
    etag: str = response.headers.get("etag", "")
    return etag if etag.startswith('"') else response.headers.get("last-modified", "")


def _unfit(message: str) -> AddressError:
    """Return the error of an address that will not do however often it is asked."""
    error = AddressError(message)
    error.may_retry = False
    return error
