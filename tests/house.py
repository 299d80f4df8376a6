"""The embedded service in process, with a clock that stands still and a client of it."""

import io
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from PIL import Image

from qwen_widgets.offline.service import OFFLINE_BASE_URL, OfflineService, ServiceSettings

MODEL = "wavespeed-ai/qwen-image-2.0/text-to-image"
PRO = "wavespeed-ai/qwen-image-2.0-pro/text-to-image"
EDIT = "wavespeed-ai/qwen-image-2.0/edit"
PRO_EDIT = "wavespeed-ai/qwen-image-2.0-pro/edit"
PLUS = "wavespeed-ai/qwen-image/edit-plus"
SEEDREAM = "bytedance/seedream-v5.0-lite"
SEEDREAM_EDIT = "bytedance/seedream-v5.0-lite/edit"
OPTIMIZER = "wavespeed-ai/prompt-optimizer"
LONGEST = 1.2 * 1.35 + 0.01


class Clock:
    """A time that only moves when it is told to; 2025-06-01T12:00:00.250Z at first."""

    def __init__(self):
        self.now = datetime(2025, 6, 1, 12, 0, 0, 250_000, UTC).timestamp()

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


def paint(prompt, size, seed):
    """Stand in for the painter: noise-free, but different for each seed."""
    return Image.new("RGB", size, (seed % 256, len(prompt) % 256, 99))


def encoded(picture=None, form="PNG", **save):
    """Return a picture as a file."""
    buffer = io.BytesIO()
    (picture or Image.new("RGB", (512, 384), (90, 140, 200))).save(buffer, form, **save)
    return buffer.getvalue()


class House:
    """A service, its clock, and a client of it."""

    def __init__(self, client, service, clock):
        self.client, self.service, self.clock = client, service, clock

    async def upload(self, picture=None, **save):
        """Hand in a picture by ticket and PUT, and return its address."""
        data = picture if isinstance(picture, bytes) else encoded(picture, **save)
        asked = {"filename": "picture.png", "size": len(data), "content_type": "image/png"}
        answer = await self.client.post("media/uploads", json=asked)
        assert answer.status_code == 200, answer.text
        ticket = answer.json()["data"]
        put = ticket["upload"]
        sent = await self.client.request(put["method"], put["url"], headers=put["headers"], content=data)
        assert sent.status_code == 200, sent.text
        return ticket["download_url"]

    async def submit(self, prompt="a red fox", *, model=MODEL, **inputs):
        return await self.client.post(
            model, json={**({} if prompt is None else {"prompt": prompt}), **inputs}
        )

    async def start(self, prompt="a red fox", **inputs):
        answer = await self.submit(prompt, **inputs)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def result(self, id_):
        return (await self.client.get(f"predictions/{id_}/result")).json()["data"]

    async def finished(self, prompt="a red fox", **inputs):
        data = await self.start(prompt, **inputs)
        self.clock.pass_(LONGEST)
        return await self.result(data["id"])

    async def history(self, **filters):
        answer = await self.client.post("predictions", json=filters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@asynccontextmanager
async def open_house(*, painter=paint, **settings):
    clock = Clock()
    service = OfflineService(ServiceSettings(clock=clock, **settings), painter=painter)
    transport = httpx.ASGITransport(app=service.app)
    async with httpx.AsyncClient(transport=transport, base_url=OFFLINE_BASE_URL + "/") as client:
        yield House(client, service, clock)
