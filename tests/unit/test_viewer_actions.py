"""The ways to go on from a cell: whole cells that read back as what their label says, with the price of what is new."""

from __future__ import annotations

import pytest

import qwen_widgets as qw
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.grid.describe import cell_actions, describe
from qwen_widgets.grid.grid import Provider
from qwen_widgets.studio import Settings, Studio


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.05)))
    return qw.generate("a {red|blue} fox", seeds="1-2", sizes="256x256")


def test_each_is_a_whole_cell(grid):
    actions = {action.label: action for action in cell_actions(grid, 1, 0)}
    assert list(actions) == [
        "this seed for all",
        "more seeds for this prompt",
        "run again",
        "edit this",
        "the cell that makes this grid",
    ]
    assert (
        actions["this seed for all"].text == "%%qwenimage --seeds 1 --size 256x256\na red fox\n\na blue fox"
    )
    assert actions["more seeds for this prompt"].text == "%%qwenimage --seeds 3-6 --size 256x256\na blue fox"
    assert actions["run again"].text == "%%qwenimage --fresh --seeds 1 --size 256x256\na blue fox"
    assert actions["the cell that makes this grid"].text == grid.magic()
    # Run as it is, the cell holds only a comment: nothing is bought. 256 pixels are too few for the model.
    assert actions["edit this"].text.splitlines() == [
        f"%%qwenimage --image {grid.run_id}[1,0] --seeds 1 --fit",
        "# write below what is to change in the picture",
    ]
    assert actions["run again"].price == "no cost"


def test_the_price_counts_what_is_not_here_yet(grid):
    paid = Provider("https://api.example", "WaveSpeedAI", offline=False)
    grid.provider = paid
    prices = {action.label: action.price for action in cell_actions(grid, 0, 1)}
    assert prices["this seed for all"] == "already here"
    assert prices["more seeds for this prompt"] == "$0.12"
    assert prices["run again"] == "$0.03"


def test_a_place_that_was_not_asked_for_has_none(grid):
    with pytest.raises(IndexError):
        cell_actions(grid, 5, 0)


def test_the_seeds_stay_in_their_range(grid):
    top = 2**31 - 1
    grid._sweep = plan_sweep("a fox", seeds=[top], sizes="256x256")
    [more, *_] = cell_actions(grid, 0, 0)
    assert more.text.splitlines()[0] == f"%%qwenimage --seeds {top - 4}-{top - 1} --size 256x256"


def test_a_view_says_where_its_rows_and_columns_stand(grid):
    view = describe(grid)
    assert [(row.size, row.model, row.width) for row in view.rows] == [("256×256", "Qwen Image 2.0", 256)] * 2
    assert [column.seed for column in view.columns] == ["1", "2"]
    assert not any(cell.flagged for cell in view.cells)
