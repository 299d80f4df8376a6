"""Retries of calls that are free to repeat: which errors are worth one, and none of it printed into a cell."""

from __future__ import annotations

from contextlib import AbstractContextManager

from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks
from stamina.typing import RetryDetails, RetryHook

from qwen_widgets.core.errors import (
    PictureError,
    QwenError,
    RateLimitedError,
    TextError,
    UnavailableError,
)


def worth_another_try(error: Exception) -> bool:
    """Return whether a call that may be repeated is to be repeated after this."""
    passing = UnavailableError | RateLimitedError | PictureError | TextError
    again = isinstance(error, passing) and error.may_retry
    if again:
        # Only now: finding stamina's hooks may import the libraries that they write to.
        hush()
    return again


def hush() -> None:
    """Have stamina's own log leave this package's retries out; other packages' retries and hooks stay as they are.

    Without a logger's configuration Python prints a warning to stderr, which a notebook shows in the cell that runs.
    """
    hooks = get_on_retry_hooks()
    if any(map(_is_log, hooks)):
        set_on_retry_hooks([_but_ours(hook) if _is_log(hook) else hook for hook in hooks])


def _is_log(hook: RetryHook) -> bool:
    """Return whether a hook is stamina's own for a log; one that counts goes on counting."""
    module = str(getattr(hook, "__module__", ""))
    return module.startswith("stamina.") and "prometheus" not in module


def _but_ours(hook: RetryHook) -> RetryHook:
    def log(details: RetryDetails) -> AbstractContextManager[None] | None:
        return None if isinstance(details.caused_by, QwenError) else hook(details)

    return log
