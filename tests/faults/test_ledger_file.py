"""The ledger's file: opened, upgraded, set aside, full."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from ledger_rows import claim, get
from rig import a_request

from qwen_widgets.core.errors import LedgerError
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.core.schema import SCHEMA

# --- the file ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_nobody_else_can_read_it(ledger, qwen_home):
    claim(ledger)
    assert stat.S_IMODE(qwen_home.stat().st_mode) == 0o700
    files = [path for path in qwen_home.iterdir() if path.name.startswith("ledger")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize("damage", ["no database", "a page is noise", "cut off"])
def test_a_corrupt_file_is_set_aside_with_its_journal(damage, qwen_home, monkeypatch):
    ledger = Ledger(qwen_home)
    for seed in range(200):
        claim(ledger, a_request(seed=seed))
    ledger.close()
    path = qwen_home / "ledger.sqlite3"
    data = bytearray(path.read_bytes())
    if damage == "no database":
        data = bytearray(b"this is no database" * 500)
    elif damage == "a page is noise":
        data[4096 : 2 * 4096] = os.urandom(4096)
    else:
        data = data[: len(data) // 2]
    path.write_bytes(data)
    journal = path.with_name("ledger.sqlite3-journal")
    connect = Store._connect

    def interrupted(self):
        """SQLite clears a journal away that is none; one that it can't judge stays."""
        try:
            return connect(self)
        except sqlite3.DatabaseError:
            journal.write_bytes(b"left behind")
            raise

    monkeypatch.setattr(Store, "_connect", interrupted)
    ledger = Ledger(qwen_home)
    [aside] = qwen_home.glob("ledger.corrupt-*.sqlite3")
    assert aside.name in ledger.note
    assert "set aside" in ledger.note
    assert aside.read_bytes()[:100] == bytes(data)[:100]
    assert claim(ledger)[1]
    # The journal went along: played into the new file it would spoil that, too.
    assert [path.name for path in qwen_home.glob("ledger.corrupt-*-journal")] == [f"{aside.name}-journal"]
    assert not journal.exists() or b"left behind" not in journal.read_bytes()
    ledger.close()
    again = Ledger(qwen_home)
    assert again.note == ""
    assert len(list(qwen_home.glob("ledger.corrupt-*.sqlite3"))) == 1
    again.close()


def test_a_new_ledger_is_not_set_aside_for_the_corrupt_one(qwen_home, monkeypatch):
    """Two kernels find the corrupt file; while one looks at it the other has put a new one in its place."""
    qwen_home.mkdir()
    path = qwen_home / "ledger.sqlite3"
    path.write_bytes(b"this is no database" * 500)
    connect = Store._connect
    first: list[Ledger] = []

    def raced(self):
        try:
            return connect(self)
        except sqlite3.DatabaseError:
            if not first:
                monkeypatch.setattr(Store, "_connect", connect)
                first.append(Ledger(qwen_home))
            raise

    monkeypatch.setattr(Store, "_connect", raced)
    second = Ledger(qwen_home)
    record, mine = claim(first[0])
    assert mine
    assert claim(second) == (record, False)
    assert len(list(qwen_home.glob("ledger.corrupt-*"))) == 1
    first[0].close()
    second.close()


def test_a_newer_ledger_is_refused_in_one_sentence(qwen_home):
    Ledger(qwen_home).close()
    with closing(sqlite3.connect(qwen_home / "ledger.sqlite3")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match=r"newer qwen_widgets \(schema 99.*update the package\.$") as caught:
        Ledger(qwen_home)
    assert "\n" not in caught.value.message
    assert not list(qwen_home.glob("ledger.corrupt*"))


