"""The panel's controls without a page: what its traits hold, and the line before a run."""

from __future__ import annotations

import inspect
import traceback
from decimal import Decimal

import pytest
from panel_kit import forge, look

import qwen_widgets as qw
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import Model, learn
from qwen_widgets.panel.given import NAMES
from qwen_widgets.studio import studio

HIGHEST = 2**31 - 1


def test_size_ratio_width_and_height_follow_each_other(panel):
    assert (panel.ratio, panel.width, panel.height) == ("custom", 256, 256)
    panel.ratio = "16:9"
    assert (panel.size, panel.width, panel.height) == ("16:9", 1280, 720)
    panel.width = 1024
    assert (panel.size, panel.ratio) == ("1024x720", "custom")
    panel.size = "2:3"
    assert (panel.ratio, panel.width, panel.height) == ("2:3", 832, 1248)


def test_linked_sides_keep_their_ratio_in_steps_of_16(panel):
    panel.size = "16:9"
    panel.linked = True
    panel.width = 640
    assert (panel.width, panel.height) == (640, 352)
    panel.height = 720
    assert (panel.width, panel.height) == (1280, 720)


def test_the_size_is_the_chosen_models_own(panel):
    panel.ratio = "16:9"
    panel.model = "seedream-5-lite"
    assert (panel.size, panel.width, panel.height) == ("16:9", 2560, 1440)
    before = (panel.width, panel.height)
    with pytest.raises(InputError):
        panel.width = 900
    assert (panel.size, panel.width, panel.height) == ("16:9", *before)
    panel.size = "3000x1500"
    panel.model = "qwen-image-2.0"
    assert (panel.size, panel.width, panel.height) == ("1:1", 1024, 1024)
    panel.model = "qwen-image-2.0-edit"
    assert "--size" not in panel.magic()


def test_a_model_without_a_seed_runs_once_a_prompt(panel):
    panel.model, panel.size = "seedream-5-lite", "1:1"
    panel.run()
    panel.wait(60)
    assert panel.message == ""
    assert panel.grid.seeds == (None,)
    panel._results._act(0, 0, "branch")
    assert panel.model == "seedream-5-lite"


def test_seed_and_count_make_the_seeds_and_the_seeds_make_them(panel):
    panel.seed = 41
    panel.count = 3
    assert panel.seeds == "41-43"
    panel.seeds = "7, 1, 100"
    assert (panel.seeds, panel.seed, panel.count) == ("7,1,100", 7, 3)
    panel.seed, panel.count = HIGHEST, 4
    assert panel.seeds == f"{HIGHEST - 3}-{HIGHEST}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1), ("seed", 2**31), ("count", 0), ("count", 17), ("seeds", "1-17"), ("seeds", "x"),
        ("size", "10x10"), ("size", "16:9, 1:1"), ("size", "4000x4000"), ("width", 255), ("height", 5000),
        ("ratio", "7:5"), ("model", "nothing"), ("locked", ("everything",)), ("max_cost", -1),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_one_sentence_and_changes_nothing(panel, name, value):
    before = {
        one: getattr(panel, one) for one in ("seed", "count", "seeds", "size", "width", "height", "model")
    }
    with pytest.raises(InputError):
        setattr(panel, name, value)
    assert {one: getattr(panel, one) for one in before} == before


def test_a_control_moves_with_its_trait(panel):
    panel.prompt = "an owl"
    assert panel._form.controls["prompt"].value == "an owl"
    panel._form.controls["prompt"].value = "a newt"
    assert panel.prompt == "a newt"
    panel.model = "qwen-image-2.0-pro"
    assert panel._form.controls["model"].label.endswith("$0.07")


def test_the_line_says_what_a_run_would_do_and_why_it_cannot(panel):
    assert look(panel).startswith("1 × 2 = 2 · 2 new")
    panel.prompt = "a {red|blue} fox"
    assert look(panel).startswith("2 × 2 = 4 · 4 new")
    assert "2 prompts" in panel._form.places["length"].value
    panel.prompt = "  "
    assert look(panel) == "write a prompt first"
    assert not panel.runnable
    panel.prompt = "x" * 801
    assert "801" in look(panel)
    assert "qw-p-cannot" in panel._form.places["line"].value


def test_the_line_is_red_where_it_is_too_dear(new_panel, hosted):
    panel = new_panel("a fox", seeds="1-8", models="qwen-image-2.0-pro", max_cost=0.5)
    assert "$0.56" in look(panel)
    assert not panel.runnable
    panel.run()
    panel.wait(20)
    assert "$0.56" in panel.message
    assert hosted.submits == []


