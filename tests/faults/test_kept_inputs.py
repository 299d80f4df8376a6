"""Kept input pictures: what %qwen forget inputs deletes, and that all runs can be shown and done again behind it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from contract import ContractServer
from PIL import Image

import qwen_widgets as qw
from qwen_widgets import archive
from qwen_widgets.core.errors import InputError
from qwen_widgets.studio import Studio


def photo(colour: str) -> Image.Image:
    return Image.new("RGB", (500, 400), colour)


def inputs(home: Path) -> list[Path]:
    return sorted(path for path in (home / "inputs").rglob("*") if path.is_file())


def grow_old(home: Path) -> None:
    """All that is kept was given two days ago."""
    for path in inputs(home):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)


def test_what_no_run_was_made_with_goes_and_the_rest_stays(
    contract: ContractServer, studio: Studio, qwen_home: Path
) -> None:
    assert archive.forget_inputs() == ["No input pictures are kept here."]
    made = qw.generate("make it night", seeds=1, images=photo("teal"))
    [needed] = inputs(qwen_home)
    studio.prepare("make it night", seeds=1, images=photo("red"))
    [looked_at] = set(inputs(qwen_home)) - {needed}
    (qwen_home / "inputs" / "mine.txt").write_text("no picture of ours")
    # New today: another kernel may be about to run with it.
    assert archive.forget_inputs()[0].startswith("0 input pictures deleted, 0 bytes free; 2 input pictures (")
    grow_old(qwen_home)
    size = looked_at.stat().st_size
    (line,) = archive.forget_inputs()
    assert line.startswith(f"1 input picture deleted, {size:,} bytes free; 1 input picture (")
    assert [path.name for path in inputs(qwen_home)] == sorted([needed.name, "mine.txt"])
    # The run is there, with its picture before, and can be done further.
    again = qw.grid(made.run_id)
    assert again[0, 0].state == "stored"
    assert again.add(seeds=2)[0, 1].state == "stored"


def test_a_picture_that_is_given_again_stays_for_its_day(studio: Studio, qwen_home: Path) -> None:
    studio.prepare("make it night", seeds=1, images=photo("red"))
    grow_old(qwen_home)
    studio.prepare("make it night", seeds=1, images=photo("red"))
    assert archive.forget_inputs()[0].startswith("0 input pictures deleted")


def test_a_picture_that_is_stored_as_well_is_kept_once(
    contract: ContractServer, studio: Studio, qwen_home: Path
) -> None:
    fox = qw.generate("a red fox", seeds=1, sizes="512x512")
    night = qw.generate("make it night", seeds=1, images=fox[0, 0])
    [twin] = inputs(qwen_home)
    source = f"kept:{night[0, 0].request.images[0].sha256[:20]}"
    grow_old(qwen_home)
    assert archive.forget_inputs()[0].startswith("1 input picture deleted")
    assert not twin.exists()
    # The service has lost the upload: what is sent anew is the stored picture.
    studio.engine()[0].ledger.wait(lambda db: db._db.execute("DELETE FROM upload"))
    assert night.add(seeds=2)[0, 1].state == "stored"
    assert len(contract.uploads) == 2
    assert qw.generate("make it night", seeds=1, images=source)[0, 0].cached


def test_leftovers_of_a_killed_kernel_go(studio: Studio, qwen_home: Path, tmp_path: Path) -> None:
    studio.prepare("make it night", seeds=1, images=photo("red"))
    [kept] = inputs(qwen_home)
    for name in (f"{kept.parent.name}/{'a' * 20}.{'b' * 12}.part", f"{'c' * 32}.part"):
        (qwen_home / "inputs" / name).write_bytes(b"half")
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    kept.with_name("d" * 20 + ".png").symlink_to(mine)
    grow_old(qwen_home)
    assert archive.forget_inputs()[0].startswith("3 input pictures deleted")
    # What isn't a file of ours is nobody's to delete here.
    assert [path.is_symlink() for path in kept.parent.iterdir()] == [True]
    with pytest.raises(InputError, match="no such picture among those kept here"):
        qw.generate("make it night", seeds=1, images=f"kept:{kept.stem}")


def damage(path: Path) -> None:
    """Let one bit of it be another, as a failing disk does."""
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def forget_uploads(studio: Studio) -> None:
    studio.engine()[0].ledger.wait(lambda db: db._db.execute("DELETE FROM upload"))


def test_a_damaged_picture_is_not_uploaded_and_no_edit_of_it_bought(
    contract: ContractServer, studio: Studio, qwen_home: Path
) -> None:
    night = qw.generate("make it night", seeds=1, images=photo("teal"))
    [kept] = inputs(qwen_home)
    whole = kept.read_bytes()
    source = f"kept:{kept.stem}"
    damage(kept)
    forget_uploads(studio)
    cell = night.add(seeds=2)[0, 1]
    assert cell.error is not None
    assert cell.error.paid == "no"
    assert "no longer kept here as they were given; give it again with -i" in cell.error.sentence
    with pytest.raises(InputError, match="has been damaged; give the file itself"):
        qw.generate("make it day", seeds=1, images=source)
    assert len(contract.submits) == 1
    # Given again, it is whole again.
    assert qw.generate("make it day", seeds=1, images=photo("teal"))[0, 0].state == "stored"
    assert kept.read_bytes() == whole
    assert [upload.data for upload in contract.service.uploads.kept] == [whole] * 2
    night.retry()
    assert night[0, 1].state == "stored"


def test_a_cell_whose_stored_picture_is_damaged_is_not_edited(
    contract: ContractServer, studio: Studio, qwen_home: Path
) -> None:
    fox = qw.generate("a fox", seeds=1)
    damage(fox[0, 0].path)
    for image in (fox[0, 0], f"{fox.run_id}[0,0]"):
        with pytest.raises(
            InputError,
            match="has been damaged; run the cell that made it again: it is fetched again at no cost",
        ):
            qw.generate("make it night", seeds=1, images=image)
    assert len(contract.submits) == 1
    assert not inputs(qwen_home)
    assert not contract.service.uploads.kept


def test_a_damaged_picture_that_is_stored_as_well_is_uploaded_from_there(
    contract: ContractServer, studio: Studio, qwen_home: Path
) -> None:
    fox = qw.generate("a red fox", seeds=1, sizes="512x512")
    night = qw.generate("make it night", seeds=1, images=fox[0, 0])
    [twin] = inputs(qwen_home)
    twin.write_bytes(b"garbage")
    forget_uploads(studio)
    assert night.add(seeds=2)[0, 1].state == "stored"
    assert {upload.data for upload in contract.service.uploads.kept} == {fox[0, 0].path.read_bytes()}
