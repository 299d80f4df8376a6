"""Downloads in a run: whole, resumed, expired, left for the next run."""

from __future__ import annotations

from server import (
    contract,
    fin,
    picture,
    reply,
    reset,
    served,
    truncated,
    with_data,
)

from qwen_widgets.core.errors import (
    AddressError,
    PictureError,
    UnavailableError,
)
from qwen_widgets.core.ledger import Store
from qwen_widgets.core.models import Size
from qwen_widgets.core.pictures import PictureStore

# --- downloads --------------------------------------------------------------------------------------------


async def test_an_expired_address_is_asked_for_afresh_even_where_the_first_answer_fails(server, rig):
    server.seconds = 0
    server.on_picture(reply(403))
    server.on_result(contract, reply(500), reply(429))
    assert (await rig.one()).state == "stored"
    assert len(server.requests("picture")) == 2


async def test_an_address_that_lags_is_asked_for_until_it_works(server, rig):
    server.on_picture(reply(404), times=5)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_a_broken_download_goes_on_where_it_broke(server, rig):
    server.on_picture(truncated(2000, fin))
    assert (await rig.one()).state == "stored"
    assert server.requests("picture")[1].header("Range") == "bytes=2000-"


async def test_a_download_that_is_given_up_is_fetched_by_the_next_run(server, rig):
    server.on_picture(reset, times=8)
    update = await rig.one()
    assert update.state == "completed"
    assert isinstance(update.error, UnavailableError)
    assert update.error.paid == "yes"
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_an_address_that_will_never_do_is_asked_for_afresh_once_a_run(server, rig):
    server.seconds = 0
    server.on_result(with_data(outputs=["https://user:word@example.org/a.png"]), times=None)
    update = await rig.one()
    assert (update.state, type(update.error)) == ("completed", AddressError)
    assert len(server.requests("result")) == 2
    assert server.requests("picture") == []
    server.forget("result")
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_a_wrong_size_is_stored_and_marked(server, rig):
    server.on_picture(served(picture((128, 64))))
    update = await rig.one()
    assert (update.state, update.record.got, update.record.size) == ("stored", Size(128, 64), Size(256, 256))


async def test_what_is_no_picture_is_set_aside_and_not_bought_again(server, rig, qwen_home):
    server.on_picture(served(b"<svg/>"), times=None)
    for _ in range(2):
        update = await rig.one()
        assert (update.state, type(update.error), update.error.paid) == ("completed", PictureError, "yes")
    assert [path.suffix for path in (qwen_home / "pictures").iterdir()] == [".bad"]
    assert len(server.submits) == 1


async def test_a_file_that_was_changed_on_its_way_is_fetched_again(server, rig, monkeypatch):
    """Another kernel that has the row, too, writes to the same file: the ledger's hash must be the file's."""
    download = rig.engine.client.download

    async def disturbed(address, into):
        done = await download(address, into)
        monkeypatch.setattr(rig.engine.client, "download", download)
        into.write_bytes(picture(seed=99))
        return done

    monkeypatch.setattr(rig.engine.client, "download", disturbed)
    assert (await rig.one()).state == "stored"
    assert len(server.requests("picture")) == 2


async def test_a_disk_that_takes_no_picture_leaves_it_to_be_fetched(server, rig, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    keep = PictureStore.keep
    monkeypatch.setattr(PictureStore, "keep", full)
    update = await rig.one()
    assert update.state == "completed"
    assert "No space left" in update.error.message
    monkeypatch.setattr(PictureStore, "keep", keep)
    assert (await rig.one()).state == "stored"
    assert len(server.submits) == 1


async def test_the_file_is_whole_before_the_row_says_stored(server, rig, monkeypatch):
    """The order is the guarantee: synced, renamed, and then the row."""
    order = []
    keep, move = PictureStore.keep, Store.move

    def kept(self, part, *args):
        assert part.exists()
        path = keep(self, part, *args)
        order.append("named")
        assert not part.exists()
        return path

    def moved(self, row_id, state, **values):
        order.append(state)
        return move(self, row_id, state, **values)

    monkeypatch.setattr(PictureStore, "keep", kept)
    monkeypatch.setattr(Store, "move", moved)
    assert (await rig.one()).state == "stored"
    assert order == ["sending", "submitted", "completed", "named", "stored"]


async def test_the_file_is_synced_before_it_is_renamed(server, rig, monkeypatch):
    """A rename that outlives a power cut must not name an empty file."""
    import os

    order = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        order.append(("fsync", os.fstat(descriptor).st_ino))
        return fsync(descriptor)

    from pathlib import Path

    path_replace = Path.replace

    def renamed(self, target):
        if self.suffix == ".part" and "pictures" in self.parts and Path(target).suffix == ".png":
            order.append(("rename", self.stat().st_ino))
        return path_replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    assert (await rig.one()).state == "stored"
    [(_, inode)] = [step for step in order if step[0] == "rename"]
    assert order.index(("fsync", inode)) < order.index(("rename", inode))
    assert replace is os.replace
