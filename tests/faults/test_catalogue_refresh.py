"""The catalogue over a real socket: read when it is asked for, kept with its date, taken up by new kernels."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rig import CANARY
from server import OPTIMIZER, Exchange, FaultServer, envelope, lose_answer, reply

import qwen_widgets as qw
from qwen_widgets import archive, catalogue
from qwen_widgets.core import models
from qwen_widgets.core.catalogue import Catalogue
from qwen_widgets.core.errors import BudgetError, InputError, QwenError
from qwen_widgets.core.models import MODELS, SHELF, find_model
from qwen_widgets.portal import portal
from qwen_widgets.studio import Studio, studio

QWEN = MODELS[0].id
OTHER = "maker/painter/text-to-image"


def listed(model_id: str, price: float = 0.03, **inputs: Any) -> dict[str, Any]:
    properties = {"prompt": {"type": "string", "maxLength": 800, "description": "words " * 200}, **inputs}
    schema = {"properties": properties, "required": ["prompt"]}
    return {
        "model_id": model_id,
        "type": "text-to-image",
        "base_price": price,
        "api_schema": {"api_schemas": [{"request_schema": schema}]},
    }


SEED = {"type": "integer", "minimum": -1, "maximum": 2**31 - 1}


def size(largest: int) -> dict[str, Any]:
    return {"type": "string", "minimum": 256, "maximum": largest}


@pytest.fixture
def hosted(hosted: FaultServer) -> FaultServer:
    """The fault server with a catalogue."""
    hosted.models = [
        listed(QWEN, size=size(2048), seed=SEED),
        listed(OTHER, 0.03, size=size(1024), seed=SEED),
        *(listed(f"maker/model-{n}/text-to-image", 0.01) for n in range(1000)),
        None,
    ]
    return hosted


def test_nothing_is_fetched_unasked(hosted: FaultServer) -> None:
    assert "Limits and prices as built in" in catalogue.model_lines()[-1]
    qw.generate("a red fox", seeds=1, sizes="256x256")
    assert hosted.requests("models") == []


def test_what_was_just_read_is_taken_up_and_not_read_a_second_time(
    hosted: FaultServer, restart: Callable[[], Studio], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "from_json", None)
        catalogue.refresh_catalogue()
        taken_up, prices = SHELF.models, dict(SHELF.prices)
        assert find_model(OTHER).max_side == 1024
    # A new kernel, which has what was kept alone, knows the very same.
    restart().learn()
    assert SHELF.models == taken_up
    assert dict(SHELF.prices) == prices


@pytest.mark.parametrize(
    ("code", "next_step"),
    [(404, "What was known stays."), (500, "What was known stays; ask again in a moment.")],
)
def test_a_catalogue_that_is_not_told_asks_for_no_change_of_a_request(
    code: int, next_step: str, hosted: FaultServer
) -> None:
    hosted.on("models", reply(code, "no"))
    with pytest.raises(QwenError) as caught:
        catalogue.refresh_catalogue()
    assert caught.value.next_step == next_step


def test_limits_are_taken_up_and_kept_for_new_kernels(
    hosted: FaultServer, restart: Callable[[], Studio], qwen_home: Path
) -> None:
    with pytest.raises(InputError, match="1536"):
        qw.generate("a red fox", seeds=1, sizes="2048x1024")
    lines = catalogue.refresh_catalogue()
    assert "lists 1,002 models" in lines[0]
    assert "1,001 beyond the built-in ones" in lines[0]
    assert "qwen-image-2.0: 256 to 1536 pixels a side → 256 to 2048 pixels a side" in lines
    assert lines[-1] == "1 entry could not be read."
    assert sum(map(len, lines)) < 1000
    for _ in range(2):
        grid = qw.generate("a red fox", seeds=1, sizes="2048x1024")
        assert grid[0, 0].state == "stored"
        restart()
    assert len(hosted.requests("models")) == 1
    assert (qwen_home / "ledger.sqlite3").stat().st_size < 1_000_000


def test_the_list_is_bounded_and_dated(hosted: FaultServer, restart: Callable[[], Studio]) -> None:
    catalogue.refresh_catalogue()
    restart()
    assert len(catalogue.model_lines()) == len(MODELS) + 2  # the enhancer, and the date
    assert "1,001 more models: %qwen models TEXT finds them" in catalogue.model_lines()[-1]
    lines = catalogue.model_lines("model-1")
    assert len(lines) == 22
    assert lines[20] == "… and 91 more: give more of the id."
    assert lines[21].startswith("Catalogue of 20")
    assert catalogue.model_lines("PAINTER")[0].startswith(f"{OTHER} $0.03 a picture")
    assert catalogue.model_lines("nobody")[0] == "No model that is known here has 'nobody' in its id."


def test_a_model_that_is_not_built_in_makes_pictures(
    hosted: FaultServer, restart: Callable[[], Studio]
) -> None:
    with pytest.raises(InputError, match="there is no such model"):
        qw.generate("a red fox", seeds=1, sizes="256x256", models=OTHER)
    catalogue.refresh_catalogue()
    grid = qw.generate("a red fox", seeds="1-2", sizes="256x256", models=OTHER)
    assert {cell.state for cell in grid} == {"stored"}
    assert [seen.json for seen in hosted.submits] == [
        {"prompt": "a red fox", "size": "256*256", "seed": seed} for seed in (1, 2)
    ]
    with pytest.raises(InputError, match="1024"):
        qw.generate("a red fox", seeds=1, sizes="1280x256", models=OTHER)
    assert len(hosted.submits) == 2
    # Its pictures are still known where the catalogue is not.
    restart()
    SHELF.learn(())
    assert qw.grid(grid.run_id)[0, 1].image.size == (256, 256)


STEPS = {
    "steps": {"type": "integer", "minimum": 1, "maximum": 50},
    "strength": {"type": "number", "minimum": 0, "maximum": 1},
    "safe": {"type": "boolean", "default": True},
    "look": {"type": "string", "enum": ["plain", "very plain"]},
    "num_images": {"type": "integer", "minimum": 1, "maximum": 4},
    "enable_base64_output": {"type": "boolean"},
}


@pytest.mark.parametrize("price", [0, None, "free"])
def test_a_model_that_is_listed_without_a_price_is_refused_for_that(
    price: Any, hosted: FaultServer, restart: Callable[[], Studio]
) -> None:
    hosted.models = [listed("maker/unpriced", seed=SEED) | {"base_price": price}, listed(OTHER, seed=SEED)]
    catalogue.refresh_catalogue()
    restart()
    for name in ("maker/unpriced", "Maker/Unpriced"):
        with pytest.raises(InputError, match=f"model '{name}': the account's list names no price for it"):
            qw.generate("a red fox", seeds=1, models=name)
    with pytest.raises(InputError, match="there is no such model"):
        qw.generate("a red fox", seeds=1, models="maker/nothing")
    assert hosted.submits == []
    line = "Without a price in the account's list, so that nothing is bought: maker/unpriced."
    assert line in catalogue.model_lines("maker")
    assert line not in catalogue.model_lines("painter")


def test_further_inputs_are_sent_as_the_schema_wants_them(
    hosted: FaultServer, restart: Callable[[], Studio], tmp_path: Path
) -> None:
    hosted.models.append(listed("maker/steps/text-to-image", 0.03, seed=SEED, **STEPS))
    catalogue.refresh_catalogue()
    assert "--input steps, strength, safe, look ·" in catalogue.model_lines("maker/steps")[0] + " ·"
    typed = {"steps": "20", "strength": 0.5, "safe": "no", "look": "very plain"}
    asked: Any = {"seeds": 1, "models": "maker/steps/text-to-image"}
    grid = qw.generate("a red fox", inputs=typed, **asked)
    assert grid[0, 0].state == "stored"
    sent = {"steps": 20, "strength": 0.5, "safe": False, "look": "very plain"}
    # One picture, and at an address: the schema has no default for either.
    single = {"num_images": 1, "enable_base64_output": False}
    assert hosted.submits[0].json == {"prompt": "a red fox", "seed": 1, **single, **sent}
    assert hosted.requests("price")[0].json["inputs"] == hosted.submits[0].json
    # They name the picture, and stay with it.
    assert not qw.generate("a red fox", inputs={**typed, "steps": 21}, **asked)[0, 0].cached
    assert qw.generate("a red fox", inputs=sent, **asked)[0, 0].cached
    restart()
    again = qw.grid(grid.run_id)
    assert dict(again[0, 0].request.extra) == sent
    assert '--input "look=very plain" --input "safe=false" --input "steps=20"' in again.magic()
    (saved,) = again.save(tmp_path / "saved")
    assert dict(qw.read(saved).extra) == sent
    assert again.add(seeds=2)[0, 1].request.extra == grid[0, 0].request.extra


def test_another_default_of_a_refreshed_catalogue_buys_nothing_again(hosted: FaultServer) -> None:
    for default, sizes in (("jpeg", ["1328*1328", "512*256"]), ("png", ["512*256", "1328*1328"])):
        kind = {"type": "string", "enum": ["jpeg", "png"], "default": default}
        hosted.models = [listed(OTHER, seed=SEED, output_format=kind, size={"type": "string", "enum": sizes})]
        catalogue.refresh_catalogue()
        assert qw.generate("a red fox", seeds=1, models=OTHER)[0, 0].state == "stored"
    assert len(hosted.submits) == 1
    assert "· png/jpeg ·" in catalogue.model_lines(OTHER)[0] + " ·"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"steps": "many"}, "steps 'many': maker/steps/text-to-image takes a whole number there"),
        ({"steps": 51}, "steps 51: maker/steps/text-to-image takes at most 50"),
        ({"safe": "maybe"}, "takes a boolean there"),
        ({"look": "grand"}, "takes plain, very plain there"),
        (
            {"stepps": 3},
            "input stepps: maker/steps/text-to-image has none of that name; it has steps, strength",
        ),
        ({"seed": 3}, "input seed: it has an option of its own"),
        ({"steps": [3]}, "give a text, a number, or true or false"),
        ({"num_images": "4"}, "input num_images: a cell holds one picture, and each would be paid for"),
        (
            {"enable_base64_output": "true"},
            "input enable_base64_output: a picture is fetched from its address",
        ),
    ],
)
def test_further_inputs_that_will_not_do_buy_nothing(
    inputs: dict[str, Any], words: str, hosted: FaultServer
) -> None:
    hosted.models.append(listed("maker/steps/text-to-image", 0.03, seed=SEED, **STEPS))
    catalogue.refresh_catalogue()
    with pytest.raises(InputError, match=words):
        qw.generate("a red fox", seeds=1, models="maker/steps/text-to-image", inputs=inputs)
    with pytest.raises(
        InputError, match=r"qwen-image-2\.0 has none of that name; it takes no further inputs|option"
    ):
        qw.generate("a red fox", seeds=1, inputs=inputs)
    assert hosted.submits == []


async def test_a_lost_answer_is_told_apart_by_its_further_inputs(
    hosted: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "maker/steps/text-to-image"
    hosted.models.append(listed(model, 0.03, seed=SEED, **STEPS))
    catalogue.refresh_catalogue()
    foreign = hosted.add(model, {"prompt": "a red fox", "seed": 1, "steps": 30})
    engine, _ = archive.studio().engine()
    engine.time_scale = 0.01
    hosted.on_submit(lose_answer)
    grid = await qw.agenerate("a red fox", seeds=1, models=model, inputs={"steps": 20})
    assert grid[0, 0].state == "stored"
    assert grid[0, 0].prediction_id != foreign.id
    assert len(hosted.submits) == 1


def test_another_provider_has_another_catalogue(hosted: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.refresh_catalogue()
    assert find_model(QWEN).max_side == 2048
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    catalogue.model_lines()
    assert models.find_model(QWEN).max_side == 1536
    monkeypatch.delenv("QWEN_WIDGETS_PROVIDER")
    catalogue.model_lines()
    assert find_model(QWEN).max_side == 2048


def test_the_embedded_service_has_one_too(hosted: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    lines = catalogue.refresh_catalogue()
    assert lines[0].startswith("offline preview lists ")
    assert lines[1] == "The built-in models have the limits and prices they had."
    assert hosted.seen == []


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(500, "no"),
        reply(401, "no"),
        reply(200, "no"),
        reply(200, {"code": 200, "data": None}),
        reply(200, {"code": 200, "data": []}),
        reply(200, {"code": 200, "data": [listed(OTHER)], "note": "x" * (17 << 20)}),
    ],
    ids=["500", "401", "no JSON", "null", "empty", "17 MB"],
)
def test_a_catalogue_that_can_not_be_had_changes_nothing(behaviour: Any, hosted: FaultServer) -> None:
    catalogue.refresh_catalogue()
    hosted.on("models", behaviour)
    with pytest.raises(QwenError) as caught:
        catalogue.refresh_catalogue()
    assert CANARY not in str(caught.value)
    assert find_model(QWEN).max_side == 2048
    assert "1,001 more" in catalogue.model_lines()[-1]


def test_a_catalogue_of_megabytes_is_read_and_no_other_answer_is(hosted: FaultServer) -> None:
    hosted.models = [
        listed(f"maker/model-{n}/text-to-image", 0.01, note={"description": "x" * 8000}) for n in range(1000)
    ]
    assert "lists 1,000 models" in catalogue.refresh_catalogue()[0]
    hosted.on("balance", reply(200, {"code": 200, "data": {"balance": 1, "note": "x" * (2 << 20)}}))
    from qwen_widgets.studio import studio

    engine, _ = studio().engine()
    with pytest.raises(QwenError, match="larger than 1 MB"):
        portal.run(engine.client.balance())


def test_a_price_that_depends_on_the_inputs_is_asked_for_each(hosted: FaultServer) -> None:
    model = "maker/detail/text-to-image"
    detail = {"type": "string", "enum": ["1k", "4k"]}
    hosted.models = [listed(model, 0.03, size=size(2048), seed=SEED, detail=detail)]
    catalogue.refresh_catalogue()

    async def by_inputs(x: Exchange) -> None:
        inputs = x.seen.json["inputs"]
        dear = inputs["detail"] == "4k" or inputs["size"] == "2048*2048"
        await envelope({"price": 0.12 if dear else 0.03})(x)

    hosted.on("price", by_inputs, times=None)

    def make(detail: str, sizes: str, **more: Any) -> float:
        return qw.generate(
            "a red fox", seeds="1-2", models=model, sizes=sizes, inputs={"detail": detail}, **more
        ).cost

    assert make("1k", "256x256") == pytest.approx(0.06)
    for dear in (("4k", "256x256"), ("1k", "2048x2048")):
        with pytest.raises(BudgetError, match=r"asks \$0.12 for a picture"):
            make(*dear)
        with pytest.raises(BudgetError, match=r"would cost \$0.24"):
            make(*dear, max_cost=0.2)
    assert len(hosted.submits) == 2
    assert make("4k", "256x256", max_cost=0.24) == pytest.approx(0.24)
    # Seeds and words change no price: each kind of picture was asked for once a run.
    assert len(hosted.requests("price")) == 6


def test_what_a_refreshed_catalogue_says_is_held_to_a_price_of_now(hosted: FaultServer) -> None:
    hosted.on("price", envelope({"price": 0.03}))
    assert studio().prepare("a red fox", seeds=1).plan.cost == Decimal("0.03")
    hosted.models = [listed(QWEN, 0.05)]
    assert any("$0.03 → $0.05" in line for line in catalogue.refresh_catalogue())
    hosted.on("price", envelope({"price": 0.05}))
    assert studio().prepare("a red fox", seeds=1).plan.cost == Decimal("0.05")


def test_the_price_of_an_enhanced_prompt_is_taken_up_too(
    hosted: FaultServer, restart: Callable[[], Studio]
) -> None:
    hosted.models = [{"model_id": OPTIMIZER, "base_price": 0.003}, listed(QWEN)]
    assert "prompt-optimizer        $0.001 a text" in "\n".join(catalogue.model_lines())
    assert "prompt-optimizer: $0.001 → $0.003 a text" in catalogue.refresh_catalogue()
    restart()
    assert "prompt-optimizer        $0.003 a text" in "\n".join(catalogue.model_lines("optimizer"))
    hosted.on("price", envelope({"price": 0.003}), times=None)
    assert qw.enhance("a red fox").cost == 0.003
    # It makes no pictures, and is none of the models that do.
    with pytest.raises(InputError, match="there is no such model"):
        qw.generate("a red fox", seeds=1, models=OPTIMIZER)


def test_a_built_in_model_has_one_price_whatever_is_asked_of_it(hosted: FaultServer) -> None:
    prompts = "\n\n".join(f"fox {n}" for n in range(20))
    job = studio().prepare(prompts, seeds=1, sizes=["256x256", "512x256"], max_cost=2)
    assert job.plan.count("buy") == 40
    assert len(hosted.requests("price")) == 1
