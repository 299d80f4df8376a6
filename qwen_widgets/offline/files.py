"""Files over HTTP: whole, in part, or not at all where they have not changed."""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


def file_response(request: Request, data: bytes, media_type: str) -> Response:
    """Answer with a file or the part of it that was asked for (RFC 9110, one range)."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"etag": tag, "accept-ranges": "bytes", "content-type": media_type}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"etag": tag, "accept-ranges": "bytes"})
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or not (match[1] or match[2]) or request.headers.get("if-range", tag) != tag:
        return Response(data, headers=headers)
    total = len(data)
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or total), total - 1)
    else:
        first, last = max(total - int(match[2]), 0), total - 1
    if first > last:
        return Response(status_code=416, headers={"etag": tag, "content-range": f"bytes */{total}"})
    headers["content-range"] = f"bytes {first}-{last}/{total}"
    return Response(data[first : last + 1], 206, headers=headers)
