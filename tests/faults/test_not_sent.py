"""What never left this machine: only that may be sent again without a look at the history."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator

import pytest
from outcomes import (
    HTML,
)
from rig import CANARY, IMPATIENT, PATIENT, a_request, full_traceback
from server import (
    fin,
    hang,
    raw,
    reply,
    reset,
)

from qwen_widgets.core.errors import (
    NotSentError,
    QwenError,
    UnknownOutcomeError,
)

# --- nothing left this machine ----------------------------------------------------------------------------


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full: a connection to it never stands."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


async def test_a_refused_connection_is_not_sent(make_client, closed_port):
    with pytest.raises(NotSentError):
        await make_client(base_url=f"http://127.0.0.1:{closed_port}").submit(a_request())


async def test_a_connection_that_never_stands_is_not_sent(make_client, full_port):
    with pytest.raises(NotSentError, match="in time"):
        await make_client(IMPATIENT, base_url=f"http://127.0.0.1:{full_port}").submit(a_request())


async def test_a_name_that_nobody_knows_is_not_sent(make_client, monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    client = make_client(base_url="https://api.example")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotSentError):
        await client.submit(a_request())


@pytest.mark.parametrize(
    ("does", "timeouts"),
    [
        (raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), PATIENT),
        (reset, PATIENT),
        (fin, PATIENT),
        (hang, IMPATIENT),
    ],
    ids=["plain HTTP", "reset", "FIN", "silence"],
)
async def test_a_failed_tls_handshake_is_not_sent(does, timeouts, server, make_client):
    server.on("tls", does)
    client = make_client(timeouts, base_url=f"https://127.0.0.1:{server.port}")
    with pytest.raises(NotSentError) as caught:
        await client.submit(a_request())
    assert [seen.route for seen in server.seen] == ["tls"]
    assert CANARY not in full_traceback(caught.value)


@pytest.fixture
def proxy(server, monkeypatch):
    """The server as the proxy of the environment."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, server.origin)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert urllib.request.getproxies()["https"] == server.origin
    return server


@pytest.mark.parametrize(
    ("does", "timeouts"),
    [
        (reply(403, "no"), PATIENT),
        (reply(407, "who?"), PATIENT),
        (reply(502, HTML), PATIENT),
        (reset, PATIENT),
        (fin, PATIENT),
        (hang, IMPATIENT),
        (raw(b"HTTP/1.1 200 Connected\r\n\r\n"), PATIENT),
        (raw(b"HTTP/1.1 200 Connected\r\n\r\n", hang), IMPATIENT),
    ],
    ids=["403", "407", "502", "reset", "FIN", "silence", "FIN in the tunnel", "silence in the tunnel"],
)
async def test_a_proxy_that_opens_no_tunnel_is_not_sent(does, timeouts, proxy, make_client):
    proxy.on("connect", does)
    client = make_client(timeouts, base_url="https://api.example")
    with pytest.raises(NotSentError) as caught:
        await client.submit(a_request())
    assert {seen.route for seen in proxy.seen} <= {"connect", "tls"}
    assert all(CANARY not in seen.text for seen in proxy.seen)
    assert CANARY not in full_traceback(caught.value)


@pytest.mark.parametrize("address", ["socks9://127.0.0.1:1", "ftp://user:secret@127.0.0.1", "http://[", "x"])
async def test_a_proxy_setting_that_cannot_be_used_is_named_without_its_password(
    address, make_client, monkeypatch
):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, address)
    client = make_client(base_url="https://api.example")
    with pytest.raises(QwenError) as caught:
        await client.submit(a_request())
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert "secret" not in str(caught.value)


async def test_loopback_is_never_asked_through_a_proxy(server, client, monkeypatch, closed_port):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    assert (await client.submit(a_request())).id in server.predictions