def test_a_model_that_is_not_built_in_can_be_chosen(panel):
    learn(
        [Model(id="acme/x/text-to-image", name="acme/x/text-to-image", title="Acme X", price=Decimal("0.01"))]
    )
    try:
        panel.model = "acme/x/text-to-image"
        assert panel._form.controls["model"].label == "Acme X · $0.01"
    finally:
        panel.model = "qwen-image-2.0"
        learn([])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": "1-99"}, "seeds: 99 are asked for, and a panel takes at most 16."),
        ({"seeds": range(99)}, "seeds: 99 are asked for"),
        ({"size": "16:9, 1:1"}, "a panel takes one size"),
        ({"models": "nope"}, "there is no such model"),
        ({"locked": "models"}, "locked 'models'"),
        ({"run": "nope"}, "no such run"),
        ({"max_cost": -1}, "max_cost -1: it is a number of US dollars"),
        ({"title": 5}, "title"),
        ({"seed": 4}, "did you mean seeds?"),
        ({"colour": 4}, "there are prompt, seeds"),
    ],
)
def test_a_wrong_argument_is_one_sentence_without_the_lines_that_found_it(new_panel, options, said):
    with pytest.raises(InputError) as caught:
        new_panel("a fox", **options)
    assert said in str(caught.value)
    # The cell's own line, and the constructor's.
    assert len(traceback.extract_tb(caught.tb)) <= 3


def test_arguments_are_taken_as_they_are_meant(new_panel):
    panel = new_panel("a fox", seeds="1", locked="model", size=(640, 480))
    assert (panel.locked, panel.size) == (("model",), "640x480")
    panel = new_panel("a fox", seeds="1", models="seedream-5-lite", size="3000x1500")
    assert (panel.width, panel.height) == (3000, 1500)


def test_at_the_top_of_the_range_the_field_shows_the_first_of_the_seeds(panel):
    panel.count = 16
    for _ in range(2):
        panel.seed = HIGHEST
        assert (panel.seed, panel.seeds) == (HIGHEST - 15, f"{HIGHEST - 15}-{HIGHEST}")


def test_seeds_that_do_not_follow_each_other_are_named(panel):
    look(panel)
    assert panel._form.places["seeds"].value == ""
    panel.seeds = "7,1,100"
    look(panel)
    assert panel._form.places["seeds"].value == "seeds 7, 1, 100"


def test_the_prompts_that_a_text_makes_are_listed_and_what_is_odd_in_it_is_said(panel):
    panel.prompt = "a {red|blue|green} <b>fox</b>, {day|night}"
    look(panel)
    shown = panel._form.places["remarks"].value
    assert shown.startswith("<ol><li>a red &lt;b&gt;fox&lt;/b&gt;, day</li>")
    assert shown.count("<li>") == 5
    assert "and 2 more" in shown
    panel.prompt = "a {red|blue fox"
    look(panel)
    assert "A brace has no partner" in panel._form.places["remarks"].value
    panel.prompt = "a --ar 1:1 fox"
    look(panel)
    assert "--ar is not at the end" in panel._form.places["remarks"].value
    panel.prompt = "a fox --model x"
    look(panel)
    assert "--model is an option of a cell" in panel._form.places["remarks"].value
    for fine in ("a {red} fox", "a | b", r"a \{red\|blue fox", "a fox"):
        panel.prompt = fine
        look(panel)
        assert panel._form.places["remarks"].value == ""


def test_an_error_at_a_field_leaves_with_the_change_that_mends_it(panel):
    panel.prompt = ""
    forge(panel, {"type": "run", "fields": {"prompt": "x" * 900}})
    look(panel)
    assert "900 characters" in panel._form.places["prompt-error"].value
    # Said once.
    assert panel._form.places["line"].value == ""
    panel.prompt = "a fox"
    assert look(panel).startswith("1 × 2 = 2")
    assert (panel._form.places["prompt-error"].value, panel.message) == ("", "")
    # What a field refuses stays until something is changed.
    forge(panel, {"type": "fields", "fields": {"seed": 2**31, "count": 3}})
    look(panel)
    assert "2147483648" in panel._form.places["seed-error"].value


def test_what_another_setting_mends_is_not_said_any_longer(panel):
    studio().configure(provider="wavespeed")
    panel.run()
    panel.wait(20)
    assert "no API key" in look(panel)
    assert "no API key" in panel.message
    studio().configure(provider="offline")
    panel._changed()
    assert look(panel).startswith("1 × 2 = 2")
    assert panel.message == ""


@pytest.mark.parametrize(
    "text", ["", "  ", "# only a comment", "a fox --ar 99:1", "a fox --seed x", "{3$$a|b} fox"]
)
def test_what_is_wrong_with_the_prompt_is_told_at_the_prompt(panel, text):
    forge(panel, {"type": "run", "fields": {"prompt": text}})
    look(panel)
    assert panel._form.places["prompt-error"].value != ""
    assert panel._form.places["message"].value == ""
    assert "cell" not in panel.message


def test_its_arguments_are_completed(new_panel):
    assert (
        tuple(
            name
            for name in inspect.signature(qw.Panel.__init__).parameters
            if name not in ("self", "unknown")
        )
        == NAMES
    )
