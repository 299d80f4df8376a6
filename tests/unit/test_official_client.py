"""The official `wavespeed` client against ``python -m qwen_widgets serve``: what holds for it holds for ours."""

import io
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import wavespeed
from PIL import Image

from qwen_widgets.core.models import DEFAULT_MODEL
from qwen_widgets.offline import service

ROOT = Path(service.__file__).parents[2]
KEY = "canary-8d1f0c"


@contextmanager
def serving(*options):
    """Run the service as a user would; yield the process, its address and the first lines that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "qwen_widgets", "serve", "--port", "0", "--duration", "0.2", *options],
        cwd=ROOT,
        env={**os.environ, "WAVESPEED_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        found = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        if not found:
            process.kill()
            pytest.fail("".join([*lines, process.stderr.read()]))
        yield process, found[0], lines
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_the_official_client_submits_polls_and_gets_its_picture():
    with serving() as (_, origin, _lines):
        client = wavespeed.Client(api_key="offline", base_url=origin)
        inputs = {"prompt": "a red fox in fresh snow", "size": "640*384", "seed": 7}
        done = client.run(DEFAULT_MODEL.id, inputs, timeout=60, poll_interval=0.05)
        answer = httpx.get(done["outputs"][0], trust_env=False, timeout=60)
        assert answer.status_code == 200
        assert len(answer.headers.get_list("date")) == 1
        with Image.open(io.BytesIO(answer.content)) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (640, 384))


def test_the_official_client_reports_a_failed_prediction_as_one():
    with serving() as (_, origin, _lines):
        client = wavespeed.Client(api_key="offline", base_url=origin)
        told = client.run_no_throw(
            DEFAULT_MODEL.id, {"prompt": "offline:moderated"}, timeout=60, poll_interval=0.05
        )
        assert told["status"] == "failed"
        assert re.fullmatch("[0-9a-f]{32}", told["task_id"])
        assert "Content flagged as potentially sensitive" in told["error"]


def test_the_official_client_is_refused_without_the_required_key_and_taken_with_it():
    with serving("--require-key", "--per-minute", "1") as (_, origin, lines):
        assert KEY not in "".join(lines)
        wrong = wavespeed.Client(api_key="wrong", base_url=origin)
        with pytest.raises(RuntimeError, match="HTTP 401"):
            wrong.run(DEFAULT_MODEL.id, {"prompt": "a fox"})
        right = wavespeed.Client(api_key=KEY, base_url=origin)
        done = right.run(DEFAULT_MODEL.id, {"prompt": "a fox"}, timeout=60, poll_interval=0.05)
        assert done["outputs"][0].startswith(f"{origin}/pictures/")
        with pytest.raises(RuntimeError, match="HTTP 429"):
            right.run(DEFAULT_MODEL.id, {"prompt": "a fox"})


def test_the_lines_that_are_printed_point_a_client_at_the_service():
    with serving() as (_, origin, lines):
        assert lines[1].strip() == f"QWEN_WIDGETS_BASE_URL={origin}/api/v3"
        assert lines[2].strip() == "WAVESPEED_API_KEY=offline"
        assert f'wavespeed.Client(api_key="offline", base_url="{origin}")' in lines[3]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_it_without_a_traceback():
    with serving() as (process, origin, _):
        with httpx.Client(trust_env=False) as client:  # an open connection must not hold it up
            assert client.get(f"{origin}/api/v3/balance").status_code == 200
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (0, "")


def test_the_official_client_uploads_a_picture_and_has_it_edited(tmp_path):
    original = Image.new("RGB", (512, 384), (110, 170, 230))
    original.paste((70, 140, 60), (0, 200, 512, 384))
    original.save(tmp_path / "meadow.png")
    with serving("--require-key") as (_, origin, _lines):
        client = wavespeed.Client(api_key=KEY, base_url=origin)
        address = client.upload(str(tmp_path / "meadow.png"))
        assert address.startswith(f"{origin}/uploads/")
        inputs = {"prompt": "the same at night", "images": [address], "seed": 3}
        done = client.run("wavespeed-ai/qwen-image-2.0/edit", inputs, timeout=60, poll_interval=0.05)
        answer = httpx.get(done["outputs"][0], trust_env=False, timeout=60)
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.size) == ("PNG", (512, 384))
            assert sum(image.convert("RGB").resize((1, 1)).getpixel((0, 0))) < 250
        text = client.run(
            "wavespeed-ai/prompt-optimizer",
            {"text": "a red fox", "image": address},
            timeout=60,
            poll_interval=0.05,
        )
        assert text["outputs"][0].startswith("a red fox, ")
