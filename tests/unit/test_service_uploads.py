"""The embedded service's uploads: tickets, the PUT without a key, multipart, and the bound on memory."""

import json
import os

import httpx
import pytest
from contract import KEY, ContractServer, crowded_catalogue, settings
from house import EDIT, OPTIMIZER, encoded, open_house

from qwen_widgets.offline import uploads

HEAD = {"filename": "fox.png", "size": 5, "content_type": "image/png"}


async def ticket(house, **changes):
    answer = await house.client.post("media/uploads", json=HEAD | changes)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def put(house, given, data=b"12345", **headers):
    upload = given["upload"]
    return await house.client.put(
        upload["url"], content=data, headers={**httpx.Headers(upload["headers"]), **headers}
    )


async def test_a_file_goes_by_ticket_and_put_and_comes_back_as_it_was(house):
    data = encoded()
    given = await ticket(house, size=len(data))
    assert given["upload"]["method"] == "PUT"
    assert given["upload"]["headers"] == {"Content-Type": "image/png"}
    assert (await house.client.get(given["download_url"])).status_code == 404, "it has not come yet"
    assert (await put(house, given, data)).status_code == 200
    answer = await house.client.get(given["download_url"])
    assert (answer.content, answer.headers["content-type"]) == (data, "image/png")
    assert [upload.filename for upload in house.service.uploads.kept] == ["fox.png"]


async def test_a_put_that_brings_the_key_is_refused(house):
    given = await ticket(house)
    answer = await put(house, given, authorization="Bearer some-key")
    assert answer.status_code == 400
    assert "Authorization" in answer.json()["message"]
    assert "some-key" not in answer.text
    assert house.service.uploads.kept == ()
    assert (await put(house, given)).status_code == 200


async def test_a_ticket_needs_the_key_and_the_put_does_not():
    async with open_house(require_key="the-key") as house:
        assert (await house.client.post("media/uploads", json=HEAD)).status_code == 401
        house.client.headers["authorization"] = "Bearer the-key"
        given = await ticket(house)
        del house.client.headers["authorization"]
        assert (await put(house, given)).status_code == 200
        assert (await house.client.get(given["download_url"])).content == b"12345"


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [(b"1234", {}, 400), (b"123456", {}, 413), (b"12345", {"content-type": "text/html"}, 403)],
    ids=["too short", "too long", "another type"],
)
async def test_a_put_that_is_not_what_the_ticket_is_for_is_refused(house, data, headers, status):
    given = await ticket(house)
    assert (await put(house, given, data, **headers)).status_code == status
    assert house.service.uploads.kept == ()


async def test_a_ticket_is_good_for_one_put_and_an_hour(house):
    given = await ticket(house)
    assert (await put(house, given)).status_code == 200
    assert (await put(house, given)).status_code == 403
    late = await ticket(house)
    house.clock.pass_(3601)
    assert (await put(house, late)).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [{"filename": ""}, {"filename": 1}, {"size": 0}, {"size": "5"}, {"size": 51 << 20}, {"content_type": []}],
    ids=str,
)
async def test_a_ticket_for_nonsense_is_refused(house, changes):
    answer = await house.client.post("media/uploads", json=HEAD | changes)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert next(iter(changes)) in answer.json()["message"]


async def test_a_content_type_can_be_left_out(house):
    answer = await house.client.post("media/uploads", json={"filename": "upload", "size": 5})
    given = answer.json()["data"]
    assert given["upload"]["headers"] == {"Content-Type": "application/octet-stream"}
    assert (await put(house, given)).status_code == 200


