"""The panel without a page: what its traits hold, what a run adds to the grid, and what a page can't forge."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import qwen_widgets as qw
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Model, learn
from qwen_widgets.panel.steps import Steps
from qwen_widgets.settings import Settings
from qwen_widgets.studio import studio

HIGHEST = 2**31 - 1


@pytest.fixture
def new_panel(qwen_home, monkeypatch):
    """Make panels, with the embedded service, quick, in a home of its own."""
    settings = Settings(provider="offline", home=qwen_home, offline_seconds=0.05)
    monkeypatch.setattr(studio(), "settings", settings)
    made = []

    def make(*args, **options):
        made.append(qw.Panel(*args, **options))
        return made[-1]

    yield make
    for panel in made:
        panel.wait(30)
        panel.close()


@pytest.fixture
def panel(new_panel):
    return new_panel("a red fox", seeds="1-2", size="256x256")


@pytest.fixture
def hosted(new_panel, qwen_home, monkeypatch, contract_server):
    """A server that takes money."""
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    studio().settings = Settings(home=qwen_home)
    return contract_server


def look(panel):
    """Wait until the line before the run is the one of the controls as they are."""
    seen = threading.Event()

    def check(_change=None):
        if panel.looked == panel._looks:
            seen.set()

    panel.observe(check, names="looked")
    check()
    assert seen.wait(10)
    return panel.line


# --- controls -----------------------------------------------------------------------------------------------


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
        ("ratio", "7:5"), ("model", "nothing"), ("locked", ("everything",)),
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


# --- the line before the run ----------------------------------------------------------------------------------


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


# --- runs -----------------------------------------------------------------------------------------------------


def test_each_run_adds_a_row_over_the_same_seeds_and_buys_only_it(panel):
    panel.run()
    panel.wait(30)
    grid = panel.grid
    panel.prompt = "a blue fox"
    panel.run()
    panel.wait(30)
    assert panel.grid is grid
    assert grid.prompts == ("a red fox", "a blue fox")
    assert grid.shape == (2, 2)
    assert {cell.state for cell in grid} == {"stored"}
    assert [row.parts for row in panel._results.described().rows][1] != (("same", "a blue fox"),)
    assert look(panel).startswith("1 × 2 = 2 · 2 already here · nothing new")


def test_other_seeds_are_columns_and_what_nobody_asked_for_stays_empty(panel):
    panel.run()
    panel.prompt, panel.seeds = "a blue fox", "2-3"
    panel.run()
    panel.wait(30)
    assert panel.grid.seeds == (1, 2, 3)
    assert sorted((cell.row, cell.column) for cell in panel.grid) == [(0, 0), (0, 1), (1, 1), (1, 2)]


def test_a_second_run_waits_for_the_first_and_neither_is_lost(new_panel):
    studio().configure(offline_seconds=0.4)
    panel = new_panel("a red fox", seeds="1-4", size="256x256")
    panel.run()
    panel.prompt = "an owl"
    panel.run()
    assert panel.busy
    panel.wait(30)
    assert not panel.busy
    assert panel.message == ""
    assert [cell.state for cell in panel.grid] == ["stored"] * 8


def test_stop_buys_nothing_more_and_drops_what_waits(new_panel):
    studio().configure(offline_seconds=0.5, at_once=1)
    panel = new_panel("a red fox", seeds="1-8", size="256x256")
    panel.run()
    panel.prompt = "an owl"
    panel.run()
    first = panel._runs[0]
    while panel.grid is None or not any(cell.state == "submitted" for cell in panel.grid):
        assert not first.done()
    panel.stop()
    panel.wait(30)
    states = [cell.state for cell in panel.grid]
    assert panel.grid.prompts == ("a red fox",)
    assert states.count("stopped") >= 5
    assert set(states) <= {"stopped", "stored"}
    assert not panel.busy


def test_a_stop_that_comes_while_a_run_is_planned_is_heard(panel, monkeypatch):
    plan = studio().plan_into

    async def planned(*args, **options):
        job = await plan(*args, **options)
        if options.get("priced", True):
            panel.stop()
        return job

    monkeypatch.setattr(studio(), "plan_into", planned)
    panel.run()
    panel.wait(20)
    assert panel.grid is None
    assert not panel.busy
    assert studio().ledger().wait(lambda db: db.history()) == []


def test_stop_ends_a_run_that_was_begun_in_the_grid_itself(panel):
    panel.run()
    panel.wait(30)
    studio().configure(offline_seconds=0.5, at_once=1)
    panel._results._act(0, 0, "more")
    while not any(cell.state == "submitted" for cell in panel.grid):
        assert not panel.grid.done
    panel.stop()
    panel.grid.wait(20)
    assert [cell.state for cell in panel.grid].count("stopped") >= 2


def test_two_panels_do_not_mix(new_panel):
    one = new_panel("a red fox", seeds="1-2", size="256x256")
    other = new_panel("an owl", seeds="1-3", size="256x256")
    one.run()
    other.run()
    one.wait(30)
    other.wait(30)
    assert one.grid.prompts == ("a red fox",)
    assert other.grid.prompts == ("an owl",)
    assert [len(panel.grid) for panel in (one, other)] == [2, 3]
    assert one.grid.run_id != other.grid.run_id


def test_without_the_lock_the_same_seeds_are_not_run_twice(panel):
    panel.seed_locked = False
    panel.run()
    assert panel.seeds == "1,2"
    panel.prompt = "an owl"
    panel.run()
    assert panel.seeds != "1,2"
    drawn = panel.seeds
    panel.wait(30)
    panel.draw()
    panel.use_last()
    assert panel.seeds == drawn


def test_the_history_outlives_the_panel_and_goes_on_in_a_new_one(panel, new_panel):
    panel.run()
    panel.prompt = "a blue fox"
    panel.run()
    panel.wait(30)
    panel._results._viewer.on_choice(0, 0, "stars", 5)
    again = new_panel(run=panel.grid.run_id)
    assert again.grid.prompts == ("a red fox", "a blue fox")
    assert (again.prompt, again.seeds, again.size) == ("a blue fox", "1,2", "256x256")
    assert {cell.state for cell in again.grid} == {"stored"}
    again.prompt = "a green fox"
    again.run()
    again.wait(30)
    assert qw.grid(panel.grid.run_id).prompts == ("a red fox", "a blue fox", "a green fox")


def test_a_row_comes_back_into_the_box_and_a_cell_starts_a_branch(panel):
    panel.prompt = "a {red|blue} fox with {braces}"
    panel.run()
    panel.wait(30)
    panel.prompt = "an owl"
    panel._results._take(1)
    assert panel.prompt == r"a blue fox with \{braces\}"
    panel.size = "1:1"
    panel._results._act(0, 1, "branch")
    assert (panel.prompt, panel.seeds, panel.size) == (r"a red fox with \{braces\}", "2", "256x256")


def test_undo_and_redo_go_through_the_prompts_of_the_runs(panel):
    panel.run()
    panel.prompt = "a blue fox"
    panel.run()
    panel.prompt = "a blue fox, never run"
    panel.undo()
    assert panel.prompt == "a blue fox"
    panel.undo()
    panel.undo()
    assert panel.prompt == "a red fox"
    panel.redo()
    panel.redo()
    assert panel.prompt == "a blue fox, never run"
    panel.wait(30)


def test_reset_begins_anew_and_the_old_grid_stays_in_the_ledger(panel):
    panel.run()
    panel.wait(30)
    old = panel.grid.run_id
    panel.prompt, panel.seeds = "an owl", "9"
    panel.reset()
    assert (panel.prompt, panel.seeds, panel.grid) == ("a red fox", "1,2", None)
    assert qw.grid(old).prompts == ("a red fox",)


def test_an_extended_grid_and_the_panel_go_on_together(panel):
    panel.run()
    panel.wait(30)
    panel.grid.add(seeds="3")
    panel.prompt = "an owl"
    panel.run()
    panel.wait(30)
    assert panel.grid.seeds == (1, 2, 3)
    assert sum(cell.state == "stored" for cell in panel.grid) == 5


# --- pictures -------------------------------------------------------------------------------------------------


def test_a_cell_is_edited_and_its_picture_stands_beside_the_edit(panel):
    panel.size = "640x480"
    panel.run()
    panel.wait(30)
    panel._results._act(0, 1, "edit")
    assert panel.model == "qwen-image-2.0-edit"
    assert panel.prompt == ""
    panel.prompt = "make it night"
    panel.count = 1
    assert look(panel).startswith("1 picture · 1 new")
    run = panel.grid.run_id
    assert panel.magic().startswith(f"%%qwenimage --image {run}[0,1]")
    panel.run()
    panel.wait(60)
    assert panel.message == ""
    edit = panel.grid[1, 0]
    assert edit.state == "stored"
    assert (edit.made_from.row, edit.made_from.column) == (0, 1)
    panel.images = ()
    assert panel.model == "qwen-image-2.0"
    # The row of the edit brings its picture along, another row takes it away again.
    panel._results._take(1)
    assert (panel.prompt, panel.model) == ("make it night", "qwen-image-2.0-edit")
    assert look(panel).startswith("1 picture · 1 already here")
    panel._results._take(0)
    assert (panel.prompt, panel.model, panel.images) == ("a red fox", "qwen-image-2.0", ())
    panel.locked = ["model", "size"]
    panel._results._act(0, 0, "edit")
    panel._results._take(1)
    assert (panel.prompt, panel.model, panel.size) == ("make it night", "qwen-image-2.0", "640x480")


def test_a_file_that_the_page_gives_is_checked(panel, tmp_path):
    from PIL import Image

    def give(name, data):
        panel._form.controls["files"].value = (
            {
                "name": name,
                "type": "image/png",
                "size": len(data),
                "content": memoryview(data),
                "last_modified": datetime.now(UTC),
            },
        )
        return look(panel)

    Image.new("RGB", (500, 400), "red").save(tmp_path / "boat.png")
    give("boat.png", (tmp_path / "boat.png").read_bytes())
    assert "boat.png, 500×400" in panel._form.places["pictures"].value
    assert panel.runnable
    line = give("boat.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "boat.svg" in line
    assert not panel.runnable
    with pytest.raises(InputError):
        panel.run()
    forge(panel, {"type": "clear", "fields": {}})
    assert panel.images == ()


def test_the_page_cannot_name_a_file_of_this_machine(panel, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"")
    forge(panel, {"type": "fields", "fields": {"images": [str(tmp_path / "secret.png")], "files": ["x"]}})
    for content in (str(tmp_path / "secret.png"), 10**12, None, ["x"]):
        file = {
            "name": "x.png",
            "type": "image/png",
            "size": 1,
            "content": content,
            "lastModified": 0,
            "last_modified": 0,
        }
        panel._form.controls["files"].set_state({"value": [file]})
        assert panel.images == ()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_each_model_is_asked_with_exactly_the_inputs_of_its_schema(new_panel, hosted, tmp_path, model):
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(tmp_path / "boat.png")
    images = [str(tmp_path / "boat.png")] if model.min_images else []
    panel = new_panel("a red boat", seeds="7", models=model.name, images=images)
    look(panel)
    assert panel.runnable, panel.line
    panel.run()
    panel.wait(60)
    assert panel.message == ""
    assert [cell.state for cell in panel.grid] == ["stored"]
    (asked,) = hosted.submits
    assert asked.path.endswith(model.id)
    assert set(asked.body) == set(model.inputs)
    assert asked.body.get("seed", 7) == 7


# --- other words ----------------------------------------------------------------------------------------------


def test_an_enhanced_prompt_is_looked_at_edited_accepted_and_undone(panel):
    panel.enhance()
    panel.wait(30)
    assert panel.suggestion.startswith("a red fox")
    assert panel.suggestion != "a red fox"
    assert panel.prompt == "a red fox"
    look(panel)
    assert "<ins>" in panel._form.places["changes"].value
    panel.suggestion += ", in the rain"
    forge(panel, {"type": "accept", "fields": {}})
    assert panel.prompt.endswith(", in the rain")
    assert panel.suggestion == ""
    panel.run()
    panel.wait(30)
    (row,) = panel.grid.sweep.rows
    assert (row.original, row.style) == ("a red fox", "default")
    panel.undo()
    assert panel.prompt == "a red fox"


def test_what_is_dismissed_leaves_the_prompt_and_is_not_asked_for_twice(new_panel, hosted):
    panel = new_panel("a red fox", seeds="1")
    for _ in range(2):
        panel.style = "anime"
        panel.enhance()
        panel.wait(30)
        assert panel.message == ""
        assert panel.suggestion
        panel.dismiss()
        assert (panel.prompt, panel.suggestion) == ("a red fox", "")
    assert len(hosted.submits) == 1


def test_several_prompts_are_not_enhanced_at_once(panel):
    panel.prompt = "a {red|blue} fox"
    with pytest.raises(InputError, match="2 prompts"):
        panel.enhance()
    forge(panel, {"type": "enhance", "fields": {}})
    assert "2 prompts" in panel._form.places["prompt-error"].value


# --- leaving with code ----------------------------------------------------------------------------------------


def test_the_python_text_makes_the_same_pictures_for_nothing(panel):
    panel.prompt = 'a {red|blue} fox says "hi"'
    panel.run()
    panel.wait(30)
    found = {}
    exec(panel.python().replace("qw.generate", "found['grid'] = qw.generate"), {"found": found})
    assert [cell.path for cell in found["grid"]] == [cell.path for cell in panel.grid]
    assert all(cell.cached for cell in found["grid"])


def test_the_texts_name_only_what_is_not_the_default(new_panel):
    panel = new_panel("a fox", seeds="1-4")
    assert panel.magic() == "%%qwenimage --seeds 1-4\na fox"
    assert panel.python() == "import qwen_widgets as qw\n\nqw.generate('a fox', seeds='1-4')"
    panel.models = ["qwen-image-2.0", "qwen-image-2.0-pro"]
    panel.size, panel.title, panel.max_cost = "16:9", 'the "fox"', 2
    first, _, prompt = panel.magic().partition("\n")
    assert prompt == "a fox"
    assert first == (
        "%%qwenimage --seeds 1-4 --size 16:9 --model qwen-image-2.0,qwen-image-2.0-pro "
        "--title \"the 'fox'\" --max-cost 2"
    )


# --- what hurts, once seen ------------------------------------------------------------------------------------


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


def test_a_copy_of_an_edit_names_the_size_that_the_panel_asks_for(panel, tmp_path):
    from PIL import Image

    Image.new("RGB", (1280, 720), "red").save(tmp_path / "boat.png")
    panel.model, panel.size, panel.images = "seedream-5-lite-edit", "1:1", (str(tmp_path / "boat.png"),)
    look(panel)
    assert "--size 1:1" in panel.magic()
    assert "sizes='1:1'" in panel.python()


def test_a_row_brings_the_very_picture_that_it_was_made_from(panel, tmp_path):
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(tmp_path / "boat.png")
    panel.images, panel.prompt = (str(tmp_path / "boat.png"),), "make it night"
    panel.run()
    panel.wait(30)
    Image.new("RGB", (640, 480), "blue").save(tmp_path / "boat.png")
    panel._results._take(0)
    assert "already here" in look(panel)


def test_a_run_whose_picture_is_still_read_waits_in_the_background(panel, tmp_path, monkeypatch):
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(tmp_path / "boat.png")
    take, reading = studio().take, threading.Event()

    async def slow(*args, **options):
        await asyncio.to_thread(reading.wait, 10)
        return await take(*args, **options)

    monkeypatch.setattr(studio(), "take", slow)
    panel.prompt = "make it night"
    panel.images = (str(tmp_path / "boat.png"),)
    panel.run()
    assert panel.busy
    panel.prompt = "changed since"
    reading.set()
    panel.wait(30)
    assert panel.message == ""
    assert panel.grid.prompts == ("make it night",)


def test_an_opened_run_shows_what_its_buttons_buy_and_holds_them_to_the_limit(panel, new_panel):
    panel.run()
    panel.wait(30)
    again = new_panel(run=panel.grid.run_id, max_cost=0.01)
    again._results._act(0, 0, "more")
    again.grid.wait(30)
    assert again.grid.max_cost == 0.01
    assert again._results._viewer._view.columns == again._results.described().columns


def test_the_enhancer_is_held_to_the_panels_limit(new_panel, hosted):
    panel = new_panel("a fox", seeds="1", max_cost=0.0)
    panel.enhance()
    panel.wait(20)
    assert "$0.001" in panel.message
    assert hosted.submits == []


@pytest.mark.parametrize(
    "text", ["a fox in snow --seed 1-30", "# a fox", "a fox --ar 16:9", "a fox", "two\n\nfoxes"]
)
def test_words_that_would_be_read_as_options_are_not_accepted(panel, text):
    panel.enhance()
    panel.wait(20)
    panel.suggestion = text
    forge(panel, {"type": "accept", "fields": {}})
    if text in ("a fox", "two\n\nfoxes"):
        assert panel.prompt == " ".join(text.split())
    else:
        assert panel.prompt == "a red fox"
        assert "edit them first" in panel.message


@pytest.mark.parametrize("flag", ["--seed 1-30", "--seed 3", "--ar 16:9"])
def test_a_flag_in_the_prompt_does_not_pass_a_lock(new_panel, flag):
    panel = new_panel("a fox", seeds="1", locked=["seeds", "size"])
    forge(panel, {"type": "run", "fields": {"prompt": f"a fox {flag}"}})
    panel.wait(20)
    assert panel.grid is None
    assert "locked" in panel.message or "at most 16" in panel.message


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


def test_waiting_in_an_observer_that_a_run_calls_is_refused_and_not_for_ever(panel):
    said = []

    def wait(change):
        try:
            panel.wait(5)
        except qw.QwenError as error:
            said.append(str(error))

    panel.observe(wait, names="looked")
    panel.prompt = "an owl"
    look(panel)
    assert any("wait for itself" in text for text in said)


# --- what a page can't forge ----------------------------------------------------------------------------------

FORGED = [
    {"prompt": ["a"], "seed": True, "count": 2.5, "ratio": "16:9", "model": None},
    {"seed": 2**31}, {"seed": -5}, {"seed": 10**400}, {"count": 10**9}, {"count": 0}, {"count": -1},
    {"ratio": 99}, {"ratio": -1}, {"model": 10**6}, {"model": -1}, {"cost": 0, "max_cost": 1e9, "price": 0},
    {"__class__": 1, "locked": [], "max_cost": 100.0, "seed_locked": False},
]  # fmt: skip


def forge(panel, content):
    """Have the bridge receive a message as it comes from a page."""
    panel._bridge._handle_custom_msg(json.loads(json.dumps(content)), [])


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


# --- steps ----------------------------------------------------------------------------------------------------


def test_steps_forget_what_was_undone_before_something_new():
    steps = Steps("a")
    steps.record("b")
    assert steps.undo("b") == "a"
    steps.record("c")
    assert not steps.can_redo("c")
    assert steps.undo("c") == "a"
    assert steps.redo("a") == "c"
