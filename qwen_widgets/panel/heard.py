"""Where a panel's state changes, and who hears what goes wrong: on the portal alone, and the panel or the cell that asked."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from traitlets import HasTraits, TraitError, TraitType

from qwen_widgets.core import reading
from qwen_widgets.core.errors import InputError, QwenError, clean
from qwen_widgets.portal import portal

_Self = TypeVar("_Self", bound="Heard")
_P = ParamSpec("_P")
_T = TypeVar("_T")
#: Whether the page, and no cell of the notebook, sets the traits: nobody else hears what their observers raise.
_FROM_PAGE = ContextVar("qwen_widgets_from_page", default=False)


def on_portal(work: Callable[Concatenate[_Self, _P], _T]) -> Callable[Concatenate[_Self, _P], _T]:
    """Do a method on the portal; whoever calls it elsewhere waits for it, and gets its error without the way there.

    A page's callback comes on a thread of the kernel's choice while runs go on, and traitlets' instances are of one
    thread: ``hold_trait_notifications`` switches the checks of all of them off.
    """

    @wraps(work)
    def there(self: _Self, *args: _P.args, **options: _P.kwargs) -> _T:
        if portal.here:
            return work(self, *args, **options)

        async def asked() -> _T:
            before, self._asked_by_cell = self._asked_by_cell, not _FROM_PAGE.get()
            try:
                return work(self, *args, **options)
            finally:
                self._asked_by_cell = before

        try:
            return portal.run(asked())
        except (QwenError, TraitError) as error:
            # What was set is wrong, and not the forty lines that have found it out.
            raise error.with_traceback(None) from None

    return cast("Callable[Concatenate[_Self, _P], _T]", there)


class Heard(HasTraits):
    """Traits that change on the portal alone, and of which nothing that goes wrong is lost."""

    #: Whether a cell of the notebook waits for what is done now; it hears what observers raise.
    _asked_by_cell = False

    def _say(self, error: Exception | None) -> None:
        """Show an error where it belongs, and as the trait `message`; None takes it away."""
        raise NotImplementedError

    def _show_error(self, error: Exception) -> None:
        """Show an error, and tell nobody else."""
        raise NotImplementedError

    def _plain(self, name: str, value: object) -> object:
        """Return what a trait is set to as a plain value of its kind; what can't be one is an InputError."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: object) -> None:
        trait = getattr(type(self), name, None)
        if isinstance(trait, TraitType):
            if trait.read_only:
                raise InputError(f"{name}: it can't be set; it says what the panel does.")
            value = self._plain(name, value)
        if portal.here or not isinstance(trait, TraitType):
            super().__setattr__(name, value)
        else:
            self._set(name, value)

    @on_portal
    def _set(self, name: str, value: object) -> None:
        super().__setattr__(name, value)

    @on_portal
    def set_trait(self, name: str, value: object) -> None:
        """Set a trait, also one that is read only from outside."""
        name = reading.text("name", name)
        if not self.has_trait(name):
            raise InputError(f"name {clean(name, longest=40)!r}: a panel has no trait of that name.")
        super().set_trait(name, self._plain(name, value))

    def notify_change(self, change: Any) -> Any:
        """Tell the observers; what one of them raises is shown where no cell would show it."""
        if self._asked_by_cell or not portal.here:
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
    """Do on the portal what a callback of the page asks for, and show in the panel what it raises."""
    there = on_portal(work)

    @wraps(work)
    def guarded(self: _Self, *args: Any) -> None:
        token = _FROM_PAGE.set(True)
        try:
            there(self, *args)
        except Exception as error:  # noqa: BLE001
            self._say(error)
        finally:
            _FROM_PAGE.reset(token)

    return guarded
