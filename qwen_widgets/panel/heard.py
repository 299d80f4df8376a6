"""Callbacks and observers: what they raise is shown in the panel, because ipywidgets has nobody to tell."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

from traitlets import HasTraits, TraitError

from qwen_widgets.core.errors import QwenError
from qwen_widgets.portal import portal

_Self = TypeVar("_Self", bound="Heard")
#: Whether the page, and no cell of the notebook, sets the traits: nobody else hears what their observers raise.
_FROM_PAGE = ContextVar("qwen_widgets_from_page", default=False)


class Heard(HasTraits):
    """Traits of which nothing that goes wrong is lost."""

    def _say(self, error: Exception | None) -> None:
        """Show an error where it belongs, and as the trait `message`; None takes it away."""
        raise NotImplementedError

    def _show_error(self, error: Exception) -> None:
        """Show an error, and tell nobody else."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: object) -> None:
        try:
            super().__setattr__(name, value)
        except (QwenError, TraitError) as error:
            # What was set is wrong, and not the forty lines that have found it out.
            raise error.with_traceback(None) from None

    def notify_change(self, change: Any) -> Any:
        """Tell the observers; what one of them raises is shown where no cell would show it."""
        if not (portal.here or _FROM_PAGE.get()):
            return super().notify_change(change)
        try:
            return super().notify_change(change)
        except (QwenError, TraitError):
            raise
        except Exception as error:  # noqa: BLE001
            if change["name"] == "message":
                self._show_error(error)
            else:
                self._say(error)
        return None


def shown(work: Callable[..., None]) -> Callable[..., None]:
    """Show in the panel what a callback of its page raises."""

    @wraps(work)
    def guarded(self: _Self, *args: Any) -> None:
        token = _FROM_PAGE.set(True)
        try:
            work(self, *args)
        except Exception as error:  # noqa: BLE001
            self._say(error)
        finally:
            _FROM_PAGE.reset(token)

    return guarded
