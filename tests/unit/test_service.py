"""The embedded service's calls: the documented contract, its refusals, prices, history."""

import asyncio
import json
import re
from decimal import Decimal
from email.utils import parsedate_to_datetime

import pytest
from house import LONGEST, MODEL, PRO, open_house

from qwen_widgets.offline.catalogue import OFFERS
from qwen_widgets.offline.service import OFFLINE_BASE_URL, OFFLINE_ORIGIN, ServiceSettings

# From created to completed


async def test_a_prediction_goes_from_created_over_processing_to_completed(house):
    data = await house.start()
    seen = [data["status"]]
    for _ in range(20):
        house.clock.pass_(0.1)
        seen.append((await house.result(data["id"]))["status"])
    assert list(dict.fromkeys(seen)) == ["created", "processing", "completed"]


async def test_a_prediction_is_told_in_the_documented_envelope(house):
    answer = await house.submit(seed=7, size="1280*720")
    assert answer.json()["code"] == 200
    assert answer.json()["message"] == "success"
    started = answer.json()["data"]
    assert re.fullmatch("[0-9a-f]{32}", started["id"])
    assert started["outputs"] == []
    assert started["created_at"] == "2025-06-01T12:00:00.250Z"
    assert started["input"] == {"prompt": "a red fox", "size": "1280*720", "seed": 7}

    house.clock.pass_(LONGEST)
    done = await house.result(started["id"])
    assert done["outputs"] == [f"{OFFLINE_ORIGIN}/pictures/{started['id']}.png"]
    assert done["urls"]["get"] == f"{OFFLINE_BASE_URL}/predictions/{started['id']}/result"
    assert done["has_nsfw_contents"] == [False]
    assert done["error"] == ""
    assert 780 <= done["timings"]["inference"] == done["executionTime"] <= 1620


async def test_both_addresses_of_a_result_give_the_same_answer(house):
    data = await house.start()
    long = await house.client.get(f"predictions/{data['id']}/result")
    short = await house.client.get(f"predictions/{data['id']}")
    assert long.json() == short.json()
    assert long.json()["data"]["id"] == data["id"]


async def test_even_a_prediction_of_no_duration_is_created_at_first():
    async with open_house(duration=0) as house:
        data = await house.start()
        assert (data["status"], data["outputs"]) == ("created", [])
        assert (await house.result(data["id"]))["status"] == "completed"


async def test_durations_differ_from_seed_to_seed_and_repeat_for_the_same_request(house):
    for seed in range(1, 41):
        await house.start(seed=seed)
    await house.start(seed=1)
    takes = [round(each.ends - each.created, 6) for each in house.service.predictions.values()]
    assert takes[0] == takes[-1]
    assert len(set(takes)) == 40
    assert 0.78 <= min(takes) < 0.95
    assert 1.45 < max(takes) <= 1.62


async def test_an_unknown_prediction_is_a_404_in_its_own_shape(house):
    answer = await house.client.get(f"predictions/{'0' * 32}/result")
    assert (answer.status_code, answer.json()) == (404, {"error": "task not found"})


async def test_every_answer_carries_the_date_of_the_services_clock(house):
    for answer in (
        await house.submit(),
        await house.client.get("predictions/none"),
        await house.client.get(f"{OFFLINE_ORIGIN}/nowhere"),
    ):
        assert parsedate_to_datetime(answer.headers["date"]).timestamp() == int(house.clock.now)


