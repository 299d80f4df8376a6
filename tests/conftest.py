"""What every test has: a home of its own, no key, and the environment for processes that a test starts."""

from __future__ import annotations

import importlib.util
import os
import signal
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from contract import KEY, ContractServer
from hypothesis import HealthCheck, settings

# A shell's job in the background inherits that interrupts are ignored, and so would the kernels that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's affair. A run tells about the code alone, so the examples are the same
# each time; --hypothesis-profile=search looks for new ones.
_ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _ANY_MACHINE)
settings.register_profile("any machine", _ANY_MACHINE, derandomize=True, database=None)
settings.load_profile("any machine")

# The invariants of tests/faults say what was found there.
pytest.register_assert_rewrite("rig")

ROOT = Path(__file__).resolve().parent.parent
# A key can also be found in a keyring; this backend has none. The real one could ask the desktop's user.
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


#: The keys that tests work with; none may be found in a file afterwards.
CANARIES = (KEY.encode(), b"canary-5f0e9b7c1d-key")


_LEFT = pytest.StashKey[list[Path]]()


def _is_ours(name: str) -> bool:
    return name.startswith(("QWEN_WIDGETS_", "WAVESPEED_"))


def _skipped(config: pytest.Config) -> list[str]:
    """Return the skipped tests' names, where a skipped test is to count as a failed one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("QWEN_TESTS_NO_SKIP") or reporter is None:
        return []
    return [report.nodeid for report in reporter.stats.get("skipped", ())]


def _keys_left(config: pytest.Config) -> list[Path]:
    """Return the files in which the tests have left a key: notebooks, ledgers, logs, histories, pictures."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None or hasattr(config, "workerinput"):
        return []
    files = [path for path in factory.getbasetemp().rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(key in _content(path) for key in CANARIES)]


def _content(path: Path) -> bytes:
    """Return what is in a file; nothing, where a process that is just ending has taken it away."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    config.stash[_LEFT] = _keys_left(config)
    failed = _skipped(config) or config.stash[_LEFT]
    if failed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path in terminalreporter.config.stash.get(_LEFT, []):
        terminalreporter.write_line(f"the API key was left in {path}", red=True)
    if names := _skipped(terminalreporter.config):
        terminalreporter.write_line(
            f"QWEN_TESTS_NO_SKIP: skipped counts as failed: {', '.join(names)}", red=True
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Over several processes (``-n 2``) keep a file in one of them, and the whole of ``tests/browser``.

    Two JupyterLabs and two Chromiums at once would only take each other's time.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Rooms(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "browser" if "tests/browser/" in file else file

    # What takes longest is first already; it would be what has the most tests.
    config.option.loadscopereorder = False
    return Rooms(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, so that no process is left with it at the end."""
    longest = ["browser", "kernel", "faults"]
    rank = {name: place for place, name in enumerate(longest)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(longest)))


@pytest.fixture(autouse=True)
def qwen_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of ledger and pictures in this test, in its kernels too. There is no key and no setting."""
    for name in filter(_is_ours, list(os.environ)):
        monkeypatch.delenv(name)
    for name, value in NO_KEYRING.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "qwen"
    monkeypatch.setenv("QWEN_WIDGETS_HOME", str(home))
    return home


def _where_the_package_is() -> list[str]:
    """The folder to put on PYTHONPATH, so that a child imports the same qwen_widgets as this process would.

    None for an installed wheel: there the child finds it by itself, and the checkout must not shadow it.
    """
    spec = importlib.util.find_spec("qwen_widgets")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(places[0]).resolve().parent if places else ROOT
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    return [] if folder in installed else [str(folder)]


@pytest.fixture(scope="session")
def child_env() -> Callable[..., dict[str, str]]:
    """Make the environment of a child process that runs this checkout and keeps everything below a folder.

    ``child_env(folder, home=…, first=[…], extra={…})``: ``home`` is QWEN_WIDGETS_HOME, ``first`` comes first
    on PYTHONPATH, ``extra`` is added last, and a value of None there removes the variable.
    """

    def make(
        folder: Path,
        *,
        home: Path | None = None,
        first: list[str] | None = None,
        extra: Mapping[str, str | None] | None = None,
    ) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not _is_ours(k) and not k.startswith("JPY_")}
        given = env.pop("PYTHONPATH", "")
        path = [*(first or []), *_where_the_package_is(), *([given] if given else [])]
        env |= NO_KEYRING | {
            "PYTHONPATH": os.pathsep.join(path),
            "QWEN_WIDGETS_HOME": str(home or folder / "qwen"),
            "IPYTHONDIR": str(folder / "ipython"),
            # Kernelspecs and Lab's own files are still found below sys.prefix.
            "JUPYTER_CONFIG_DIR": str(folder / "jupyter" / "config"),
            "JUPYTER_DATA_DIR": str(folder / "jupyter" / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "jupyter" / "runtime"),
        }
        if not env["PYTHONPATH"]:
            del env["PYTHONPATH"]
        for name, value in (extra or {}).items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    return make


@pytest.fixture
def contract_server() -> Iterator[ContractServer]:
    """The contract on a loopback port, with a key of its own."""
    server = ContractServer()
    yield server
    server.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kill-rounds", type=int, default=20, help="rounds of tests/faults/test_kill_in_weather.py"
    )
