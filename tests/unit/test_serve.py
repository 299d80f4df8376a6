"""The embedded service on a port: its addresses, and what the command says."""

import re
import socket
import sys
import threading

import httpx
import pytest
import uvicorn
from house import MODEL, paint

from qwen_widgets import __main__ as command_line
from qwen_widgets.offline.service import OfflineService, ServiceSettings

# On a port


async def test_on_a_port_the_urls_lead_back_to_that_port():
    service = OfflineService(ServiceSettings(duration=0), painter=paint)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(service.app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            async with httpx.AsyncClient(base_url=f"{origin}/api/v3/", trust_env=False) as client:
                id_ = (await client.post(MODEL, json={"prompt": "a fox"})).json()["data"]["id"]
                done = (await client.get(f"predictions/{id_}/result")).json()["data"]
                assert done["outputs"] == [f"{origin}/pictures/{id_}.png"]
                assert (await client.get(done["outputs"][0])).content.startswith(b"\x89PNG")
                head = await client.head(done["outputs"][0])
                assert int(head.headers["content-length"]) > 0
                too_much = await client.post(MODEL, content=b" " * (3 << 20))
                assert too_much.status_code == 413
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


def test_without_uvicorn_serve_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert command_line.main(["serve"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == 'serving on a port needs uvicorn: pip install "qwen-widgets[serve]"\n'


def test_a_port_that_is_taken_is_one_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert command_line.main(["serve", "--port", port]) == 2
    assert capsys.readouterr().err.startswith(f"can't listen on 127.0.0.1 port {port}: ")


def test_a_required_key_that_is_not_set_is_one_sentence(monkeypatch, capsys):
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    assert command_line.main(["serve", "--require-key", "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith("--require-key: set WAVESPEED_API_KEY")


@pytest.mark.parametrize(
    "option", ["--port=65536", "--port=x", "--duration=nan", "--duration=-1", "--per-minute=0", "--at-once=x"]
)
def test_an_option_out_of_its_limits_is_refused(option, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["serve", option])
    assert ended.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"qwen-widgets \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
