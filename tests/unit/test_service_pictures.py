"""The embedded service's pictures: how long they are kept, painted off the loop, served in parts."""

import asyncio
import io
import threading

import httpx
import pytest
from house import LONGEST, MODEL, open_house, paint
from PIL import Image

from qwen_widgets.offline import rendering
from qwen_widgets.offline import service as module
from qwen_widgets.offline.service import OFFLINE_BASE_URL, OFFLINE_ORIGIN, OfflineService, ServiceSettings

# The history


async def test_after_seven_days_a_prediction_and_its_picture_are_gone(house):
    done = await house.finished()
    assert (await house.client.get(done["outputs"][0])).status_code == 200
    house.clock.pass_(7 * 24 * 3600 - 2 * LONGEST)
    assert (await house.client.get(done["outputs"][0])).status_code == 200
    house.clock.pass_(LONGEST)
    assert (await house.client.get(done["outputs"][0])).status_code == 404
    assert (await house.client.get(f"predictions/{done['id']}/result")).status_code == 404
    assert (await house.history())["total"] == 0


async def test_only_so_many_predictions_are_kept_and_the_oldest_go_first(house, monkeypatch):
    monkeypatch.setattr(module, "_MAX_PREDICTIONS", 3)
    ids = [(await house.start())["id"] for _ in range(5)]
    assert list(house.service.predictions) == ids[2:]


# Pictures


async def test_a_picture_has_the_size_and_the_seed_that_were_asked_for(house):
    done = await house.finished(size="320*256", seed=200)
    answer = await house.client.get(done["outputs"][0])
    assert answer.headers["content-type"] == "image/png"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("PNG", (320, 256))
        assert image.getpixel((5, 5)) == (200, len("a red fox"), 99)


async def test_a_picture_is_not_there_before_its_prediction_is_completed(house):
    data = await house.start()
    url = f"{OFFLINE_ORIGIN}/pictures/{data['id']}.png"
    assert (await house.client.get(url)).status_code == 404
    house.clock.pass_(LONGEST)
    assert (await house.client.get(url)).status_code == 200


async def test_nothing_is_painted_before_a_picture_is_asked_for_and_then_only_once():
    painted = []

    def painter(prompt, size, seed):
        painted.append(threading.current_thread())
        return paint(prompt, size, seed)

    async with open_house(painter=painter) as house:
        done = await house.finished()
        assert painted == []
        first = await house.client.get(done["outputs"][0])
        again = await house.client.get(done["outputs"][0])
        assert first.content == again.content
        assert len(painted) == 1


async def test_the_service_answers_while_it_paints():
    painting, go_on = threading.Event(), threading.Event()

    def painter(prompt, size, seed):
        painting.set()
        assert go_on.wait(30)
        return paint(prompt, size, seed)

    async with open_house(painter=painter) as house:
        done = await house.finished()
        picture = asyncio.create_task(house.client.get(done["outputs"][0]))
        try:
            assert await asyncio.to_thread(painting.wait, 30)
            assert (await asyncio.wait_for(house.client.get("balance"), 10)).status_code == 200
            assert not picture.done()
        finally:
            go_on.set()
        assert (await asyncio.wait_for(picture, 30)).status_code == 200


async def test_only_a_few_pictures_are_painted_at_once():
    lock, go_on, entered = threading.Lock(), threading.Event(), threading.Semaphore(0)
    now = most = 0

    def painter(prompt, size, seed):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        entered.release()
        assert go_on.wait(30)
        with lock:
            now -= 1
        return paint(prompt, size, seed)

    async with open_house(painter=painter) as house:
        ids = [(await house.start(seed=seed, size="256*256"))["id"] for seed in range(12)]
        house.clock.pass_(LONGEST)
        urls = [f"{OFFLINE_ORIGIN}/pictures/{id_}.png" for id_ in ids]
        pictures = [asyncio.create_task(house.client.get(url)) for url in urls]
        try:
            for _ in range(rendering.PAINTERS_AT_ONCE):
                assert await asyncio.to_thread(entered.acquire, timeout=30)
            for _ in range(50):
                await house.client.get("balance")
        finally:
            go_on.set()
        answers = await asyncio.wait_for(asyncio.gather(*pictures), 30)
    assert [answer.status_code for answer in answers] == [200] * 12
    assert most == rendering.PAINTERS_AT_ONCE


