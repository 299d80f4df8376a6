"""The ledger's copy and the receipts beside the pictures: whole, never behind what they replace, in nobody's way."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from ledger_rows import claim
from lost_ledgers import COPY, LOG, NAME
from rig import CANARY, a_request
from server import picture, served

from qwen_widgets.core import ledger as ledger_module
from qwen_widgets.core import ledger_file
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.receipts import read_receipts
from qwen_widgets.core.sent_log import read_log


def states(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return [row[0] for row in db.execute("SELECT state FROM purchase ORDER BY id")]


def buy(ledger: Ledger, seed: int) -> None:
    record, _ = claim(ledger, a_request(seed=seed))
    ledger.wait(lambda db: db.send(record.id, midnight=0.0, account="me"))


async def test_after_a_run_the_copy_knows_what_the_ledger_knows(rig, qwen_home, ledger):
    await rig.run(seeds="1-3")
    await ledger.run(lambda db: None)  # behind the copy, on its thread
    assert states(qwen_home / COPY) == ["stored"] * 3
    assert states(qwen_home / NAME) == ["stored"] * 3
    if os.name != "nt":
        assert stat.S_IMODE((qwen_home / COPY).stat().st_mode) == 0o600
        assert stat.S_IMODE((qwen_home / LOG).stat().st_mode) == 0o600
    assert not list(qwen_home.glob("*.part"))
    # The log begins anew behind it.
    with closing(sqlite3.connect(qwen_home / COPY)) as db:
        [mark] = db.execute("SELECT value FROM setting WHERE name = 'copy'").fetchone()
    assert read_log(qwen_home) == (mark, [], True)


async def test_a_text_is_copied_too(rig, qwen_home, ledger):
    await rig.enhance()
    await ledger.run(lambda db: None)
    assert states(qwen_home / COPY) == ["stored"]


async def test_the_end_of_a_run_waits_for_no_copy(rig, qwen_home, monkeypatch):
    may_go = threading.Event()
    copy = Store.copy

    def slow(self):
        may_go.wait(30)
        copy(self)

    monkeypatch.setattr(Store, "copy", slow)
    try:
        updates = await asyncio.wait_for(rig.run(seeds="1-2"), 20)
        assert [update.state for update in updates] == ["stored"] * 2
        assert not (qwen_home / COPY).exists()
    finally:
        may_go.set()


def test_without_a_change_nothing_is_copied_again(qwen_home):
    ledger = Ledger(qwen_home)
    buy(ledger, 1)
    ledger.copy().result()
    before = (qwen_home / COPY).stat().st_ino
    ledger.copy().result()
    assert (qwen_home / COPY).stat().st_ino == before
    ledger.close()


def test_two_kernels_copy_at_once(qwen_home):
    """Whoever comes last, the copy and its log know every order together."""
    ledgers = [Ledger(qwen_home) for _ in range(2)]

    def work(which: int) -> None:
        for seed in range(30):
            buy(ledgers[which], which * 1000 + seed)
            ledgers[which].copy().result()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    copied = states(qwen_home / COPY)
    with closing(sqlite3.connect(qwen_home / COPY)) as db:
        [mark] = db.execute("SELECT value FROM setting WHERE name = 'copy'").fetchone()
        sent = {row[0] for row in db.execute("SELECT key FROM purchase WHERE sent_at IS NOT NULL")}
    followed, orders, whole = read_log(qwen_home)
    assert (followed, whole) == (mark, True)
    assert sent | {row["key"] for row, _ in orders} == {
        a_request(seed=which * 1000 + seed).key for which in range(2) for seed in range(30)
    }
    assert copied
    assert not list(qwen_home.glob("*.part"))
    for ledger in ledgers:
        ledger.close()


def test_a_copy_that_knows_more_is_kept(qwen_home, tmp_path):
    """Another ledger was put in this one's place: the copy of the first isn't lost."""
    ledger = Ledger(qwen_home)
    for seed in range(3):
        buy(ledger, seed)
    ledger.copy().result()
    fuller = (qwen_home / COPY).read_bytes()
    ledger.close()
    other = Ledger(tmp_path / "other")
    buy(other, 9)
    (tmp_path / "other" / COPY).write_bytes(fuller)
    other.copy().result()
    other.close()
    assert states(tmp_path / "other" / COPY) == ["sending"]
    [aside] = (tmp_path / "other").glob("ledger.corrupt-*")
    assert states(aside) == ["sending"] * 3


def test_a_copy_that_does_not_check_out_replaces_nothing(qwen_home, monkeypatch):
    ledger = Ledger(qwen_home)
    buy(ledger, 1)
    ledger.copy().result()
    before = (qwen_home / COPY).read_bytes()
    buy(ledger, 2)

    def bad(db):
        raise sqlite3.DatabaseError("bad")

    monkeypatch.setattr(ledger_file, "check", bad)
    ledger.copy().result()
    assert (qwen_home / COPY).read_bytes() == before
    # The log still follows the copy that is there.
    assert len(read_log(qwen_home)[1]) == 1
    assert not list(qwen_home.glob("*.part"))
    ledger.close()


def test_a_ledger_of_an_earlier_version_gets_its_copy_when_it_is_opened(qwen_home):
    ledger = Ledger(qwen_home)
    buy(ledger, 1)
    ledger.close()
    (qwen_home / LOG).unlink()
    Ledger(qwen_home).close()
    assert states(qwen_home / COPY) == ["sending"]
    assert read_log(qwen_home)[2]


# --- receipts ---------------------------------------------------------------------------------------------


async def test_a_receipt_is_there_before_its_row_says_stored(rig, qwen_home, monkeypatch):
    seen: list[list[str]] = []
    write = ledger_module.write_receipt

    def noted(*args):
        write(*args)
        # As another kernel sees it.
        seen.append(states(qwen_home / NAME))

    monkeypatch.setattr(ledger_module, "write_receipt", noted)
    await rig.run()
    assert seen == [["completed"]]
    [(row, account)] = read_receipts(qwen_home)
    assert row["state"] == "stored"
    assert row["key"] == a_request().key
    assert row["prediction_id"] in rig.server.predictions
    assert account == rig.engine.client.account
    [path] = (qwen_home / "pictures").glob("??/*.json")
    assert path.with_name(f"{row['sha256'][:20]}.png").exists(), "it lies beside its picture"
    assert CANARY not in path.read_text()
    assert "owner" not in json.loads(path.read_text())["row"]


async def test_equal_bytes_have_a_receipt_for_each_purchase(rig, qwen_home):
    rig.server.on_picture(served(picture()), times=None)
    await rig.run(seeds="1-2")
    assert len(list((qwen_home / "pictures").glob("??/*.png"))) == 1
    assert {row["key"] for row, _ in read_receipts(qwen_home)} == {
        a_request(seed=1).key,
        a_request(seed=2).key,
    }


async def test_a_text_has_its_receipt(rig, qwen_home):
    update = await rig.enhance()
    [(row, _)] = read_receipts(qwen_home)
    assert row["text"] == update.record.text


async def test_a_receipt_that_cannot_be_written_takes_no_picture_away(rig, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module, "write_receipt", full)
    assert (await rig.one()).state == "stored"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"row": {}}', b'{"row": {"created_at": "x"}}', b"\xff\xfe"]
)
def test_a_damaged_receipt_is_passed_over(content, qwen_home):
    path = qwen_home / "pictures" / "ab" / "x.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert list(read_receipts(qwen_home)) == []
