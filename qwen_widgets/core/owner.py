"""Owner: what names a process to the other kernels of a ledger, and whether such a process is still there."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import uuid
from functools import lru_cache
from pathlib import Path

#: Seconds that a claim on a row holds without being renewed.
LEASE = 30.0
#: How far the clocks of machines that share a folder may be apart; seconds.
_CLOCKS_APART = 600.0


def new_owner() -> str:
    """Return a name for this process: its id, the machine's boot, and a mark of its own."""
    return f"{os.getpid()}:{boot_id()}:{uuid.uuid4().hex[:8]}"


def is_dead(owner: str) -> bool:
    """Whether a process is known to have ended.

    Of another machine that shares the folder, or another container, nothing can be seen: there the lease decides.
    """
    pid, boot, *_ = (*owner.split(":"), "")
    return boot == boot_id() and pid.isdecimal() and not alive(int(pid))


def lease_holds(until: float, now: float, length: float) -> bool:
    """Whether a lease of so many seconds holds by this clock, seconds since the epoch.

    One that ends far later than it can have been given for is of a clock that was set back since.
    """
    return now < until <= now + length + _CLOCKS_APART


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return what names this boot of this machine; in a container also its space of process ids."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return f"{sys.platform}/{platform.node().replace(':', '')}"


def alive(pid: int) -> bool:
    """Whether there is a process with this id."""
    if sys.platform == "win32":
        return True  # no cheap way to ask: the lease decides
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True