# What a submit may hold


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": " \n\t"},
        {"prompt": "x" * 801},
        {"prompt": None},
        {"prompt": ["a fox"]},
        {"prompt": "a fox", "size": "1024x1024"},
        {"prompt": "a fox", "size": "1024×1024"},
        {"prompt": "a fox", "size": "1024*1024\n"},
        {"prompt": "a fox", "size": "255*1024"},
        {"prompt": "a fox", "size": "1024*1537"},
        {"prompt": "a fox", "size": 1024},
        {"prompt": "a fox", "seed": "1"},
        {"prompt": "a fox", "seed": True},
        {"prompt": "a fox", "seed": 1.5},
        {"prompt": "a fox", "seed": -2},
        {"prompt": "a fox", "seed": 2**31},
        ["a fox"],
    ],
    ids=lambda body: json.dumps(body)[:40],
)
async def test_a_bad_input_is_refused_with_400_and_costs_nothing(house, body):
    answer = await house.client.post(MODEL, json=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert answer.json()["message"]
    assert (house.service.submits, house.service.balance) == (0, 1000)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"prompt=a",
        b'{"prompt": "a',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"prompt": "\\ud800"}',
        b"9" * 5000,
        b'{"seed": NaN}',
    ],
    ids=["empty", "form", "cut off", "not utf-8", "deep", "half a surrogate", "long number", "NaN"],
)
async def test_a_body_that_is_no_json_object_is_refused_with_400(house, content):
    answer = await house.client.post(MODEL, content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


async def test_the_limits_themselves_are_accepted(house):
    for inputs in (
        {"prompt": "狐" * 800},
        {"size": "256*1536"},
        {"seed": 0},
        {"seed": 2**31 - 1},
    ):
        await house.start(**inputs)
    assert house.service.submits == 4


async def test_a_body_over_a_megabyte_is_refused_with_413(house):
    just_fits = json.dumps({"prompt": "a fox", "padding": ""})
    padding = "x" * (2**20 - len(just_fits))
    assert (await house.submit("a fox", padding=padding[:-100])).status_code == 200
    answer = await house.submit("a fox", padding=padding + "x" * 100)
    assert (answer.status_code, answer.json()["code"]) == (413, 413)


async def test_a_body_without_end_is_not_read_to_its_end(house):
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b" " * (1 << 20)

    answer = await asyncio.wait_for(house.client.post(MODEL, content=endless()), 20)
    assert answer.status_code == 413
    assert sent < 40


@pytest.mark.parametrize("model", ["nobody/nothing", "predictions/delete/more", f"{MODEL}/", "media"])
async def test_an_unknown_model_is_a_400(house, model):
    answer = await house.submit(model=model)
    assert (answer.status_code, answer.json()) == (400, {"code": 400, "message": "Model not found"})


async def test_inputs_that_the_model_does_not_know_are_ignored_and_recorded(house):
    data = await house.start(n=4, enable_sync_mode=True)
    assert data["input"].keys() == {"prompt", "size", "seed"}
    assert house.service.predictions[data["id"]].ignored == ("enable_sync_mode", "n")


async def test_what_is_left_out_takes_its_default(house):
    data = await house.start()
    assert data["input"] == {"prompt": "a red fox", "size": "1024*1024", "seed": -1}


async def test_a_seed_that_the_service_draws_is_never_told(house):
    done = await house.finished(seed=-1)
    drawn = house.service.predictions[done["id"]].seed
    assert 0 <= drawn < 2**31
    told = json.dumps([done, await house.history()])
    assert str(drawn) not in told.replace(done["id"], "")


async def test_the_service_draws_a_new_seed_each_time(house):
    for _ in range(5):
        await house.start(seed=-1)
    assert len({each.seed for each in house.service.predictions.values()}) == 5


# Calls that don't fit


async def test_another_method_is_a_405_in_json(house):
    answer = await house.client.get(MODEL)
    assert (answer.status_code, answer.json()["code"]) == (405, 405)
    assert answer.headers["allow"] == "POST"


async def test_another_address_is_a_404_in_json(house):
    answer = await house.client.get(f"{OFFLINE_ORIGIN}/favicon.ico")
    assert (answer.status_code, answer.json()["code"]) == (404, 404)


# The key


@pytest.mark.parametrize("header", [None, "Bearer wrong", "the-key", "Bearer the-key2", "Bearer ü"])
@pytest.mark.parametrize("path", ["balance", MODEL, "predictions/x/result"])
async def test_where_a_key_is_required_another_is_refused_with_401(header, path):
    async with open_house(require_key="the-key") as house:
        headers = {} if header is None else {"authorization": header.encode("latin-1")}
        method = "POST" if path == MODEL else "GET"
        answer = await house.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, 401)
        assert "the-key" not in answer.text


async def test_the_required_key_opens_the_api_and_a_picture_needs_none():
    async with open_house(require_key="the-key") as house:
        house.client.headers["authorization"] = "Bearer the-key"
        url = (await house.finished())["outputs"][0]
        del house.client.headers["authorization"]
        assert (await house.client.get(url)).status_code == 200


async def test_where_no_key_is_required_any_will_do(house):
    assert (await house.client.get("balance", headers={"authorization": "Bearer x"})).status_code == 200


def test_the_key_is_not_in_the_repr_of_the_settings():
    assert "the-key" not in repr(ServiceSettings(require_key="the-key"))


# Limits and money


