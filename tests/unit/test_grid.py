"""Grid and studio on the embedded service, in process: select, add, retry, leave."""

from __future__ import annotations

import csv
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest
from contract import ContractServer
from PIL import Image

import qwen_widgets as qw
from qwen_widgets.core.errors import InputError, QwenError, SettingsError
from qwen_widgets.doctor import doctor_report
from qwen_widgets.grid.choices import Choices, Vote
from qwen_widgets.grid.describe import describe, money, seconds_text
from qwen_widgets.grid.export import records, slug
from qwen_widgets.grid.page import head_of
from qwen_widgets.grid.snapshot import render_snapshot
from qwen_widgets.grid.view import INTERRUPT
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio of this test's own behind qw.generate."""
    studio = Studio(Settings(offline_seconds=0.05))
    monkeypatch.setattr("qwen_widgets.studio._default", studio)
    return studio


def test_a_grid_is_rows_of_prompts_and_columns_of_seeds(studio: Studio) -> None:
    grid = qw.generate("a {red|blue} fox", seeds="1-3", sizes="256x256")
    assert grid.shape == (2, 3)
    assert len(grid) == 6
    cell = grid[1, 2]
    assert (cell.state, cell.error, cell.cost, cell.cached) == ("stored", None, 0.0, False)
    assert (cell.request.prompt, cell.request.seed, str(cell.request.size)) == ("a blue fox", 3, "256×256")
    assert cell.request.model.name == "qwen-image-2.0"
    assert cell.image.size == (256, 256)
    assert cell.path is not None
    assert Image.open(cell.path).format == "PNG"
    assert re.fullmatch(r"[0-9a-f]{32}", cell.prediction_id or "")
    assert [c.request.key for c in grid][5] == cell.request.key == grid[-1, -1].request.key
    assert grid.failed == []
    assert repr(grid) == "<Grid 2 × 3, 6 of 6 stored>"


def test_a_place_outside_of_the_grid_is_an_index_error(studio: Studio) -> None:
    grid = qw.generate("a fox\n\na cat --seed 9", seeds=1, sizes="256x256")
    for place in ((2, 0), (0, 2), (-3, 0)):
        with pytest.raises(IndexError, match="2 rows and 2 columns"):
            grid[place]
    with pytest.raises(IndexError, match="no picture was asked for"):
        grid[0, 1]
    with pytest.raises(TypeError):
        grid[0]  # type: ignore[index]


def test_the_same_request_again_costs_nothing_and_sends_nothing(studio: Studio) -> None:
    first = qw.generate("a fox", seeds="1-2", sizes="256x256")
    again = qw.generate("a fox", seeds="1-3", sizes="256x256")
    assert [cell.cached for cell in again] == [True, True, False]
    assert again[0, 1].path == first[0, 1].path
    assert again[0, 1].prediction_id == first[0, 1].prediction_id


def test_fresh_asks_anew(studio: Studio) -> None:
    first = qw.generate("a fox", seeds=1, sizes="256x256")
    anew = qw.generate("a fox", seeds=1, sizes="256x256", fresh=True)
    assert not anew[0, 0].cached
    assert anew[0, 0].prediction_id != first[0, 0].prediction_id


def test_adding_asks_only_for_the_new_cells(studio: Studio) -> None:
    grid = qw.generate("a fox", seeds="1-2", sizes="256x256")
    before = {cell.request.key: cell.prediction_id for cell in grid}
    assert grid.add(prompts="a cat", seeds="5") is grid
    assert grid.shape == (2, 3)
    assert [cell.state for cell in grid] == ["stored"] * 6
    assert {
        key: grid_cell.prediction_id for grid_cell in grid if (key := grid_cell.request.key) in before
    } == before
    with pytest.raises(InputError, match="give prompts, seeds or both"):
        grid.add()


