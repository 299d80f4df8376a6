"""Durable: files that outlast a power cut, each in place as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in place at once or not at all, for its owner's eyes only, and have it outlast a power cut."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def place_durably(part: Path, path: Path) -> None:
    """Give a whole file its name, in place of what has it, and have both outlast a power cut."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlast a power cut."""
    if os.name == "nt":
        return  # Windows can't open a folder; its rename is journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
