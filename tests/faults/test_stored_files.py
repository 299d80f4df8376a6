"""A stored picture whose file was cut, overwritten, replaced or deleted: fetched again by a run, and said everywhere else."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from server import FaultServer, reply

import qwen_widgets as qw
from qwen_widgets import archive
from qwen_widgets.core.errors import DamagedError, InputError
from qwen_widgets.core.pictures import PictureStore
from qwen_widgets.grid.describe import describe
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.miniatures import snapshot_pictures
from qwen_widgets.grid.show import path_lines
from qwen_widgets.studio import Studio


@pytest.fixture
def grid(hosted: FaultServer) -> Grid:
    return qw.generate("a red fox", seeds="1-4", sizes="256x256")


def file_of(grid: Grid, row: int = 0, column: int = 1) -> Path:
    path = grid[row, column].path
    assert path is not None
    return path


def cut(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def overwrite(path: Path, other: Path) -> None:
    with path.open("r+b") as file:
        file.seek(300)
        file.write(b"scribble")


def replace(path: Path, other: Path) -> None:
    shutil.copy2(other, path)


def empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path, other: Path) -> None:
    path.unlink()


each_damage = pytest.mark.parametrize("damage", [cut, overwrite, replace, empty, delete])
Damage = Callable[[Path, Path], None]


@each_damage
def test_a_run_of_the_cell_fetches_it_again_and_buys_nothing(
    damage: Damage, grid: Grid, hosted: FaultServer, restart: Callable[[], Studio]
) -> None:
    path = file_of(grid)
    whole = path.read_bytes()
    damage(path, file_of(grid, 0, 2))
    left = path.read_bytes() if path.exists() else None
    restart()
    again = qw.generate("a red fox", seeds="1-4", sizes="256x256")
    assert [cell.state for cell in again] == ["stored"] * 4
    assert [cell.cached for cell in again] == [True, False, True, True]
    assert path.read_bytes() == whole
    assert again[0, 1].image.size == (256, 256)
    assert (again[0, 1].damaged, again[0, 1].error) == (False, None)
    assert len(hosted.submits) == 4
    # What was there is set aside and not deleted.
    aside = [file.read_bytes() for file in path.parent.glob("*.bad")]
    assert aside == ([] if left is None else [left])


def test_damage_while_the_kernel_goes_on_is_seen_by_the_next_run(grid: Grid, hosted: FaultServer) -> None:
    whole = file_of(grid).read_bytes()
    cut(file_of(grid), file_of(grid))
    grid.add(seeds=5)
    assert file_of(grid).read_bytes() == whole
    assert grid[0, 1].image.size == (256, 256)
    assert len(hosted.submits) == 5


def test_what_the_service_no_longer_has_is_said_and_the_damaged_file_stays(
    grid: Grid, hosted: FaultServer
) -> None:
    path = file_of(grid)
    cut(path, path)
    left = path.read_bytes()
    hosted.on_picture(reply(404), times=None)
    archive.studio().engine()[0].time_scale = 0.001  # minutes of trying
    again = qw.generate("a red fox", seeds="1-4", sizes="256x256")
    assert again[0, 1].state != "stored"
    assert again[0, 1].error is not None
    assert again[0, 1].error.next_step
    assert path.read_bytes() == left
    assert len(hosted.submits) == 4
    # The service's files are back, and nothing was bought twice.
    hosted.forget("picture")


@each_damage
def test_a_damaged_picture_is_never_given_as_the_picture(
    damage: Damage, grid: Grid, hosted: FaultServer
) -> None:
    damage(file_of(grid), file_of(grid, 0, 2))
    asked = len(hosted.seen)
    with pytest.raises(DamagedError) as caught:
        _ = grid[0, 1].image
    assert caught.value.message.startswith("cell [0, 1]: the stored picture's file ")
    assert "at no cost" in caught.value.next_step
    assert grid[0, 1].damaged
    assert isinstance(grid[0, 1].error, DamagedError)
    assert repr(grid[0, 1]).startswith("<Cell [0, 1] damaged")
    assert grid[0, 1]._repr_jpeg_() is None
    assert grid.original(0, 1) is None
    assert grid.original(0, 0) == file_of(grid, 0, 0).read_bytes()
    assert len(hosted.seen) == asked


@each_damage
def test_a_saved_folder_has_all_others_and_it_is_said_which_one_is_missing(
    damage: Damage, grid: Grid, tmp_path: Path
) -> None:
    damage(file_of(grid), file_of(grid, 0, 2))
    with pytest.warns(UserWarning, match=r"save: .* of \[0, 1\] was changed, cut or deleted") as warned:
        saved = grid.save(tmp_path / "out")
    assert [warning.filename for warning in warned] == [__file__]
    assert [path.name[:5] for path in saved] == ["01-01", "01-03", "01-04"]
    assert not list((tmp_path / "out").glob("01-02*"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [line["file"] is None for line in lines] == [False, True, False, False]
    assert "the stored picture's file" in lines[1]["error"]
    with pytest.warns(UserWarning, match=r"to_zip: .*\[0, 1\]"):
        path = grid.to_zip(tmp_path / "fox.zip")
    with zipfile.ZipFile(path) as file:
        assert len([name for name in file.namelist() if name.endswith(".png")]) == 3


def test_bits_that_a_disk_has_lost_do_not_leave_the_house(grid: Grid, tmp_path: Path) -> None:
    path = file_of(grid)
    found = path.stat()
    overwrite(path, path)
    # Size and time say nothing of it: an export hashes what it hands out.
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.warns(UserWarning, match=r"\[0, 1\]"):
        assert len(grid.save(tmp_path / "out")) == 3


def test_two_missing_ones_are_both_named(grid: Grid, tmp_path: Path) -> None:
    cut(file_of(grid), file_of(grid))
    delete(file_of(grid, 0, 2), file_of(grid))
    with pytest.warns(UserWarning, match=r"files of \[0, 1\], \[0, 2\] were changed"):
        assert len(grid.save(tmp_path / "out")) == 2


def test_the_sheet_has_an_empty_place_that_says_so(grid: Grid) -> None:
    whole = grid.sheet()
    replace(file_of(grid), file_of(grid, 0, 2))
    with pytest.warns(UserWarning, match=r"sheet: .*\[0, 1\]"):
        sheet = grid.sheet()
    assert sheet.size == whole.size
    assert sheet.tobytes() != whole.tobytes()


def test_a_page_with_originals_has_the_thumbnail_in_its_place_and_is_marked(
    grid: Grid, tmp_path: Path
) -> None:
    grid.thumbnails(512)
    replace(file_of(grid), file_of(grid, 0, 2))
    with pytest.warns(UserWarning, match=r"to_html: .*\[0, 1\]"):
        text = grid.to_html(tmp_path / "fox.html", embed="full").read_text()
    assert text.count("data:image/png;base64,") == 3
    assert text.count("data:image/jpeg;base64,") == 1
    assert "damaged: the stored picture's file was changed or cut." in text


@each_damage
def test_views_show_the_thumbnail_that_was_made_of_the_picture_and_mark_it(
    damage: Damage, grid: Grid
) -> None:
    before = grid.thumbnails(512)
    damage(file_of(grid), file_of(grid, 0, 2))
    assert grid.thumbnails(512) == before
    marks = {(cell.row, cell.column): cell.warning for cell in describe(grid).cells}
    assert marks[0, 1].startswith("damaged: the stored picture's file ")
    assert "Run the cell again" in marks[0, 1]
    assert [marks[0, column] for column in (0, 2, 3)] == [""] * 3
    assert "the stored picture's file" in path_lines(grid)[1]


def test_an_opened_run_marks_what_was_damaged_since(
    grid: Grid, hosted: FaultServer, restart: Callable[[], Studio], qwen_home: Path
) -> None:
    replace(file_of(grid), file_of(grid, 0, 2))
    shutil.rmtree(qwen_home / "thumbnails")
    restart()
    opened = qw.grid(grid.run_id)
    assert set(snapshot_pictures(opened)) == {(0, 0), (0, 2), (0, 3)}
    assert opened[0, 1].damaged
    assert "damaged" in describe(opened).cells[1].warning


@each_damage
def test_a_damaged_picture_is_not_edited(damage: Damage, grid: Grid, hosted: FaultServer) -> None:
    damage(file_of(grid), file_of(grid, 0, 2))
    asked = len(hosted.seen)
    for image in (grid[0, 1], f"{grid.run_id}[0,1]"):
        with pytest.raises(
            InputError, match="run the cell that made it again: it is fetched again at no cost"
        ):
            qw.generate("make it night", seeds=1, images=image)
    assert len(hosted.seen) == asked


def test_other_cells_are_shown_while_one_is_damaged(grid: Grid) -> None:
    cut(file_of(grid), file_of(grid))
    assert Image.open(io.BytesIO(grid.original(0, 3) or b"")).size == (256, 256)
    assert grid[0, 3].image.size == (256, 256)


async def test_a_run_reads_only_files_whose_time_is_another(rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.run(seeds="1-20")
    read: list[Path] = []
    monkeypatch.setattr(
        "qwen_widgets.core.pictures.sha256_of", lambda path: (read.append(path), "another")[1]
    )
    rig.engine.store = PictureStore(rig.home)
    plan = await rig.engine.plan_orders(rig.requests)
    assert plan.count("here") == 20
    assert read == []