#: What each schema added, taken away again: the file of an older version.
_OLDER = {
    3: ("ALTER TABLE purchase DROP COLUMN missed_at",),
    2: ("ALTER TABLE purchase DROP COLUMN inputs", "ALTER TABLE purchase DROP COLUMN text", "DROP TABLE upload",
        "DROP TABLE catalogue"),
    1: ("ALTER TABLE purchase DROP COLUMN server_at",),
}  # fmt: skip


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_ledger_of_an_older_schema_is_taken_along(qwen_home, version):
    ledger = Ledger(qwen_home)
    record, _ = claim(ledger)
    ledger.close()
    with closing(sqlite3.connect(qwen_home / "ledger.sqlite3", isolation_level=None)) as db:
        for newer in range(SCHEMA - 1, version - 1, -1):
            for statement in _OLDER[newer]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
    ledger = Ledger(qwen_home)
    assert (get(ledger, record.id).server_at, get(ledger, record.id).missed_at) == (None, None)
    with closing(sqlite3.connect(qwen_home / "ledger.sqlite3")) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA
        assert db.execute("SELECT inputs, text FROM purchase").fetchone() == ("", None)
    ledger.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="QWEN_WIDGETS_HOME"):
        Ledger(tmp_path / "file" / "home")


# --- a full disk ------------------------------------------------------------------------------------------

_FULL = """
import os, sys
from decimal import Decimal
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from rig import a_request
from qwen_widgets.core.errors import LedgerError
from qwen_widgets.core.ledger import Ledger

home = Path(sys.argv[1])
ledger = Ledger(home)
record, _ = ledger.wait(lambda db: db.claim("here", a_request(), "run", Decimal(1)))
ledger.wait(lambda db: db.send(record.id, midnight=0.0))
# Something else takes the last byte while the order is on its way.
with open(home / "filler", "wb", buffering=0) as filler:
    for size in (65536, 4096, 1):
        try:
            while True:
                filler.write(bytes(size))
        except OSError:
            pass
ledger.wait(lambda db: db.accept(record.id, "worth-money"))
print("ballast left:", (home / "ballast").exists())
print("id:", ledger.wait(lambda db: db.get(record.id)).prediction_id)
for row in range(100_000):
    try:
        ledger.wait(lambda db: db.write_setting(str(row), "x" * 2000))
    except LedgerError as error:
        print("then:", error)
        break
os.unlink(home / "filler")
ledger.wait(lambda db: db.write_setting("again", "works"))
print("id:", ledger.wait(lambda db: db.get(record.id)).prediction_id)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a small tmpfs")
def test_a_full_disk_still_takes_the_id(tmp_path, child_env):
    """On a file system of 1 MB of its own. Without root, in a namespace of its own."""
    script = tmp_path / "full.py"
    script.write_text(_FULL)
    home = tmp_path / "small"
    home.mkdir()
    # The mount is seen by nobody else and is gone with the process.
    command = (
        f"mount -t tmpfs -o size=1m none {home} && mkdir {home}/qwen &&"
        f" exec {sys.executable} {script} {home}/qwen {Path(__file__).parent}"
    )
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    done = subprocess.run(
        [*unshare, "sh", "-c", command], env=child_env(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["ballast left: False", "id: worth-money"]
    assert lines[2].startswith("then: the ledger can't be written")
    assert lines[2].endswith("nothing more is bought.")
    assert lines[3] == "id: worth-money"


def test_the_ballast_is_there_again_at_the_next_start(qwen_home):
    Ledger(qwen_home).close()
    ballast = qwen_home / "ballast"
    assert ballast.stat().st_size == 256 * 1024
    ballast.unlink()
    Ledger(qwen_home).close()
    assert ballast.stat().st_size == 256 * 1024


async def test_a_ledger_that_cannot_be_written_buys_nothing(server, rig, make_rig, monkeypatch):
    send_ = Store.send

    def full(*_args, **_options):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "send", full)
    updates = await rig.run(seeds="1-4")
    assert {update.state for update in updates} <= {"failed", "stopped"}
    assert any(isinstance(update.error, LedgerError) for update in updates)
    assert server.submits == []
    monkeypatch.setattr(Store, "send", send_)
    # Nothing of it was bought, and the next run does.
    assert {update.state for update in await make_rig().run(seeds="1-4")} == {"stored"}
