"""Stored pictures: whether a file is still what was stored is told by its size and time, and by its hash where in doubt."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from qwen_widgets.core import pictures
from qwen_widgets.core.errors import DamagedError
from qwen_widgets.core.pictures import PictureStore, sha256_of


@cache
def picture(seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((90, 60), 20 + seed).convert("RGB").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def keep(home: Path, data: bytes) -> tuple[str, Path]:
    store = PictureStore(home)
    part = store.part("1-abc")
    part.write_bytes(data)
    digest = sha256_of(part)
    return digest, store.keep(part, digest, ".png")


@pytest.fixture
def stored(home: Path) -> tuple[str, Path]:
    return keep(home, picture())


def cut(path: Path, home: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def overwrite(path: Path, home: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2000)
        file.write(b"scribble")


def replace(path: Path, home: Path) -> None:
    """By another stored picture, its time with it."""
    _, other = keep(home, picture(9))
    shutil.copy2(other, path)


def put_back_the_time(path: Path, home: Path) -> None:
    found = path.stat()
    cut(path, home)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def empty(path: Path, home: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path, home: Path) -> None:
    path.unlink()


DAMAGES = [cut, overwrite, replace, put_back_the_time, empty, delete]
each_damage = pytest.mark.parametrize("damage", DAMAGES)


@each_damage
def test_damage_is_seen_by_this_process_and_any_other(
    damage: Callable[[Path, Path], None], stored: tuple[str, Path], home: Path
) -> None:
    digest, path = stored
    here = PictureStore(home)
    assert here.intact(digest, ".png")
    damage(path, home)
    for store in (here, PictureStore(home)):
        assert not store.intact(digest, ".png")
        assert store.is_damaged(digest, ".png")
        with pytest.raises(DamagedError):
            store.read(digest, ".png")


def test_what_is_as_it_was_is_not_read_again(
    stored: tuple[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "sha256_of", lambda _: pytest.fail("it was read"))
    for store in (PictureStore(home), PictureStore(home)):
        for _ in range(3):
            assert store.intact(stored[0], ".png")
            assert not store.is_damaged(stored[0], ".png")


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    monkeypatch.setattr(pictures, "sha256_of", lambda path: (read.append(path), sha256_of(path))[1])
    return read


def test_a_file_with_another_time_is_read_once_and_known_from_then_on(
    stored: tuple[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, path = stored
    os.utime(path, (1_700_000_000, 1_700_000_000))  # a copy from a backup, or kept by an earlier version
    read = count_reads(monkeypatch)
    for store in (PictureStore(home), PictureStore(home)):
        assert store.intact(digest, ".png")
    assert read == [path]
    assert int(path.stat().st_mtime) == 1_700_000_000


def test_a_damaged_file_is_read_once_a_process(
    stored: tuple[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, path = stored
    cut(path, home)
    read = count_reads(monkeypatch)
    store = PictureStore(home)
    assert [store.intact(digest, ".png") for _ in range(3)] == [False] * 3
    assert read == [path]


def test_where_a_file_system_keeps_no_fractions_a_file_is_read_once_a_process(
    stored: tuple[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, path = stored
    utime = os.utime
    monkeypatch.setattr(
        os, "utime", lambda where, ns: utime(where, ns=tuple(one // 10**9 * 10**9 for one in ns))
    )
    os.utime(path, ns=(1_700_000_000 * 10**9,) * 2)
    read = count_reads(monkeypatch)
    store = PictureStore(home)
    assert [store.intact(digest, ".png") for _ in range(3)] == [True] * 3
    assert read == [path]
    cut(path, home)
    assert not store.intact(digest, ".png")


def test_a_file_that_can_not_be_given_its_time_is_still_the_picture(
    stored: tuple[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, path = stored
    os.utime(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert PictureStore(home).intact(digest, ".png")


def test_bits_that_a_disk_has_lost_are_seen_by_whoever_takes_the_picture_and_known_from_then_on(
    stored: tuple[str, Path], home: Path
) -> None:
    digest, path = stored
    found = path.stat()
    overwrite(path, home)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    store = PictureStore(home)
    assert store.intact(digest, ".png"), "size and time are what they were"
    with pytest.raises(DamagedError, match="was changed or cut"):
        store.read(digest, ".png")
    assert not store.intact(digest, ".png")
    assert not PictureStore(home).intact(digest, ".png")


def test_it_is_said_whether_a_file_is_gone(stored: tuple[str, Path], home: Path) -> None:
    stored[1].unlink()
    with pytest.raises(DamagedError, match="is gone"):
        PictureStore(home).read(stored[0], ".png")


@each_damage
def test_what_was_damaged_is_set_aside_when_the_picture_comes_again(
    damage: Callable[[Path, Path], None], stored: tuple[str, Path], home: Path
) -> None:
    digest, path = stored
    damage(path, home)
    left = path.read_bytes() if path.exists() else None
    assert keep(home, picture()) == (digest, path)
    assert path.read_bytes() == picture()
    assert PictureStore(home).intact(digest, ".png")
    aside = list(path.parent.glob("*.bad"))
    assert [file.read_bytes() for file in aside] == ([] if left is None else [left])
    # The same once more: nothing but the picture is there, and it stays.
    keep(home, picture())
    assert list(path.parent.glob("*.bad")) == aside


@each_damage
def test_a_thumbnail_is_made_of_the_right_file_only(
    damage: Callable[[Path, Path], None], stored: tuple[str, Path], home: Path
) -> None:
    digest, path = stored
    store = PictureStore(home)
    made = store.thumbnail(digest, ".png", side=40)
    damage(path, home)
    assert store.thumbnail(digest, ".png", side=40) == made
    assert store.is_damaged(digest, ".png"), "whoever shows it can mark it"
    with pytest.raises(DamagedError):
        store.thumbnail(digest, ".png", side=30)


@pytest.mark.parametrize("damage", [cut, overwrite, empty, delete])
def test_a_thumbnail_that_was_changed_is_made_again(
    damage: Callable[[Path, Path], None], stored: tuple[str, Path], home: Path
) -> None:
    store = PictureStore(home)
    made = store.thumbnail(stored[0], ".png", side=80)
    [kept] = store.thumbnails.rglob("*.jpg")
    damage(kept, home)
    assert store.thumbnail(stored[0], ".png", side=80) == made
    assert kept.read_bytes() == made


def test_another_pictures_thumbnail_is_not_taken_for_this_ones(stored: tuple[str, Path], home: Path) -> None:
    store = PictureStore(home)
    digest, _ = keep(home, picture(5))
    made = store.thumbnail(stored[0], ".png", side=40)
    [mine] = store.thumbnails.rglob("*.jpg")
    store.thumbnail(digest, ".png", side=40)
    [other] = (path for path in store.thumbnails.rglob("*.jpg") if path != mine)
    shutil.copy2(other, mine)
    assert store.thumbnail(stored[0], ".png", side=40) == made


def test_an_input_picture_that_is_damaged_is_not_shown(home: Path) -> None:
    store = PictureStore(home)
    data = picture()
    path = store.keep_input(data, "0" * 64, ".png")
    digest = sha256_of(path)
    path = store.keep_input(data, digest, ".png")
    overwrite(path, home)
    with pytest.raises(DamagedError):
        store.thumbnail(digest, ".png", side=40)
