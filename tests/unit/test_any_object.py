"""Whatever object a function is given, of whatever type: it does its work, or one sentence says what to give instead."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, fields
from typing import Any

import pytest
from contract import ContractServer
from odd import ODD
from sentences import check_sentence

import qwen_widgets as qw
from qwen_widgets import account, archive
from qwen_widgets.core.errors import InputError, QwenError
from qwen_widgets.core.models import DEFAULT_MODEL, Size
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.grid.choices import Choices
from qwen_widgets.options import GenerateOptions
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio, studio

#: What isn't called with any object, and why.
LEFT_OUT = {
    # traitlets' own protocol, to which a panel adds who hears an observer's error.
    "Panel.notify_change",
}


@dataclass
class Target:
    """One public callable, and what its arguments are where they aren't odd."""

    name: str
    call: Callable[..., Any]
    #: Its parameters, by name, and whether each can be given by its place.
    parameters: dict[str, bool]
    #: Those that have to be given.
    usual: dict[str, Any]

    def __call__(self, name: str, value: Any) -> Any:
        """Call it with an odd argument."""
        arguments = self.usual | {name: value}
        placed = []
        for known in self.parameters:
            if known not in arguments or not self.parameters[known]:
                break
            placed.append(arguments.pop(known))
        found = self.call(*placed, **arguments)
        return asyncio.run(found) if inspect.iscoroutine(found) else found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server that takes money, a grid and a panel of it, and a limit under which nothing is bought."""
    home = tmp_path_factory.mktemp("odd")
    server = ContractServer()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (server.env() | {"QWEN_WIDGETS_HOME": str(home)}).items():
            patch.setenv(name, value)
        patch.chdir(home)
        here = Studio(Settings(max_cost=1))
        patch.setattr("qwen_widgets.studio._default", here)
        grid = qw.generate("a red fox", seeds=1, sizes="256x256")
        assert [cell.state for cell in grid] == ["stored"]
        qw.enhance("a red fox")
        here.configure(max_cost=0)
        panel = qw.Panel("a red fox", seeds="1", size="256x256", run=grid.run_id)
        job = here.prepare("a red fox", seeds=1, sizes="256x256")
        yield {"server": server, "grid": grid, "panel": panel, "job": job, "home": home}
        panel.wait(30)
        panel.close()
    server.stop()


def usual(world: dict[str, Any]) -> dict[str, Any]:
    """What an argument is usually, by its name."""
    grid, job = world["grid"], world["job"]
    return {
        "prompts": "a red fox", "prompt": "a red fox", "run_id": grid.run_id, "title": "", "provider_name": grid.provider.name,
        "path": world["home"] / "fox.zip", "folder": world["home"] / "foxes", "which": "all", "text": "fox",
        "row": 0, "column": 0, "key": "", "place": (0, 0), "sweep": grid.sweep, "plan": job.plan, "job": job, "grid": grid,
        "view": grid._views[0], "before": Choices(), "running": _ended(), "max_cost": 0, "images": [], "models": [DEFAULT_MODEL],
        "seed": 1, "size": Size(256, 256), "model": DEFAULT_MODEL, "provider": grid.provider, "store": grid._store,
        "runner": studio(), "request": grid[0, 0].request, "side": 64, "dollars": None, "name": "prompt", "value": "a red fox",
        "stop": Stop(), "sizes": "256x256", "seeds": 1, "timeout": None, "shell": None,
    }  # fmt: skip


def _ended() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


def target(name: str, call: Callable[..., Any], given: dict[str, Any]) -> Target:
    parameters, needed = {}, {}
    for parameter in inspect.signature(call).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            known = {
                "generate": GenerateOptions.__annotations__,
                "configure": [field.name for field in fields(Settings)],
            }
            key = "configure" if name.endswith("configure") else "generate"
            parameters |= dict.fromkeys(known[key], False) if "Panel" not in name else {}
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            parameters[parameter.name] = parameter.kind is not parameter.KEYWORD_ONLY
            if parameter.default is parameter.empty:
                needed[parameter.name] = given[parameter.name]  # a new one has to be named in `usual`
    if name.endswith(("generate", "prepare")):
        needed |= {"seeds": 1, "sizes": "256x256"}
    return Target(name, call, parameters, needed)


def methods(thing: Any, given: dict[str, Any]) -> Iterator[Target]:
    """All public methods and settable attributes of an object that this package has written."""
    owner = type(thing)
    for name in sorted({name for kind in owner.__mro__ if _ours(kind) for name in vars(kind)}):
        title = f"{owner.__name__}.{name}"
        if name == "__getitem__":
            yield target(title, getattr(thing, name), given)
        if name.startswith("_") or title in LEFT_OUT:
            continue
        found = inspect.getattr_static(owner, name)
        if inspect.isroutine(found):
            yield target(title, getattr(thing, name), given)
        elif hasattr(found, "__set__") and not _read_only(found):
            yield Target(title, _setter(thing, name), {"value": True}, {})


def _read_only(found: Any) -> bool:
    return found.fset is None if isinstance(found, property) else bool(getattr(found, "read_only", False))


def _setter(thing: Any, name: str) -> Callable[[Any], None]:
    def set_and_put_back(value: Any) -> None:
        before = getattr(thing, name)
        setattr(thing, name, value)
        setattr(thing, name, before)

    return set_and_put_back


def _ours(kind: type) -> bool:
    return kind.__module__.startswith("qwen_widgets")


def targets(world: dict[str, Any]) -> Iterator[Target]:
    given = usual(world)
    for name in qw.__all__:
        found = getattr(qw, name)
        if (
            callable(found)
            and name not in LEFT_OUT
            and not (isinstance(found, type) and issubclass(found, Exception))
        ):
            call = archive.grid if name == "grid" else found
            yield target(name, call, given)
    for found in (archive.forget, account.adopt, plan_sweep):
        yield target(found.__name__, found, given)
    for thing in (world["grid"], world["grid"][0, 0], world["panel"], studio()):
        yield from methods(thing, given)


def test_every_public_name_is_tried(world: dict[str, Any]) -> None:
    names = {one.name for one in targets(world)}
    for name in ("generate", "agenerate", "enhance", "grid", "history", "read", "Panel", "ImageRequest", "forget", "adopt",
                 "Grid.add", "Grid.to_html", "Grid.title", "Cell.rating", "Cell.mark", "Grid.choices", "Panel.prompt",
                 "Panel.edit", "Studio.configure", "Studio.set_budget", "Grid.__getitem__"):  # fmt: skip
        assert name in names


def attempt(one: Target, name: str, value: Any, world: dict[str, Any]) -> str:
    """Call a function with an odd argument, and return what is wrong with what comes of it; empty where nothing is."""
    server, kept = world["server"], studio().settings
    asked, submits = len(server.asked), len(server.submits)
    views = tuple(world["grid"]._views)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = one(name, value)
        if isinstance(found, qw.Panel):
            found.close()
    except InputError as error:
        check_sentence(error)
        if len(server.asked) != asked:
            return "something was sent before it was refused"
    except QwenError as error:
        if error.paid != "no":
            return f"something was bought: {error.message}"
    finally:
        studio().settings = kept
        studio().set_budget(None)
        # What was shown for this alone would be drawn anew with every later change.
        world["grid"]._views[:] = views
    return "something was bought" if len(server.submits) != submits else ""


@pytest.mark.parametrize("kind", ODD)
def test_any_object_is_taken_or_refused_in_one_sentence(kind: str, world: dict[str, Any]) -> None:
    wrong = []
    for one in targets(world):
        for name in one.parameters:
            try:
                fault = attempt(one, name, ODD[kind](), world)
            except Exception as error:  # noqa: BLE001
                fault = f"{type(error).__name__}: {str(error)[:200]}"
            if fault:
                wrong.append(f"{one.name}({name}={kind}): {fault}")
    assert not wrong, "\n".join(wrong)