def test_one_service_paints_for_clients_on_several_event_loops():
    service = OfflineService(ServiceSettings(duration=0), painter=paint)

    async def fetch(seed):
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url=OFFLINE_BASE_URL + "/") as client:
            id_ = (await client.post(MODEL, json={"prompt": "a fox", "seed": seed})).json()["data"]["id"]
            return (await client.get(f"{OFFLINE_ORIGIN}/pictures/{id_}.png")).status_code

    assert [asyncio.run(fetch(seed)) for seed in range(3)] == [200, 200, 200]


async def test_a_picture_can_be_resumed_where_it_broke_off(house):
    url = (await house.finished())["outputs"][0]
    whole = await house.client.get(url)
    total, tag = len(whole.content), whole.headers["etag"]
    for asked, part in (
        ("bytes=100-", whole.content[100:]),
        ("bytes=0-0", whole.content[:1]),
        (f"bytes=10-{total * 9}", whole.content[10:]),
        ("bytes=-7", whole.content[-7:]),
    ):
        answer = await house.client.get(url, headers={"range": asked, "if-range": tag})
        assert (answer.status_code, answer.content) == (206, part)
        first = total - len(part) if asked != "bytes=0-0" else 0
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{total}"


async def test_a_range_behind_the_end_is_a_416(house):
    url = (await house.finished())["outputs"][0]
    total = len((await house.client.get(url)).content)
    answer = await house.client.get(url, headers={"range": f"bytes={total}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{total}")


@pytest.mark.parametrize(
    "headers",
    [{"range": "bytes=5-", "if-range": '"another"'}, {"range": "bytes=-"}, {"range": "bytes=0-1,5-6"}],
    ids=["changed", "empty", "several"],
)
async def test_a_range_that_cannot_be_honoured_gives_the_whole_picture(house, headers):
    url = (await house.finished())["outputs"][0]
    answer = await house.client.get(url, headers=headers)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")


async def test_a_picture_that_the_client_has_is_not_sent_again(house):
    url = (await house.finished())["outputs"][0]
    tag = (await house.client.get(url)).headers["etag"]
    answer = await house.client.get(url, headers={"if-none-match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


async def test_a_painter_that_fails_is_a_500_and_the_service_lives_on(caplog):
    def painter(prompt, size, seed):
        raise ZeroDivisionError

    async with open_house(painter=painter) as house:
        url = (await house.finished())["outputs"][0]
        answer = await house.client.get(url)
        assert (answer.status_code, answer.json()["code"]) == (500, 500)
        assert "ZeroDivisionError" in caplog.text
        assert (await house.client.get("balance")).status_code == 200


async def test_few_pictures_are_kept_in_memory(house, monkeypatch):
    monkeypatch.setattr(rendering, "PICTURES_KEPT", 2)
    for seed in range(4):
        await house.client.get((await house.finished(seed=seed, size="256*256"))["outputs"][0])
    assert house.service._renderer.kept == 2


async def test_the_real_painter_draws_the_same_picture_for_the_same_request():
    pictures = []
    for _ in range(2):
        async with open_house(painter=None) as house:
            done = await house.finished("a red fox in fresh snow", seed=3, size="384*256")
            pictures.append((await house.client.get(done["outputs"][0])).content)
            other = await house.finished("a red fox in fresh snow", seed=4, size="384*256")
            assert (await house.client.get(other["outputs"][0])).content != pictures[-1]
    assert pictures[0] == pictures[1]
    with Image.open(io.BytesIO(pictures[0])) as image:
        assert image.size == (384, 256)
