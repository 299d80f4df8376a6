"""From whom a picture is taken: addresses, peers, redirects, and what they are told."""

from __future__ import annotations

import socket

import httpx
import pytest
from rig import CANARY, PATIENT
from server import (
    picture,
    redirect,
    served,
)

from qwen_widgets.core.download import _PeerGuard
from qwen_widgets.core.errors import UnavailableError
from qwen_widgets.core.key import ApiKey
from qwen_widgets.core.wavespeed import WaveSpeed

PNG = picture((256, 256), 1)


# --- from whom --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/out/there.png", "there.png?a=b", "absolute"])
async def test_a_redirect_is_followed_by_hand(status, location, server, client, url, into):
    to = server.origin + "/out/there.png" if location == "absolute" else location
    server.on_picture(redirect(to, status), served(PNG))
    await client.download(url, into)
    assert into.read_bytes() == PNG
    assert [seen.target.partition("?")[0] for seen in server.seen] == ["/out/x.png", "/out/there.png"]


async def test_a_redirect_to_another_origin_takes_nothing_along(server, foreign, client, url, into):
    async def with_cookie(x):
        await x.answer(302, b"", {"Location": foreign.origin + "/out/y.png", "Set-Cookie": "a=b; Path=/"})

    server.on_picture(with_cookie, times=None)
    foreign.on_picture(served(PNG), times=None)
    await client.download(url, into)
    await client.download(url, into)
    for seen in (*server.seen, *foreign.seen):
        assert seen.header("Cookie") is None
        assert seen.header("Authorization") is None
        assert seen.header("Referer") is None


@pytest.mark.parametrize(("count", "works"), [(1, True), (3, True), (4, False)])
async def test_at_most_three_redirects(count, works, server, client, url, into):
    server.on_picture(*[redirect(f"/out/{i}.png") for i in range(count)])
    server.on_picture(served(PNG))
    if works:
        await client.download(url, into)
    else:
        with pytest.raises(UnavailableError, match="too often"):
            await client.download(url, into)
        assert len(server.seen) == 4


FORBIDDEN = [
    "http://cdn.example/a.png",
    "https://cdn.example:8443/a.png",
    "https://user:pass@cdn.example/a.png",
    "https://user@127.0.0.1/a.png",
    "ftp://127.0.0.1/a.png",
    "file:///etc/passwd",
    "data:image/png;base64,iVBORw0KGgo=",
    "javascript:alert(1)",
    "iVBORw0KGgoAAAANSUhEUg==",
    "//",
    "",
    " ",
    "http://[",
    "https://",
    "http://127.0.0.1.nip.io/a.png",
    "http://127.1/a.png",
    "http://2130706433/a.png",
    "http://0.0.0.0/a.png",
    "http://169.254.169.254/latest/meta-data",
    "http://10.0.0.1/a.png",
    "https://a\nb/x",
    "https://\ud800/x",
    "\x1b[31mhttp://x",
]


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_addresses_that_are_never_opened(address, client, into, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_o: pytest.fail("a name was looked up"))
    with pytest.raises(UnavailableError) as caught:
        await client.download(address, into)
    assert not caught.value.may_retry
    assert "\x1b" not in caught.value.message
    assert "pass" not in caught.value.message.replace("passwd", "")


@pytest.mark.parametrize("address", [a for a in FORBIDDEN if a.isprintable() and "://" in a and "[" not in a])
async def test_a_redirect_leads_to_none_of_them(address, server, client, url, into):
    server.on_picture(redirect(address))
    with pytest.raises(UnavailableError):
        await client.download(url, into)
    assert len(server.seen) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_loopback_is_for_an_api_on_loopback_only(host, server, into, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_o: pytest.fail("a name was looked up"))
    client = WaveSpeed("https://api.example", ApiKey(CANARY), timeouts=PATIENT)
    with pytest.raises(UnavailableError, match="https on port 443"):
        await client.download(f"http://{host}:{server.port}/out/x.png", into)
    assert server.seen == []


async def test_a_name_that_leads_home_is_met_before_anything_is_sent(server, into, monkeypatch):
    """DNS says 127.0.0.1 for a public name: the connected peer counts, and no request goes to it."""
    client = WaveSpeed("https://api.example", ApiKey(CANARY), timeouts=PATIENT)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    real = socket.getaddrinfo

    def lie(_host, *args, **options):
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lie)
    # Only https on port 443 may be opened, where no test can listen; the address itself is beyond suspicion here.
    monkeypatch.setattr(client._downloads, "_check_url", httpx.URL)
    with pytest.raises(UnavailableError, match="private network"):
        await client.download(f"http://cdn.example:{server.port}/out/x.png", into)
    assert server.seen == []
    await client.aclose()


async def test_no_proxy_setting_opens_a_way_around_the_peer_check(server, into, monkeypatch):
    """With an API on loopback no proxy is used at all, so that every peer is a direct one."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    client = WaveSpeed(server.base_url, ApiKey(CANARY), timeouts=PATIENT)
    private = ("10.1.2.3", 443)

    class Stream:
        closed = False

        def get_extra_info(self, _name):
            return private

        async def aclose(self):
            self.closed = True

    guard = _PeerGuard(httpx.URL("https://cdn.example/x"), loopback=True)
    await guard("connection.connect_tcp.started", {"host": "cdn.example"})
    stream = Stream()
    with pytest.raises(UnavailableError):
        await guard("connection.connect_tcp.complete", {"return_value": stream})
    assert stream.closed
    await client.aclose()


@pytest.mark.parametrize(
    ("peer", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a00:1", False),
        ("fec0::1", False),
        ("64:ff9b:1::7f00:1", False),
        ("64:ff9b:1::5db8:d822", False),
        ("::7f00:1", False),
        ("::10.0.0.1", False),
        ("::93.184.216.34", False),
        ("::ffff:0:127.0.0.1", False),
        ("::ffff:0:93.184.216.34", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),
        ("5f00::1", False),
        ("ff0e::1", False),
        ("2a00:1450:4001:80b::200e", True),
        ("nonsense", False),
    ],
)
def test_which_peers_are_public(peer, public):
    assert _PeerGuard(httpx.URL("https://a/"), loopback=False)._allows(peer) is public