def test_a_failed_cell_says_why_and_can_be_asked_again(studio: Studio) -> None:
    grid = qw.generate("a fox\n\na fox offline:moderated\n\na fox offline:fail", seeds=1, sizes="256x256")
    stored, moderated, failed = grid
    assert [cell.state for cell in grid] == ["stored", "failed", "failed"]
    assert grid.failed[0].request == moderated.request
    assert moderated.error is not None
    assert moderated.error.paid == "no"
    assert moderated.error.title == "Moderated"
    assert "wording" in moderated.error.next_step
    assert moderated.path is None
    with pytest.raises(QwenError, match="flagged"):
        _ = moderated.image
    assert failed.error is not None
    first = (moderated.prediction_id, failed.prediction_id)
    grid.retry()
    assert stored.state == "stored"
    assert grid[1, 0].prediction_id != first[0]
    assert grid[2, 0].prediction_id != first[1]


def test_a_moderated_prompt_is_not_asked_again_by_itself(studio: Studio) -> None:
    first = qw.generate("a fox offline:moderated", seeds=1, sizes="256x256")
    again = qw.generate("a fox offline:moderated", seeds=1, sizes="256x256")
    assert again[0, 0].state == "failed"
    assert again[0, 0].prediction_id == first[0, 0].prediction_id
    assert again[0, 0].error is not None
    assert again[0, 0].error.title == "Moderated"


def test_a_picture_whose_file_is_gone_is_fetched_and_not_bought(
    studio: Studio, contract_server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    grid = qw.generate("a fox", seeds="1-2", sizes="256x256")
    assert grid.cost == pytest.approx(0.06)
    path = grid[0, 0].path
    assert path is not None
    path.unlink()
    again = qw.generate("a fox", seeds="1-2", sizes="256x256")
    assert [cell.state for cell in again] == ["stored", "stored"]
    assert path.exists()
    assert len(contract_server.submits) == 2


def test_a_grid_becomes_a_table(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = qw.generate("a fox", seeds="1-2", sizes="256x256")
    frame = grid.to_frame()
    assert list(frame["seed"]) == [1, 2]
    assert set(frame["state"]) == {"stored"}
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = grid.to_frame()
    assert rows[1]["seed"] == 2
    assert list(rows[0]) == list(frame.columns)


def test_saved_pictures_have_readable_names(studio: Studio, tmp_path: Path) -> None:
    grid = qw.generate("a fox: ../../etc, <b>\n\n一只橙色的猫", seeds="1-2", sizes="256x256")
    files = grid.save(tmp_path / "out")
    assert [file.name for file in files] == [
        "01-01-a-fox-etc-b-seed-1.png",
        "01-02-a-fox-etc-b-seed-2.png",
        "02-01-一只橙色的猫-seed-1.png",
        "02-02-一只橙色的猫-seed-2.png",
    ]
    assert qw.read(files[0]) == grid[0, 0].request
    beside = {"manifest.jsonl", "grid.csv", "grid.html"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == beside | {file.name for file in files}


def test_a_saved_grid_says_what_it_holds(studio: Studio, tmp_path: Path) -> None:
    grid = qw.generate("=HYPERLINK(1) fox\n\na fox offline:moderated", seeds=1, sizes="256x256")
    grid[0, 0].rating = 5
    archive = zipfile.ZipFile(grid.to_zip(tmp_path / "fox.zip"))
    lines = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
    assert [line["state"] for line in lines] == ["stored", "failed"]
    assert lines[0]["rating"] == 5
    assert archive.getinfo(lines[0]["file"]).file_size > 1000
    assert lines[1]["file"] is None
    rows = list(csv.DictReader(archive.read("grid.csv").decode("utf-8-sig").splitlines()))
    assert rows[0]["prompt"] == "'=HYPERLINK(1) fox"
    assert str(tmp_path) not in archive.read("manifest.jsonl").decode()
    assert "default-src 'none'" in archive.read("grid.html").decode()


def test_votes_leave_a_grid_as_its_rows_wins(studio: Studio, tmp_path: Path) -> None:
    grid = qw.generate("a {red|blue|green} fox", seeds="1-2", sizes="256x256")
    votes = (Vote(1, 0, 0, 1, 0), Vote(2, 1, 0, 1, None), Vote(3, 1, 0, 1, 1))
    grid.choices = Choices(votes=votes)
    told = [(line["row"], line["wins"], line["ties"], line["losses"]) for line in records(grid)]
    assert told == [(0, 1, 1, 1)] * 2 + [(1, 1, 1, 1)] * 2 + [(2, 0, 0, 0)] * 2
    assert list(grid.to_frame()["wins"]) == [1, 1, 1, 1, 0, 0]
    archive = zipfile.ZipFile(grid.to_zip(tmp_path / "fox.zip"))
    assert [json.loads(line)["ties"] for line in archive.read("manifest.jsonl").splitlines()] == [1] * 4 + [
        0
    ] * 2
    rows = list(csv.DictReader(archive.read("grid.csv").decode("utf-8-sig").splitlines()))
    assert [row["losses"] for row in rows] == ["1"] * 4 + ["0"] * 2


def test_a_reader_of_the_saved_notebook_knows_which_run_it_was(studio: Studio) -> None:
    grid = qw.generate("a fox", seeds=1, sizes="256x256")
    assert f"run {grid.run_id}" in render_snapshot(describe(grid), {})


def test_a_run_that_was_stopped_no_longer_says_how(studio: Studio) -> None:
    job = studio.prepare("a fox", seeds="1-2", sizes="256x256")
    grid = job.grid
    grid._begin(job.sweep, job.plan, job.stop.set)
    assert INTERRUPT in describe(grid).facts
    assert head_of(describe(grid), 2)["interrupt"] == INTERRUPT
    grid.stop()
    assert describe(grid).stopping
    assert head_of(describe(grid), 2)["interrupt"] == ""
    grid._end()
    assert not describe(grid).stopping


def test_saving_follows_no_link(studio: Studio, tmp_path: Path) -> None:
    grid = qw.generate("a fox", seeds=1, sizes="256x256")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "01-01-a-fox-seed-1.png").symlink_to(victim)
    grid.save(tmp_path / "out")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "picture"),
        ("../..", "picture"),
        ("CON", "con"),
        ("a" * 300, "a" * 40),
        ("x\u202ey", "x-y"),
        ("…", "picture"),
    ],
)
def test_a_slug_is_a_safe_part_of_a_name(text: str, name: str) -> None:
    assert slug(text) == name


