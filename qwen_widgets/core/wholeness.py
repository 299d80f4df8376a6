"""Whether a picture's file is whole, from its container alone: chunks, checksums, markers, lengths; nothing is decoded.

A PNG has a checksum in each chunk, so that damage anywhere is seen. JPEG and WebP have none: there it is what is cut
off or out of bounds that is seen. What follows the end of a picture is shown by nobody, and is let be: cameras put a
second picture or a film there.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass, field

_PNG_START, _JPEG_START = 8, 2
#: PNG's palette colour type (https://www.w3.org/TR/png-3/#11IHDR).
_PALETTE = 3
#: JPEG markers without a length, and those that begin a scan, end the picture, and are about restarts (ITU T.81, B.1).
_ALONE = {0x01, *range(0xD0, 0xD9)}
_SCAN, _END, _RESTARTS, _FIRST_RESTART = 0xDA, 0xD9, 0xDD, 0xD0
#: Frames that are coded arithmetically: their decoder may read beyond the end of a scan.
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
#: The next marker among a scan's data, where a byte of 255 is followed by a zero.
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
#: What no picture goes on with: any bytes without a 255.
_NOISE = hashlib.shake_256(b"noise").digest(48).replace(b"\xff", b"\x7f")

CUT = "its file is cut short"
DAMAGED = "its file is damaged"


def fault_of(data: bytes, kind: str) -> str:
    """Return what is wrong with the file of a picture, empty where it is whole.

    Parameters
    ----------
    kind : str
        ``PNG``, ``JPEG`` or ``WEBP``, as its first bytes say.
    """
    return {"PNG": _png_fault, "JPEG": _jpeg_fault, "WEBP": _webp_fault}[kind](data)


def _png_fault(data: bytes) -> str:
    """Check each chunk's checksum, and for the chunks without which there is no picture (https://www.w3.org/TR/png-3/)."""
    at, seen, palette = _PNG_START, set[bytes](), False
    whole = memoryview(data)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return CUT
        if zlib.crc32(whole[at + 4 : end - 4]) != int.from_bytes(whole[end - 4 : end], "big"):
            return DAMAGED
        if not seen:
            if name != b"IHDR" or length != 13:
                return DAMAGED
            palette = data[at + 17] == _PALETTE
        if name == b"IDAT" and palette and b"PLTE" not in seen:
            return DAMAGED
        seen.add(name)
        if name == b"IEND":
            return "" if b"IDAT" in seen else DAMAGED
        at = end
    return CUT


@dataclass(slots=True)
class _Jpeg:
    """Where the data of a JPEG's scans are."""

    #: Where a piece of data ends, and what a decoder that still waits for more would read there.
    ends: list[tuple[int, bytes]] = field(default_factory=list)
    #: Behind the marker that ends the picture; 0 where there is none.
    end: int = 0
    arithmetic: bool = False


def _jpeg_fault(data: bytes) -> str:
    return "" if _walk_jpeg(data).end else CUT


def lengthened(data: bytes) -> bytes | None:
    """Return a JPEG with noise behind the data of each scan, None where that says nothing.

    A decoder that has all it needs ignores it, and the picture stays the same. One that runs out of data shows grey
    in place of what is missing, without an error, and here shows the noise.
    """
    found = _walk_jpeg(data)
    if not found.end or found.arithmetic:
        return None
    pieces, last = [], 0
    for at, more in found.ends:
        pieces += [data[last:at], more]
        last = at
    return b"".join((*pieces, data[last : found.end]))


def _walk_jpeg(data: bytes) -> _Jpeg:
    """Go from marker to marker, as far as they lead."""
    found = _Jpeg()
    at, restarts = _JPEG_START, False
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # any number of them may stand before a marker
            at += 1
        elif marker == _END:
            found.end = at + 2 if found.ends else 0
            break
        elif marker in _ALONE:
            at += 2
        else:
            found.arithmetic = found.arithmetic or marker in _ARITHMETIC
            body = at + 4
            at += 2 + int.from_bytes(data[at + 2 : body], "big")
            if marker == _RESTARTS:
                restarts = any(data[body:at])
            elif marker == _SCAN:
                at = _walk_scan(data, at, found, restarts)
    return found


def _walk_scan(data: bytes, at: int, found: _Jpeg, restarts: bool) -> int:
    """Note where the pieces of a scan's data end, and return where the next marker is; the file's end where none is."""
    for count, marker in enumerate(_MARKER.finditer(data, at)):
        if marker[1][0] not in _ALONE:
            # The next restart's marker goes along: whole pieces can be missing.
            more = bytes((0xFF, _FIRST_RESTART + count % 8)) + _NOISE if restarts else b""
            found.ends.append((marker.start(), _NOISE + more))
            return marker.start()
        found.ends.append((marker.start(), _NOISE))
    return len(data)


def _webp_fault(data: bytes) -> str:
    """Check the length of the whole and of each chunk (https://developers.google.com/speed/webp/docs/riff_container)."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        return CUT
    at, seen = 12, set[bytes]()
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        at += 8 + length
        if at > end:
            return DAMAGED
        at += length % 2
        seen.add(name)
    return "" if seen & {b"VP8 ", b"VP8L", b"ANMF"} else DAMAGED
