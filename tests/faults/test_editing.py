"""Editing on real sockets: what is sent for each model, and what is known of an edit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contract import KEY, ContractServer
from photos import photo, saved

import qwen_widgets as qw
from qwen_widgets.core import metadata
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Model
from qwen_widgets.grid.describe import describe
from qwen_widgets.offline.service import API_PATH
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio

#: The inputs of each model's schema, from the table of the API reference.
INPUTS = {
    "qwen-image-2.0": {"prompt", "size", "seed"},
    "qwen-image-2.0-pro": {"prompt", "size", "seed"},
    "qwen-image-2.0-edit": {"prompt", "images", "seed"},
    "qwen-image-2.0-pro-edit": {"prompt", "images", "seed"},
    "qwen-image-edit-plus": {"prompt", "images", "seed", "output_format"},
    "seedream-5-lite": {"prompt", "size", "output_format"},
    "seedream-5-lite-edit": {"prompt", "size", "output_format", "images"},
}


# --- each model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_each_model_is_sent_exactly_the_inputs_of_its_schema(
    contract: ContractServer, model: Model, tmp_path: Path
) -> None:
    images = {"images": [saved(tmp_path)]} if model.takes_images else {}
    grid = qw.generate("a fox at night", seeds=7, models=model.name, **images)  # type: ignore[arg-type]
    assert [cell.state for cell in grid] == ["stored"]
    assert len(grid) == 1
    (submit,) = contract.submits
    assert submit.path == f"{API_PATH}/{model.id}"
    assert set(submit.body) == INPUTS[model.name]
    assert submit.body["prompt"] == "a fox at night"
    assert submit.body.get("seed", 7) == 7
    assert submit.headers["authorization"] == f"Bearer {KEY}"
    (prediction,) = contract.service.predictions.values()
    assert prediction.ignored == ()
    if model.takes_images:
        (address,) = submit.body["images"]
        kept = contract.service.uploads.find(address.rpartition("/")[2])
        assert kept is not None
        assert kept.data == (tmp_path / "photo.png").read_bytes()
    assert grid.cost == pytest.approx(float(model.price))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_run_of_each_model_comes_back_from_the_ledger(
    contract: ContractServer, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"images": [saved(tmp_path)]} if model.takes_images else {}
    grid = qw.generate("a fox", seeds="1-2", models=model.name, **images)  # type: ignore[arg-type]
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(max_cost=5)))
    again = qw.grid(grid.run_id)
    assert again.sweep == grid.sweep
    assert {cell.state for cell in again} == {"stored"}
    assert [cell.prediction_id for cell in again] == [cell.prediction_id for cell in grid]
    bought = len(contract.submits)
    once_more = qw.generate("a fox", seeds="1-2", models=model.name, **images)  # type: ignore[arg-type]
    assert all(cell.cached for cell in once_more)
    assert len(contract.submits) == bought
    path = grid[0, 0].path
    assert path is not None
    told = qw.read(path)
    assert (told.model, told.images) == (model, grid[0, 0].request.images)


def test_a_format_is_sent_and_comes_back(contract: ContractServer, tmp_path: Path) -> None:
    grid = qw.generate(
        "a fox", seeds=1, images=saved(tmp_path), models="qwen-image-edit-plus", output_format="webp"
    )
    assert contract.submits[0].body["output_format"] == "webp"
    assert grid[0, 0].path is not None
    assert grid[0, 0].path.suffix == ".webp"


def test_several_models_stand_below_each_other(
    contract: ContractServer, studio: Studio, tmp_path: Path
) -> None:
    grid = qw.generate("a fox", seeds="1-2", models="qwen-image-2.0,seedream-5-lite", sizes="16:9")
    view = describe(grid)
    # Two seeds of the one and the one picture of the other are no product.
    line = studio.prepare("a fox", seeds="1-2", models="qwen-image-2.0,seedream-5-lite").line
    assert line.startswith("1 prompt × 2 seeds × 2 models · 3 images · ")
    assert [row.note for row in view.rows] == ["Qwen Image 2.0", "Seedream V5.0 Lite"]
    assert view.facts[:2] == ("1 prompt × 2 seeds × 2 models", "16:9")
    assert [column.label for column in view.columns] == ["seed 1", "seed 2", "no seed"]
    assert [(cell.row, cell.column) for cell in grid] == [(0, 0), (0, 1), (1, 2)]
    assert not any(cell.warning for cell in view.cells)
    names = [path.name for path in grid.save(tmp_path / "out")]
    assert names == ["01-01-a-fox-seed-1.png", "01-02-a-fox-seed-2.png", "02-03-a-fox.jpg"]
    assert grid.sheet().width > 0
    assert list(grid.to_frame()["seed"].isna()) == [False, False, True]
    assert "no seed" in repr(grid[1, 2])
    grid.add(prompts="a cat", seeds=3)
    assert grid.seeds == (1, 2, None, 3)
    assert len(grid) == 8
    assert {cell.state for cell in grid} == {"stored"}


def test_a_picture_of_a_model_without_a_seed_is_made_anew_by_fresh(contract: ContractServer) -> None:
    first = qw.generate("a fox", models="seedream-5-lite")
    with pytest.raises(InputError, match="takes no seed"):
        first.add(seeds="1-4")
    again = qw.generate("a fox", models="seedream-5-lite")
    anew = qw.generate("a fox", models="seedream-5-lite", fresh=True)
    assert again[0, 0].cached
    assert not anew[0, 0].cached
    assert anew[0, 0].prediction_id != first[0, 0].prediction_id


# --- lineage ----------------------------------------------------------------------------------------------


def test_an_edit_says_which_cell_it_was_made_from_and_with_which_words(
    contract: ContractServer, tmp_path: Path, studio: Studio
) -> None:
    fox = qw.generate("a {red|blue} fox", seeds="4-5", sizes="512x512")
    night = qw.generate("make it night", seeds=1, images=fox[1, 0])
    made = night[0, 0].made_from
    assert made is not None
    assert (made.run_id, made.row, made.column) == (fox.run_id, 1, 0)
    assert (made.prompt, made.seed, made.key) == ("a blue fox", 4, fox[1, 0].request.key)
    (line,) = night.to_frame().to_dict("records")
    assert line["made_from"] == f"{fox.run_id}[1,0]"
    assert (line["made_from_prompt"], line["made_from_seed"]) == ("a blue fox", 4)
    assert fox[0, 0].made_from is None
    # In the ledger, so that another kernel knows it …
    (kept,) = studio.ledger().wait(lambda db: db.history(text="make it night"))
    assert json.loads(kept.inputs)["images"][0]["made_from"]["prompt"] == "a blue fox"
    again = qw.grid(night.run_id)
    assert again[0, 0].made_from == made
    # … and in the picture, without a path of this machine.
    (copy,) = night.save(tmp_path / "out")
    told = metadata.read(copy.read_bytes())
    assert told == night[0, 0].request
    assert told is not None
    assert told.images[0].made_from == made
    assert b"kept:" not in copy.read_bytes()
    assert str(tmp_path).encode() not in copy.read_bytes()


def test_the_picture_before_stands_beside_the_ones_after(contract: ContractServer, tmp_path: Path) -> None:
    fox = qw.generate("a fox", seeds=1, sizes="512x512")
    grid = qw.generate("make it night\n\nmake it red", seeds="1-2", images=fox[0, 0])
    view = describe(grid)
    assert [column.label for column in view.columns] == ["seed 1", "seed 2", "before"]
    assert (view.done, view.total) == (4, 4)
    before = [cell for cell in view.cells if cell.column == 2]
    assert [(cell.state, cell.width, cell.alt) for cell in before] == [("stored", 512, "before: a fox")] * 2
    pictures = grid.pictures
    assert set(pictures) == {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)}
    path = fox[0, 0].path
    assert path is not None
    assert grid.original(0, 2) == path.read_bytes()
    assert grid.to_html(tmp_path / "night.html").read_text(encoding="utf-8").count("base64,/9j/") == 6
    # Nothing of it is a cell of the grid.
    assert len(grid) == 4
    with pytest.raises(IndexError):
        grid[0, 2]


def test_the_recipe_of_an_edit_makes_the_same_requests(contract: ContractServer) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    fox = qw.generate("a fox", seeds=1, sizes="512x512")
    grid = qw.generate("make it night", seeds="1-2", images=[fox[0, 0], photo()])
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "qwen_widgets")
        first, _, body = grid.magic().partition("\n")
        shell.run_cell_magic("qwenimage", first.removeprefix("%%qwenimage") + " -o again", body)
        again = shell.user_ns["again"]
    finally:
        shell.run_line_magic("unload_ext", "qwen_widgets")
        InteractiveShell.clear_instance()
    assert again.sweep == grid.sweep
    assert again[0, 0].made_from == grid[0, 0].made_from
    assert all(cell.cached for cell in again)
    assert len(contract.submits) == 3