@pytest.mark.parametrize(
    "data", [b"x", b"\r\n", b"\r", b"\n\n--", encoded(), os.urandom(300_000)], ids=lambda data: str(len(data))
)
async def test_the_older_way_takes_the_same_bytes_in_one_call(house, data):
    answer = await house.client.post("media/upload/binary", files={"file": ("füchse.png", data, "image/png")})
    assert answer.status_code == 200, answer.text
    got = await house.client.get(answer.json()["data"]["download_url"])
    assert (got.content, got.headers["content-type"]) == (data, "image/png")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"12345", "image/png"),
        (b"", "multipart/form-data; boundary=x"),
        (b"12345", "multipart/form-data"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
    ids=["no form", "empty", "no boundary", "no file"],
)
async def test_a_form_without_a_file_is_refused(house, content, kind):
    headers = {"content-type": kind}
    answer = await house.client.post("media/upload/binary", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("file: ")


async def test_a_file_over_the_limit_is_refused(house, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST", 1000)
    answer = await house.client.post("media/upload/binary", files={"file": ("a", b"x" * 1001)})
    assert (answer.status_code, answer.json()["code"]) == (413, 413)


async def test_only_so_many_bytes_are_kept_and_the_oldest_go_first():
    async with open_house(upload_bytes=14) as house:
        given = [await ticket(house) for _ in range(4)]
        for each in given:
            await put(house, each)
        seen = [(await house.client.get(each["download_url"])).status_code for each in given]
        assert seen == [404, 404, 200, 200]


async def test_after_seven_days_an_upload_is_gone(house):
    given = await ticket(house)
    await put(house, given)
    house.clock.pass_(7 * 24 * 3600 - 1)
    assert (await house.client.get(given["download_url"])).status_code == 200
    house.clock.pass_(2)
    assert (await house.client.get(given["download_url"])).status_code == 404


async def test_without_tickets_only_the_older_way_is_there():
    async with open_house(tickets=False) as house:
        assert (await house.client.post("media/uploads", json=HEAD)).status_code == 400
        files = {"file": ("fox.png", b"12345", "image/png")}
        assert (await house.client.post("media/upload/binary", files=files)).status_code == 200


async def test_a_multipart_upload_can_be_edited(house):
    answer = await house.client.post(
        "media/upload/binary", files={"file": ("fox.png", encoded(), "image/png")}
    )
    done = await house.finished("at night", model=EDIT, images=[answer.json()["data"]["download_url"]])
    assert done["status"] == "completed"
    text = await house.finished(None, model=OPTIMIZER, text="a fox", image=done["outputs"][0])
    assert text["status"] == "completed"


# The server that other tests talk to


def test_the_contract_server_tells_what_was_bought_from_what_is_free(contract_server):
    with httpx.Client(base_url=contract_server.base_url, trust_env=False) as client:
        client.headers["authorization"] = f"Bearer {KEY}"
        given = client.post("media/uploads", json=HEAD).json()["data"]
        sent = httpx.put(
            given["upload"]["url"], content=b"12345", headers=given["upload"]["headers"], trust_env=False
        )
        assert sent.status_code == 200
        client.post("media/upload/binary", files={"file": ("fox.png", b"12345", "image/png")})
        client.post(OPTIMIZER, json={"text": "a fox"})
        contract_server.catalogue = crowded_catalogue()
        assert len(client.get("models").json()["data"]) == 1000
    assert [asked.path.rpartition("/")[2] for asked in contract_server.submits] == ["prompt-optimizer"]
    first, second = contract_server.uploads
    assert (first.method, first.data, "authorization" in first.headers) == ("PUT", b"12345", False)
    assert second.method == "POST"


def test_the_contract_server_can_be_set_up():
    server = ContractServer(settings(text_form="object", tickets=False))
    try:
        assert server.service.settings.require_key == KEY
        assert server.service.settings.text_form == "object"
    finally:
        server.stop()


def test_the_crowded_catalogue_is_always_the_same_and_full_of_surprises():
    one, other = crowded_catalogue(), crowded_catalogue()
    assert json.dumps(one) == json.dumps(other)
    assert len(json.dumps(one)) > 1_000_000
    odd = [entry for entry in one if not isinstance(entry, dict) or "base_price" not in entry]
    assert odd