async def test_over_the_rate_the_answer_is_429_until_the_minute_has_passed():
    async with open_house(per_minute=2) as house:
        await house.start()
        house.clock.pass_(30)
        await house.start()
        answer = await house.submit()
        assert (answer.status_code, answer.json()["code"]) == (429, 429)
        assert "concurrency" not in answer.text
        house.clock.pass_(30)
        await house.start()
        assert (await house.submit()).status_code == 429
        assert house.service.submits == 3
        assert house.service.balance == Decimal("999.91")


async def test_over_the_concurrency_the_answer_is_429_until_one_has_ended():
    async with open_house(at_once=2) as house:
        first = await house.start()
        await house.start()
        answer = await house.submit()
        assert answer.status_code == 429
        assert answer.json() == {"code": 429, "message": "You have reached your concurrency limit"}
        await house.client.post("predictions/delete", json={"ids": [first["id"]]})
        assert (await house.submit()).status_code == 429, "deleting is not cancelling"
        house.clock.pass_(LONGEST)
        await house.start()


async def test_a_submit_costs_the_price_of_its_model(house):
    await house.start()
    await house.start(model=PRO)
    for path in ("balance", "account/balance"):
        assert (await house.client.get(path)).json()["data"] == {"balance": 999.9}
    assert house.service.balance == Decimal("999.90")


async def test_without_credit_a_submit_is_refused_with_a_400():
    async with open_house(balance=Decimal("0.09")) as house:
        await house.start(model=PRO)
        answer = await house.submit()
        assert answer.status_code == 400
        assert answer.json() == {"code": 400, "message": "Insufficient credits. Please top up."}
        assert house.service.submits == 1


@pytest.mark.parametrize(("mark", "code"), [("offline:moderated", 1200), ("offline:fail", 1403)])
async def test_a_marked_prompt_fails_with_http_200_and_is_refunded(house, mark, code):
    data = await house.start(f"a fox {mark}")
    house.clock.pass_(0.7)
    assert (await house.result(data["id"]))["status"] == "processing"
    assert house.service.balance == Decimal("999.97")
    house.clock.pass_(LONGEST)
    answer = await house.client.get(f"predictions/{data['id']}/result")
    assert (answer.status_code, answer.json()["code"]) == (200, 200)
    failed = answer.json()["data"]
    assert (failed["status"], failed["code"], failed["outputs"]) == ("failed", code, [])
    assert failed["error"]
    assert house.service.balance == 1000
    assert (await house.client.get(f"{OFFLINE_ORIGIN}/pictures/{data['id']}.png")).status_code == 404


async def test_what_has_failed_is_refunded_even_when_it_was_deleted_before(house):
    data = await house.start("offline:fail")
    await house.client.post("predictions/delete", json={"ids": [data["id"]]})
    assert house.service.balance == Decimal("999.97")
    house.clock.pass_(LONGEST)
    assert house.service.balance == 1000


async def test_the_moderation_text_is_the_one_of_the_hosted_service(house):
    done = await house.finished("offline:moderated")
    assert done["error"].startswith("Content flagged as potentially sensitive.")


@pytest.mark.parametrize(
    ("model", "price"),
    [
        (MODEL, 0.03),
        (PRO, 0.07),
        ("wavespeed-ai/qwen-image-2.0/edit", 0.03),
        ("wavespeed-ai/qwen-image-2.0-pro/edit", 0.07),
        ("wavespeed-ai/qwen-image/edit-plus", 0.02),
        ("bytedance/seedream-v5.0-lite", 0.035),
        ("bytedance/seedream-v5.0-lite/edit", 0.035),
        ("wavespeed-ai/prompt-optimizer", 0.001),
    ],
)
async def test_a_price_is_told_in_both_shapes_and_costs_nothing(house, model, price):
    body = {"model_id": model, "inputs": {"prompt": "a fox"}}
    newer = (await house.client.post("model/price", json=body)).json()["data"]
    assert newer == {"model_id": model, "price": price, "discounted_price": price}
    older = (await house.client.post("model/pricing", json=body)).json()["data"]
    assert older == {"unit_price": price, "currency": "USD"}
    assert house.service.balance == 1000


@pytest.mark.parametrize("body", [{}, {"model_id": "nobody/nothing"}, {"model_id": MODEL, "inputs": "a fox"}])
async def test_the_price_of_what_there_is_not_is_a_400(house, body):
    assert (await house.client.post("model/price", json=body)).status_code == 400