def test_the_contact_sheet_holds_every_picture(studio: Studio) -> None:
    grid = qw.generate("a red fox\n\n一只猫", seeds="1-3", sizes="16:9", title="foxes")
    sheet = grid.sheet()
    assert sheet.width > 3 * 256
    assert sheet.height > 2 * 144
    assert grid.sheet(scale=2).width == pytest.approx(2 * sheet.width, rel=0.02)
    with pytest.raises(InputError, match="scale"):
        grid.sheet(scale=9)


def test_the_page_is_one_file_without_network(studio: Studio, tmp_path: Path) -> None:
    grid = qw.generate("a <script>alert(1)</script> fox", seeds="1-2", sizes="256x256")
    page = grid.to_html(tmp_path / "fox.html").read_text(encoding="utf-8")
    assert page.count("base64,/9j/") == 2
    assert "default-src 'none'" in page
    assert "<script>alert(1)" not in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)


def test_the_view_counts_what_a_person_wants_to_know(studio: Studio) -> None:
    grid = qw.generate("a fox\n\na fox offline:moderated", seeds="1-2", sizes="16:9", title="foxes")
    view = describe(grid)
    assert view.title == "foxes"
    assert view.facts[:3] == ("2 prompts × 2 seeds", "Qwen Image 2.0", "16:9")
    assert "2 of 4" in view.facts
    assert "2 failed" in view.facts
    assert (view.done, view.failed, view.total, view.running, view.offline) == (2, 2, 4, False, True)
    assert [cell.state for cell in view.cells] == ["stored", "stored", "failed", "failed"]
    assert view.cells[2].title == "Moderated"
    assert view.rows[1].tally == "0 of 2 · 2 failed"
    assert view.rows[1].parts[-1][0] == "added"


