"""Pictures that clients hand in: tickets, the bytes in memory within a bound, and both ways of sending them."""

from __future__ import annotations

import io
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from email import policy
from email.parser import BytesParser

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qwen_widgets.offline.files import file_response
from qwen_widgets.offline.wire import RefusedError, done, origin, read_bytes, read_object, text, whole

#: Bytes of one upload, and of a multipart body around it.
LARGEST = 50 << 20
_ROUND = 64 << 10
_MAX_TICKETS = 1000
_TICKET_LASTS = 3600.0
#: What is a picture to the models; anything else is refused by them, not by the upload.
_FORMATS = ("PNG", "JPEG", "WEBP")
_MOST_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file in memory, or the ticket for one that has not come yet."""

    name: str
    filename: str
    size: int
    content_type: str
    at: float
    data: bytes | None = None


class Uploads:
    """The uploads of one service.

    Parameters
    ----------
    bound : int
        Bytes kept in all; the oldest give way.
    keep : float
        Seconds until an upload is gone.
    clock : callable
        The time now, seconds since the epoch.
    """

    def __init__(self, bound: int, keep: float, clock: Callable[[], float]) -> None:
        self._bound, self._keep, self._clock = bound, keep, clock
        self._lock = threading.Lock()
        self._tickets: OrderedDict[str, Upload] = OrderedDict()
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._bytes = 0

    @property
    def kept(self) -> tuple[Upload, ...]:
        """What is in memory, oldest first."""
        with self._lock:
            self._settle()
            return tuple(self._kept.values())

    def find(self, name: str) -> Upload | None:
        """Return an upload that has come and is still there."""
        with self._lock:
            self._settle()
            return self._kept.get(name)

    def add(self, data: bytes, *, name: str = "", filename: str = "", content_type: str = "") -> Upload:
        """Keep a file, under a name of its own or a given one; what has that name already is replaced."""
        upload = self._new(filename, len(data), content_type)
        return self._store(replace(upload, name=name or upload.name), data)

    def _new(self, filename: str, size: int, content_type: str) -> Upload:
        return Upload(
            name=secrets.token_hex(16),
            filename=filename,
            size=size,
            content_type=content_type or "application/octet-stream",
            at=self._clock(),
        )

    def _store(self, upload: Upload, data: bytes) -> Upload:
        upload = replace(upload, data=data, at=self._clock())
        with self._lock:
            before = self._kept.pop(upload.name, None)
            self._kept[upload.name] = upload
            self._bytes += upload.size - (before.size if before else 0)
            self._settle()
        return upload

    def _settle(self) -> None:
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.at + self._keep > now and (self._bytes <= self._bound or len(self._kept) == 1):
                break
            del self._kept[oldest.name]
            self._bytes -= oldest.size
        while self._tickets:
            waiting = next(iter(self._tickets.values()))
            if waiting.at + _TICKET_LASTS > now and len(self._tickets) <= _MAX_TICKETS:
                break
            del self._tickets[waiting.name]

    # The calls.

    def api(self, *, tickets: bool) -> list[Route]:
        """Return the routes below the API's path, with or without the newer way."""
        older = Route("/media/upload/binary", self._post_binary, methods=["POST"])
        return [Route("/media/uploads", self._post_ticket, methods=["POST"]), older] if tickets else [older]

    def storage(self) -> list[Route]:
        """Return the routes of the storage, which knows no key."""
        return [
            Route("/storage/{name}", self._put, methods=["PUT"]),
            Route("/uploads/{name}", self._get),
        ]

    async def _post_ticket(self, request: Request) -> Response:
        body = await read_object(request)
        filename = text(body, "filename")
        if not filename.strip():
            raise RefusedError(400, "filename: it is required")
        size = whole(body, "size", 1, LARGEST, default=0)
        upload = self._new(filename, size, text(body, "content_type"))
        with self._lock:
            self._tickets[upload.name] = upload
            self._settle()
        at = origin(request)
        return done(
            {
                "download_url": f"{at}/uploads/{upload.name}",
                "upload": {
                    "method": "PUT",
                    "url": f"{at}/storage/{upload.name}",
                    "headers": {"Content-Type": upload.content_type},
                },
            }
        )

    async def _put(self, request: Request) -> Response:
        # A storage is somebody else's house: who brings the key there has given it away.
        if "authorization" in request.headers:
            raise RefusedError(400, "the upload's address takes no Authorization header: the key has leaked")
        with self._lock:
            self._settle()
            ticket = self._tickets.get(request.path_params["name"])
        if ticket is None:
            raise RefusedError(403, "no such ticket, or it has been used")
        if request.headers.get("content-type", "").lower() != ticket.content_type.lower():
            raise RefusedError(403, f"the ticket is for {ticket.content_type}")
        data = await read_bytes(request, ticket.size)
        if len(data) != ticket.size:
            raise RefusedError(400, f"{len(data)} bytes came, the ticket is for {ticket.size}")
        with self._lock:
            # Gone where another PUT with the same ticket was quicker.
            used = self._tickets.pop(ticket.name, None)
        if used is None:
            raise RefusedError(403, "no such ticket, or it has been used")
        self._store(ticket, data)
        return Response(status_code=200)

    async def _post_binary(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        if not kind.lower().startswith("multipart/form-data"):
            raise RefusedError(400, "file: a multipart body is needed")
        body = await read_bytes(request, LARGEST + _ROUND)
        upload = self._from_form(kind, body)
        return done({"download_url": f"{origin(request)}/uploads/{upload.name}"})

    def _from_form(self, kind: str, body: bytes) -> Upload:
        # Mail and forms share their multipart; the standard library reads it, and another dependency is saved.
        head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
        message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
        for part in message.walk():
            if part.get_param("name", header="content-disposition") != "file":
                continue
            data = part.get_payload(decode=True)
            if isinstance(data, bytes) and data:
                if len(data) > LARGEST:
                    raise RefusedError(413, f"file: it is over {LARGEST} bytes")
                return self.add(
                    data, filename=part.get_filename() or "", content_type=part.get_content_type()
                )
        raise RefusedError(400, "file: it is required")

    async def _get(self, request: Request) -> Response:
        upload = self.find(request.path_params["name"])
        if upload is None or upload.data is None:
            raise RefusedError(404, "no such upload")
        return file_response(request, upload.data, upload.content_type)


def fault_of(data: bytes, sides: tuple[int, int]) -> str:
    """Say what is wrong with an input picture, or nothing; it is decoded only where its size is in bounds.

    Parameters
    ----------
    data : bytes
    sides : tuple of (int, int)
        The limits of each side, pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            wide, high = picture.size
            if wide * high > _MOST_PIXELS:
                return f"has too many pixels: {wide}×{high}"
            if not all(sides[0] <= side <= sides[1] for side in (wide, high)):
                return f"is {wide}×{high}, each side must be {sides[0]} to {sides[1]} pixels"
            picture.draft("RGB", (256, 256))
            picture.load()
    except Image.DecompressionBombError:
        return "has too many pixels"
    # What a broken file raises is Pillow's own affair: OSError, SyntaxError, zlib's and struct's errors have been seen.
    except Exception:  # noqa: BLE001
        return "is no PNG, JPEG or WebP picture, or a broken one"
    return ""
