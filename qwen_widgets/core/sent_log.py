"""The log of what was sent since the ledger's last copy: a line an order, in a file of its own.

With the copy that its first line names it is all that was ever ordered, whatever becomes of the ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen_widgets.core.durable import write_durably

_NAME = "ledger.sent"


def begin_log(folder: Path, copy: str) -> None:
    """Begin a log behind a copy, in place of the last one."""
    write_durably(folder / _NAME, (json.dumps({"copy": copy}) + "\n").encode())


def log_order(folder: Path, row: Mapping[str, Any], account: str) -> None:
    """Write an order down, durably, before it is sent.

    Where the log is gone it is not begun anew: one without its first line proves nothing.

    Raises
    ------
    OSError
    """
    # A line end before it, too: the one before may have been cut short by a power cut.
    line = "\n" + json.dumps({"row": dict(row), "account": account}, default=str) + "\n"
    try:
        descriptor = os.open(folder / _NAME, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        file.write(line.encode())
        os.fsync(file.fileno())


def log_is_begun(folder: Path) -> bool:
    """Whether there is a log that is more than a fresh one: it holds orders, or can't be read."""
    if not (folder / _NAME).exists():
        return False
    _, orders, whole = read_log(folder)
    return bool(orders) or not whole


def read_log(folder: Path) -> tuple[str, list[tuple[dict[str, Any], str]], bool]:
    """Return what copy a log follows, its orders with their accounts, and whether all of it could be read.

    A last line without its end was being written when the machine stopped, before anything of that order was sent; or
    the file was cut, and nobody knows how many stood behind it.
    """
    copy, orders, whole = "", [], True
    try:
        first, *lines = (folder / _NAME).read_bytes().split(b"\n")
        copy = str(json.loads(first)["copy"])
    except (OSError, ValueError, TypeError, KeyError):
        return "", [], False
    if lines[-1:] != [b""]:
        whole = False
    for line in filter(None, lines[:-1]):
        try:
            values = json.loads(line)
            orders.append((dict(values["row"]), str(values["account"])))
        except (ValueError, TypeError, KeyError, RecursionError):
            whole = False
    return copy, orders, whole
