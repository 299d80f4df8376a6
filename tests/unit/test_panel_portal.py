"""The panel's state changes on the portal alone, whoever asks for it, and what depends on it is told again."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

import pytest
from panel_kit import forge, look

import qwen_widgets.panel as package
from qwen_widgets.core.errors import InputError
from qwen_widgets.portal import portal
from qwen_widgets.settings import Settings
from qwen_widgets.studio import studio


@pytest.mark.parametrize("name", ["prompt", "seeds", "size", "model", "line", "busy"])
def test_traits_change_on_the_portal_whoever_sets_them(panel, name):
    where = []
    panel.observe(lambda _: where.append(portal.here), names=name)
    panel.prompt, panel.seeds, panel.size, panel.model = "an owl", "7", "1:1", "qwen-image-2.0-pro"
    forge(
        panel,
        {"type": "fields", "fields": {"prompt": "a newt", "ratio": 2, "seed": 5, "count": 2, "model": 0}},
    )
    panel._form.controls["prompt"].value = "a newt in the rain"
    panel.run()
    panel.wait(30)
    look(panel)
    assert where
    assert all(where)


def test_a_page_and_a_cell_that_set_the_same_at_once_never_leave_what_cannot_be(panel):
    ends = threading.Event()
    found: set[str] = set()
    draw = random.Random(1)

    def cell():
        for _ in range(60):
            panel.size = draw.choice(["16:9", "1:1", "640x480"])
            panel.seeds = draw.choice(["1-4", "7", "9-12"])

    def page():
        for at in range(60):
            forge(panel, {"type": "fields", "fields": {"ratio": at % 7, "seed": at, "count": 1 + at % 16}})
            forge(panel, {"type": "fields", "fields": {"count": 500}})

    def guarded(work):
        try:
            work()
        except Exception as error:  # noqa: BLE001
            found.add(f"{type(error).__name__}: {error}")

    def watch():
        while not ends.is_set():
            if not 1 <= panel.count <= 16:
                found.add(f"count {panel.count}")

    panel.observe(
        lambda change: "A fault" in change["new"] and found.add(change["new"]),
        names="message",
    )
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        watcher = threading.Thread(target=watch)
        workers = [threading.Thread(target=guarded, args=(work,)) for work in (cell, page)]
        for one in (watcher, *workers):
            one.start()
        for one in workers:
            one.join()
        ends.set()
        watcher.join()
    finally:
        sys.setswitchinterval(interval)
    assert found == set()
    assert panel._pixels == (panel.width, panel.height)
    assert panel.ratio == (panel._sized.ratio(panel._pixels) or "custom")
    assert (panel.seed, panel.count) == (panel._seeds[0], len(panel._seeds))
    panel.size, panel.seeds = "2:3", "70-72"
    look(panel)
    controls = panel._form.controls
    assert [controls[name].value for name in ("ratio", "seed", "count")] == ["2:3", 70, 3]


def test_a_cell_hears_what_its_own_observer_raises_and_a_page_does_not(panel):
    def observer(_change):
        raise ZeroDivisionError("mine")

    panel.observe(observer, names="prompt")
    with pytest.raises(ZeroDivisionError, match="mine"):
        panel.prompt = "an owl"
    forge(panel, {"type": "fields", "fields": {"prompt": "a newt"}})
    assert "code that observes the panel has raised ZeroDivisionError" in panel.message


def test_the_models_are_a_trait_as_well(panel):
    seen = []
    panel.observe(lambda change: seen.append(change["new"]), names="models")
    panel.model = "qwen-image-2.0-pro"
    panel.models = ["qwen-image-2.0", "qwen-image-2.0-pro"]
    assert panel.model == "qwen-image-2.0,qwen-image-2.0-pro"
    assert seen == [("qwen-image-2.0-pro",), ("qwen-image-2.0", "qwen-image-2.0-pro")]
    with pytest.raises(InputError):
        panel.models = "nothing"
    assert panel.models == ("qwen-image-2.0", "qwen-image-2.0-pro")


def test_the_enhancers_button_says_what_a_press_costs_now(panel, qwen_home, monkeypatch, contract_server):
    button = panel._form.buttons["enhance"]
    look(panel)
    assert button.description == "Enhance · no cost"
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    studio().settings = Settings(home=qwen_home)
    studio().learn()
    panel._changed()
    look(panel)
    assert button.description == "Enhance · $0.001"
    panel.prompt = ""
    look(panel)
    assert button.description == "Enhance · $0.001"


def test_what_is_locked_offers_nothing(new_panel):
    panel = new_panel("a red fox", seeds="1", size="256x256", locked="prompt")
    panel.run()
    panel.wait(30)
    look(panel)
    assert panel._results.described().take == ""
    assert panel._form.controls["style"].disabled
    assert panel._form.buttons["enhance"].disabled


def test_without_a_seed_there_is_nothing_to_set_of_it(panel):
    panel.model = "seedream-5-lite"
    look(panel)
    controls, buttons = panel._form.controls, panel._form.buttons
    seed = ("slider", "seed", "count", "seed_locked")
    assert all(controls[name].disabled for name in seed)
    assert buttons["die"].disabled
    assert "takes no seed" in panel._form.places["remarks"].value
    assert "--fresh" not in panel._form.places["remarks"].value
    panel.model = "qwen-image-2.0"
    look(panel)
    assert not any(controls[name].disabled for name in seed)


def test_reset_says_how_the_grid_before_is_opened_and_shows_its_own_ratio(new_panel):
    panel = new_panel("a red fox", seeds="1", size="16:9")
    panel.run()
    panel.wait(30)
    run_id = panel.grid.run_id
    panel.ratio = "custom"
    panel.reset()
    assert panel.ratio == "16:9"
    assert f"qw.Panel(run=&#34;{run_id}&#34;)" in panel._form.places["note"].value
    assert new_panel(run=run_id).grid.prompts == ("a red fox",)
    panel.run()
    assert panel._form.places["note"].value == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seeds": "1-8", "max_cost": 0.1}, "panel.max_cost"),
        ({"models": "qwen-image-2.0-edit"}, "Edit a picture"),
    ],
)
def test_a_refusal_names_what_a_panel_has(new_panel, hosted, options, says):
    panel = new_panel("a fox", **options)
    line = look(panel)
    assert says in line
    assert " -i " not in line
    assert "--max-cost" not in line


def test_a_run_says_beside_its_stop_how_far_it_is(new_panel):
    studio().configure(offline_seconds=0.8, at_once=1)
    panel = new_panel("a red fox", seeds="1-3", size="256x256")
    said = []
    panel._form.places["progress"].observe(lambda change: said.append(change["new"]), names="value")
    lines = []
    panel.observe(lambda change: lines.append(change["new"]), names="line")
    panel.run()
    panel.wait(30)
    # What the run has under way is nothing that is left to be bought or fetched.
    assert any("under way" in line for line in lines)
    assert not any("to fetch" in line for line in lines)
    assert any(text.startswith(("1 of 3", "2 of 3")) for text in said)
    assert panel._form.places["progress"].value == ""


def test_the_script_needs_no_setting_of_the_server():
    script = (Path(package.__file__).parent / "static" / "panel.js").read_text(encoding="utf-8")
    assert "jupyterapp" not in script