async def test_agenerate_leaves_the_callers_loop_free(studio: Studio) -> None:
    import asyncio

    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.005)

    beating = asyncio.create_task(beat())
    grid = await qw.agenerate("a fox", seeds="1-3", sizes="256x256")
    beating.cancel()
    assert grid.shape == (1, 3)
    assert [cell.state for cell in grid] == ["stored"] * 3
    assert beats > 5


async def test_cancelling_agenerate_buys_nothing_more(
    studio: Studio, contract_server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    studio.configure(at_once=2)
    task = asyncio.create_task(qw.agenerate("a fox", seeds="1-12", sizes="256x256"))
    while len(contract_server.submits) < 3:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await qw.agenerate("a fox", seeds="1-2", sizes="256x256")
    assert [cell.state for cell in again] == ["stored", "stored"]
    # At most the one that was on its way out as the cancelling came; and none of them twice.
    bought = [asked.body["seed"] for asked in contract_server.submits]
    assert len(bought) == len(set(bought)) <= 4


def test_an_unknown_argument_gets_a_hint(studio: Studio) -> None:
    with pytest.raises(TypeError, match="did you mean seeds"):
        qw.generate("a fox", seed=3)  # type: ignore[call-arg]


def test_auto_is_wavespeed_with_a_key_and_the_embedded_service_without(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert studio.provider().offline
    monkeypatch.setenv("WAVESPEED_API_KEY", "k-1")
    assert (studio.provider().title, studio.provider().name) == ("WaveSpeedAI", "https://api.wavespeed.ai")
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    assert studio.provider().offline
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "nobody")
    with pytest.raises(SettingsError, match="auto, wavespeed or offline"):
        studio.provider()
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "wavespeed")
    monkeypatch.delenv("WAVESPEED_API_KEY")
    with pytest.raises(QwenError, match="no API key"):
        studio.provider()


def test_a_preview_is_never_taken_for_the_real_picture(
    studio: Studio, contract_server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    qw.generate("a fox", seeds=1, sizes="256x256")
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    grid = qw.generate("a fox", seeds=1, sizes="256x256")
    assert not grid[0, 0].cached
    assert len(contract_server.submits) == 1
    assert grid.provider.title.startswith("127.0.0.1:")


def test_a_pasted_key_with_a_line_end_is_refused_by_place_and_not_by_text(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVESPEED_API_KEY", "secret\nstuff")
    with pytest.raises(SettingsError, match="character 7 of 12") as caught:
        qw.generate("a fox", seeds=1)
    assert "secret" not in caught.value.message
    assert "secret" not in str(doctor_report())


def test_figures_are_written_as_people_write_them() -> None:
    assert [money(value) for value in (0, 0.3, 0.035, 12)] == ["$0.00", "$0.30", "$0.035", "$12.00"]
    assert [seconds_text(value) for value in (0.42, 12.4, 180)] == ["0.4 s", "12 s", "3 min"]


def test_choices_are_in_python_in_the_table_and_in_the_ledger(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = qw.generate("a fox\n\na cat", seeds="1-2", sizes="256x256")
    grid[0, 1].rating = 4
    grid[1, 0].mark = "keep"
    with pytest.raises(ValueError, match="from 0 to 5"):
        grid[0, 0].rating = 6
    assert [cell.request.prompt for cell in grid.kept] == ["a cat"]
    assert list(grid.to_frame()["rating"]) == [0, 4, 0, 0]
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.05)))
    again = qw.grid(grid.run_id)
    assert again[0, 1].rating == 4
    assert [cell.mark for cell in again] == ["", "", "keep", ""]
