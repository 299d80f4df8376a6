"""The fault server, a client and an engine that talk to it; the invariants I1–I8 are checked behind each."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import stamina
from contract import ContractServer, settings
from rig import CANARY, IMPATIENT, PATIENT, Rig, check_invariants
from server import FaultServer

from qwen_widgets.core import pacing, reconcile
from qwen_widgets.core.engine import Engine
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.models import SHELF
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.core.transport import Timeouts
from qwen_widgets.core.wavespeed import WaveSpeed
from qwen_widgets.portal import portal
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio


@pytest.fixture(autouse=True, scope="session")
def one_tls_context() -> Iterator[None]:
    """Reading the certificates takes 20 ms, hundreds of times."""
    patch = pytest.MonkeyPatch()
    patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _connections_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections of a test's studios: a process has one, as long as it lives, and here each test has its own."""
    made: list[Studio] = []
    init = Studio.__init__

    def noted(self: Studio, settings: Settings | None = None) -> None:
        init(self, settings)
        made.append(self)

    monkeypatch.setattr(Studio, "__init__", noted)
    yield
    for studio in made:
        for engine in studio._engines.values():
            portal.run(engine.client.aclose())


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """The API and its CDN."""
    here = FaultServer()
    yield here
    here.stop()


@pytest.fixture
def foreign() -> Iterator[FaultServer]:
    """Another origin, which must never see a key."""
    here = FaultServer()
    yield here
    for seen in here.seen:
        assert CANARY not in seen.text, "I6: the key went astray"
        assert seen.header("Authorization") is None
        assert seen.header("Cookie") is None
    here.stop()


@pytest.fixture
async def make_client(server: FaultServer) -> AsyncIterator[Callable[..., WaveSpeed]]:
    """Make a client of the fault server, or of another address, with other timeouts."""
    made: list[WaveSpeed] = []

    def make(timeouts: Timeouts = PATIENT, *, base_url: str | None = None, key: str = CANARY) -> WaveSpeed:
        made.append(WaveSpeed(base_url or server.base_url, ApiKey(key), timeouts=timeouts))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
def client(make_client: Callable[..., WaveSpeed]) -> WaveSpeed:
    return make_client()


@pytest.fixture
def impatient(make_client: Callable[..., WaveSpeed]) -> WaveSpeed:
    return make_client(IMPATIENT)


@pytest.fixture
def ledger(qwen_home: Path) -> Iterator[Ledger]:
    here = Ledger(qwen_home)
    yield here
    here.close()


@pytest.fixture
async def make_rig(
    server: FaultServer, make_client: Callable[..., WaveSpeed], ledger: Ledger, qwen_home: Path, monkeypatch
) -> AsyncIterator[Callable[..., Rig]]:
    """Make an engine with other timeouts; I1–I8 are checked when the test is over."""
    rigs: list[Rig] = []
    monkeypatch.setattr(pacing, "backoff", lambda *_args, **_options: 0.0)
    # Times the scale: 0.05 s without a Retry-After, looks into the history after 20, 40, 80 and 160 ms.
    monkeypatch.setattr(pacing, "DEFAULT_RETRY", 5.0)
    monkeypatch.setattr(reconcile, "SETTLE", (2.0, 4.0, 8.0, 16.0))
    # Not scaled as the rest: on a busy machine what is answered at once can still take a second.
    deadline = pacing.deadline
    monkeypatch.setattr(
        pacing, "deadline", lambda known, *, scale=1.0: max(deadline(known, scale=scale), 8.0)
    )

    def make(timeouts: Timeouts = PATIENT, *, base_url: str | None = None, key: str = CANARY) -> Rig:
        client = make_client(timeouts, base_url=base_url, key=key)
        store = PictureStore(qwen_home)
        engine = Engine(client, ledger, store, provider=client.origin, usual=0.03, time_scale=0.01)
        rigs.append(Rig(engine, server, qwen_home))
        return rigs[-1]

    with stamina.set_testing(True, attempts=8, cap=True):
        yield make
    for rig in rigs:
        check_invariants(server, qwen_home, rig.requests, resends=rig.resends, texts=rig.texts)


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()


@pytest.fixture
def engine(rig: Rig) -> Engine:
    return rig.engine


# --- a whole studio ---------------------------------------------------------------------------------------


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Studio]]:
    """Put a new studio behind qw.generate, as after the kernel's restart: it polls at the fault server's pace."""

    def make() -> Studio:
        here = Studio(Settings())
        monkeypatch.setattr("qwen_widgets.studio._default", here)
        # What a catalogue has taught is learned anew, from the ledger.
        SHELF.learn(())
        engine, _ = here.engine()
        engine.usual = 0.03
        engine.rhythm = pacing.DEFAULT_RHYTHM.scaled(0.01)
        return here

    yield make
    SHELF.learn(())


@pytest.fixture
def hosted(
    monkeypatch: pytest.MonkeyPatch, server: FaultServer, restart: Callable[[], Studio]
) -> FaultServer:
    """The fault server, behind qw.generate."""
    monkeypatch.setenv("QWEN_WIDGETS_BASE_URL", server.base_url)
    monkeypatch.setenv("WAVESPEED_API_KEY", CANARY)
    restart()
    return server


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio of this test's own behind qw.generate, that may spend what a test needs."""
    here = Studio(Settings(offline_seconds=0.05, max_cost=5))
    monkeypatch.setattr("qwen_widgets.studio._default", here)
    return here


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch, studio: Studio) -> Iterator[ContractServer]:
    """The contract on a port, behind qw.generate, with uploads and edits, and quick."""
    here = ContractServer(settings(duration=0.05))
    for name, value in here.env().items():
        monkeypatch.setenv(name, value)
    yield here
    here.stop()


# --- places -----------------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """The file that a download is written to."""
    return tmp_path / "picture.part"


@pytest.fixture
def url(server: FaultServer) -> str:
    """The address of a picture."""
    return server.origin + "/out/x.png"


# --- the kill tests ---------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "weather_round" in metafunc.fixturenames:
        metafunc.parametrize("weather_round", range(metafunc.config.getoption("--kill-rounds", 20)))
