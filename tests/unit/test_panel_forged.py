"""What a page can't forge in a panel, and what its errors are shown as."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from panel_kit import forge, look

from qwen_widgets.studio import studio

FORGED = [
    {"prompt": ["a"], "seed": True, "count": 2.5, "ratio": "16:9", "model": None},
    {"seed": 2**31}, {"seed": -5}, {"seed": 10**400}, {"count": 10**9}, {"count": 0}, {"count": -1},
    {"ratio": 99}, {"ratio": -1}, {"model": 10**6}, {"model": -1}, {"cost": 0, "max_cost": 1e9, "price": 0},
    {"__class__": 1, "locked": [], "max_cost": 100.0, "seed_locked": False},
]  # fmt: skip


@pytest.mark.parametrize("fields", FORGED)
def test_forged_fields_change_nothing_and_buy_nothing(panel, fields):
    before = {
        name: getattr(panel, name) for name in ("prompt", "seeds", "size", "model", "max_cost", "locked")
    }
    forge(panel, {"type": "fields", "fields": fields})
    assert {name: getattr(panel, name) for name in before} == before
    assert not panel.busy
    assert panel.grid is None


@pytest.mark.parametrize(
    "content",
    [
        None, [], "run", {"type": "run"}, {"type": "run", "fields": []}, {"type": ["run"], "fields": {}},
        {"type": "buy", "fields": {}}, {"type": "run", "fields": {}, "cost": 0}, {"type": "__init__", "fields": {}},
    ],
)  # fmt: skip
def test_a_message_of_another_form_is_nothing(panel, content):
    forge(panel, content)
    assert (panel.busy, panel.grid, panel.message) == (False, None, "")


def test_a_forged_run_over_the_limit_buys_nothing(new_panel, hosted):
    studio().configure(max_cost=0.05)
    panel = new_panel("a fox", seeds="1")
    forge(panel, {"type": "run", "fields": {"prompt": "{a|b|c|d} fox", "count": 16, "max_cost": 1e9}})
    panel.wait(20)
    # The widgets' own traits, which a page can set as well.
    panel._form.controls["count"].set_state({"max": 10**6, "value": 500})
    panel._form.controls["seed"].set_state({"max": 10**12, "value": 10**11})
    panel._form.controls["width"].set_state({"max": 10**6, "value": 10**5})
    forge(panel, {"type": "run", "fields": {}})
    panel.wait(20)
    assert "$0.05" in panel.message
    assert hosted.submits == []


def test_what_is_locked_can_be_changed_by_python_alone(new_panel):
    panel = new_panel("a fox", seeds="1-2", locked=["prompt", "size", "seeds", "model"])
    look(panel)
    forge(
        panel,
        {"type": "fields", "fields": {"prompt": "an owl", "ratio": 1, "model": 1, "seed": 9, "count": 3}},
    )
    for press in ("die", "last", "undo"):
        forge(panel, {"type": press, "fields": {}})
    panel._form.controls["prompt"].set_state({"value": "a newt"})
    assert (panel.prompt, panel.size, panel.model, panel.seeds) == ("a fox", "1:1", "qwen-image-2.0", "1,2")
    assert panel._form.controls["prompt"].value == "a fox"
    assert panel._form.controls["prompt"].disabled
    panel.prompt = "an owl"
    assert panel.prompt == "an owl"


def test_a_fault_in_a_callback_is_shown(panel, monkeypatch):
    monkeypatch.setattr(panel, "_planned", lambda: 1 / 0)
    forge(panel, {"type": "run", "fields": {}})
    assert "ZeroDivisionError" in panel.message
    assert "ZeroDivisionError" in panel._form.places["message"].value


def test_a_text_is_never_markup(panel):
    panel.seeds = "1"
    forge(panel, {"type": "run", "fields": {"prompt": "\x00<img src=x onerror=alert(1)>"}})
    shown = "".join(place.value for place in panel._form.places.values())
    assert "<img" not in shown


@pytest.mark.parametrize(
    "fields",
    [{"seed": 4_000_000_000}, {"count": 99}, {"model": 99}, {"seed": -1, "prompt": "an owl"}, {"seed": None}, {"ratio": True}],
)  # fmt: skip
def test_a_run_with_a_field_that_cannot_be_buys_nothing_and_says_why(new_panel, hosted, fields):
    panel = new_panel("a fox", seeds="1")
    forge(panel, {"type": "run", "fields": fields})
    panel.wait(20)
    assert panel.grid is None
    assert panel.message != ""
    assert hosted.submits == []


@pytest.mark.parametrize("flag", ["--seed 1-30", "--seed 3", "--ar 16:9"])
def test_a_flag_in_the_prompt_does_not_pass_a_lock(new_panel, flag):
    panel = new_panel("a fox", seeds="1", locked=["seeds", "size"])
    forge(panel, {"type": "run", "fields": {"prompt": f"a fox {flag}"}})
    panel.wait(20)
    assert panel.grid is None
    assert "locked" in panel.message or "at most 16" in panel.message


def test_a_picture_of_the_page_does_not_change_a_locked_model(new_panel, tmp_path):
    from PIL import Image

    Image.new("RGB", (500, 400), "red").save(tmp_path / "boat.png")
    panel = new_panel("a fox", seeds="1", locked=["model"])
    look(panel)
    assert panel._form.controls["files"].disabled
    data = (tmp_path / "boat.png").read_bytes()
    panel._form.controls["files"].value = (
        {
            "name": "boat.png",
            "type": "image/png",
            "size": len(data),
            "content": memoryview(data),
            "last_modified": datetime.now(UTC),
        },
    )
    assert (panel.model, panel.images) == ("qwen-image-2.0", ())
    panel.images = (str(tmp_path / "boat.png"),)
    assert panel.model == "qwen-image-2.0-edit"
    look(panel)
    forge(panel, {"type": "clear", "fields": {}})
    assert panel.model == "qwen-image-2.0-edit"
