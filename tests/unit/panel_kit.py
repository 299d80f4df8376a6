"""What the panel's tests share: panels on the embedded service, and a page's messages."""

from __future__ import annotations

import json
import threading

import pytest

import qwen_widgets as qw
from qwen_widgets.settings import Settings
from qwen_widgets.studio import studio


@pytest.fixture
def new_panel(qwen_home, monkeypatch):
    """Make panels, with the embedded service, quick, in a home of its own."""
    settings = Settings(provider="offline", home=qwen_home, offline_seconds=0.05)
    monkeypatch.setattr(studio(), "settings", settings)
    made = []

    def make(*args, **options):
        made.append(qw.Panel(*args, **options))
        return made[-1]

    yield make
    for panel in made:
        panel.wait(30)
        panel.close()


@pytest.fixture
def panel(new_panel):
    return new_panel("a red fox", seeds="1-2", size="256x256")


@pytest.fixture
def hosted(new_panel, qwen_home, monkeypatch, contract_server):
    """A server that takes money."""
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    studio().settings = Settings(home=qwen_home)
    return contract_server


def look(panel):
    """Wait until the line before the run is the one of the controls as they are."""
    seen = threading.Event()

    def check(_change=None):
        if panel.looked == panel._looks:
            seen.set()

    panel.observe(check, names="looked")
    check()
    assert seen.wait(10)
    return panel.line


def forge(panel, content):
    """Have the bridge receive a message as it comes from a page."""
    panel._bridge._handle_custom_msg(json.loads(json.dumps(content)), [])