async def test_the_catalogue_tells_each_models_inputs_and_limits(house):
    entries = (await house.client.get("models")).json()["data"]
    assert [entry["model_id"] for entry in entries] == [offer.id for offer in OFFERS]
    schemas = {
        entry["model_id"]: entry["api_schema"]["api_schemas"][0]["request_schema"] for entry in entries
    }
    schema = schemas[MODEL]
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["size"] == {
        "type": "string",
        "default": "1024*1024",
        "minimum": 256,
        "maximum": 1536,
    }
    assert schema["properties"]["seed"]["default"] == -1
    edit = schemas["wavespeed-ai/qwen-image-2.0/edit"]
    assert edit["properties"].keys() == {"prompt", "images", "seed"}
    assert (edit["properties"]["images"]["maxItems"], edit["required"]) == (6, ["prompt", "images"])
    assert "seed" not in schemas["bytedance/seedream-v5.0-lite"]["properties"]
    optimizer = schemas["wavespeed-ai/prompt-optimizer"]
    assert optimizer["required"] == ["text"]
    assert optimizer["properties"]["mode"]["enum"] == ["image", "video"]


# The history


async def test_the_history_is_newest_first_in_pages_and_echoes_the_input(house):
    ids = []
    for seed in range(5):
        ids.append((await house.start(seed=seed))["id"])
        house.clock.pass_(1)
    first = await house.history(page=1, page_size=3)
    second = await house.history(page=2, page_size=3)
    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert (first["page"], first["total"]) == (1, 5)
    assert [item["input"]["seed"] for item in first["items"]] == [4, 3, 2]
    assert (await house.history(page=3, page_size=3))["items"] == []


async def test_the_history_can_be_limited_to_a_model_and_a_status(house):
    await house.start("offline:fail")
    done = await house.finished(model=PRO)
    running = await house.start()
    assert [item["id"] for item in (await house.history(model=PRO))["items"]] == [done["id"]]
    assert [item["id"] for item in (await house.history(status="created"))["items"]] == [running["id"]]
    assert [item["id"] for item in (await house.history(status="completed"))["items"]] == [done["id"]]
    assert (await house.history(status="failed"))["items"][0]["code"] == 1403


async def test_the_history_can_be_limited_to_the_minutes_around_a_submit(house):
    house.clock.pass_(0.0004)  # a fraction that `created_at` doesn't tell
    told = []
    for _ in range(3):
        told.append(await house.start())
        house.clock.pass_(60)
    middle = told[1]["created_at"]
    only = await house.history(created_after=middle, created_before=middle)
    assert [item["id"] for item in only["items"]] == [told[1]["id"]]
    assert (await house.history(created_after=middle))["total"] == 2
    assert (await house.history(created_before=middle))["total"] == 2
    with_offset = middle.replace("T12:", "T14:").replace("Z", "000000+02:00")
    assert (await house.history(created_after=with_offset))["total"] == 2


@pytest.mark.parametrize(
    "filters",
    [
        {"page": 0},
        {"page_size": 0},
        {"page_size": 101},
        {"page": "1"},
        {"page": True},
        {"model": 1},
        {"status": []},
        {"created_after": "yesterday"},
        {"created_before": 1748779200},
    ],
    ids=str,
)
async def test_a_bad_filter_is_refused_with_400(house, filters):
    assert (await house.client.post("predictions", json=filters)).status_code == 400


async def test_a_page_holds_a_hundred_at_most(house):
    for _ in range(101):
        await house.start()
    assert len((await house.history(page_size=100))["items"]) == 100


async def test_what_is_deleted_is_gone_from_result_history_and_pictures(house):
    gone, kept = await house.finished(), await house.finished()
    answer = await house.client.post("predictions/delete", json={"ids": [gone["id"], gone["id"], "nobody"]})
    assert answer.json()["data"] == {"deleted_count": 1}
    assert (await house.client.get(f"predictions/{gone['id']}/result")).status_code == 404
    assert (await house.client.get(gone["outputs"][0])).status_code == 404
    assert [item["id"] for item in (await house.history())["items"]] == [kept["id"]]


@pytest.mark.parametrize("body", [{}, {"ids": "all"}, {"ids": [1]}], ids=str)
async def test_a_bad_list_to_delete_is_refused_with_400(house, body):
    assert (await house.client.post("predictions/delete", json=body)).status_code == 400
