"""The ledger's file: opened, checked, copied, and made anew from its copy where it is damaged or gone.

A damaged file is set aside and never deleted. A new one is made of the copy, what can still be read of the damaged
file, the log of orders and the receipts beside the pictures, under a lock, so that two kernels never make two; it is
put in place when it is whole. The copy is SQLite's own online backup, checked before it replaces the last one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qwen_widgets.core.durable import place_durably, sync_folder
from qwen_widgets.core.enhancer import makes_text
from qwen_widgets.core.errors import LedgerError, QwenError, UnknownOutcomeError
from qwen_widgets.core.models import SHELF
from qwen_widgets.core.receipts import read_receipts
from qwen_widgets.core.records import dump_error, read_record
from qwen_widgets.core.restored import Gap, Restored, Why, dump_gaps, load_gaps
from qwen_widgets.core.schema import SCHEMA, TABLES, UPGRADES
from qwen_widgets.core.sent_log import begin_log, log_is_begun, read_log
from qwen_widgets.core.states import OPEN

NAME, COPY, LOCK = "ledger.sqlite3", "ledger.copy.sqlite3", "ledger.lock"
#: Settings under which a ledger keeps what became of the one before it.
RESTORED, GAPS, COPY_ID = "restored", "gaps", "copy"
_TAILS = ("-journal", "-wal", "-shm")
#: Seconds for which another kernel's work on the file is waited for.
_WAIT = 10.0
#: No version of this package is so far ahead; such a number is damage.
_FAR = 100
#: Rows that are asked for one by one where a table can't be read through.
_MOST_PROBED = 50_000
#: How often a copy is begun anew because another kernel has written meanwhile.
_COPY_TRIES = 5
_SENT = "SELECT count(*) FROM purchase WHERE sent_at IS NOT NULL"
_NEWEST = "SELECT coalesce(max(id), 0) FROM event"
#: Tables of which a damaged file's rows are added to those of the copy; purchases are judged one by one.
_BESIDE = ("event", "run", "setting", "upload", "catalogue")


def open_ledger(folder: Path, clock: Callable[[], float]) -> sqlite3.Connection:
    """Open a folder's ledger; where it is damaged or gone, one that knows what was paid for takes its place.

    Raises
    ------
    LedgerError
        A newer version wrote it.
    OSError, sqlite3.Error
        It can't be opened, and that is no damage: another kernel holds it, or the folder forbids it.
    """
    path = folder / NAME
    if _size(path):
        with contextlib.suppress(_DamagedError):
            return _checked(folder)
    with _lock(folder):
        why: Why = "gone"
        if _size(path):
            try:
                # Another kernel has made it anew meanwhile, or this one is as bad as it was.
                return _checked(folder)
            except _DamagedError as damage:
                why = damage.why
        elif not _has_traces(folder):
            db = connect(path)
            begin_log(folder, "")
            return db
        aside = _set_aside(path, clock()) if path.exists() else None
        _make_anew(folder, clock(), why, aside)
        return connect(path)


def bring_back(db: sqlite3.Connection, folder: Path) -> bool:
    """Put a ledger that was deleted while it was open back in its place; False where another has taken that."""
    path = folder / NAME
    with _lock(folder):
        if path.exists():
            return False
        for tail in _TAILS:
            _remove(folder / (NAME + tail))
        part = folder / f"ledger.{uuid.uuid4().hex[:12]}.part"
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as back:
                db.backup(back)
            place_durably(part, path)
        finally:
            _remove(part)
    return True


class _DamagedError(Exception):
    """A file can't be used as the ledger."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


def _checked(folder: Path) -> sqlite3.Connection:
    """Open the ledger that is there."""
    # Before the ledger: a copy never knows more than the ledger did at that time.
    of_copy = _sent_by_copy(folder)
    try:
        db = connect(folder / NAME)
    except sqlite3.DatabaseError as error:
        if _is_damage(error, folder / NAME):
            raise _DamagedError("damaged") from None
        raise
    if db.execute(_SENT).fetchone()[0] < of_copy:
        db.close()
        raise _DamagedError("behind")
    return db


def _is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Whether an error says that a file is damaged, and not that it is locked, full or forbidden."""
    # One that was raised here has no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code == sqlite3.SQLITE_READONLY:
        # A wrong number in its header, where the folder and the file forbid nothing.
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
    )


def connect(path: Path) -> sqlite3.Connection:
    """Open one file, made where it is missing, brought to today's schema and checked.

    Raises
    ------
    sqlite3.DatabaseError
        It is damaged.
    """
    fresh = not _size(path)
    if fresh:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    db = sqlite3.connect(path, isolation_level=None, timeout=_WAIT, check_same_thread=True)
    db.row_factory = sqlite3.Row
    # One text that is not UTF-8 must not keep a whole list from being read.
    db.text_factory = _as_text
    try:
        db.execute(f"PRAGMA busy_timeout = {int(_WAIT * 1000)}")
        # Older versions can corrupt a WAL file with two writers (fixed in 3.51.3).
        mode = "WAL" if sqlite3.sqlite_version_info >= (3, 51, 3) else "TRUNCATE"
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("PRAGMA synchronous = FULL")
        check(db)
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if not (version or fresh) or not 0 <= version <= SCHEMA + _FAR:
            # The tables and their number are there from the first byte on.
            raise sqlite3.DatabaseError(f"schema {version}")
        if version > SCHEMA:
            raise LedgerError(
                f"the ledger in {path.parent} was written by a newer qwen_widgets (schema {version}, "
                f"this one knows {SCHEMA}); update the package."
            )
        statements = (
            TABLES if version == 0 else [line for v in range(version, SCHEMA) for line in UPGRADES[v]]
        )
        for statement in statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
        there = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        if missing := {"purchase", "purchase_open", "purchase_key", *_BESIDE} - there:
            raise sqlite3.DatabaseError(f"without {', '.join(sorted(missing))}")
    except BaseException:
        db.close()
        raise
    return db


def check(db: sqlite3.Connection) -> None:
    """Read a file through, its indexes too: one that has lost an entry would have a picture bought twice."""
    if (broken := db.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(broken)


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


# --- the copy ---------------------------------------------------------------------------------------------


def needs_copy(folder: Path) -> bool:
    """Whether the log of orders, or the copy that it follows, isn't there."""
    copy, _, whole = read_log(folder)
    return not _size(folder / COPY) if copy else not whole


def copy_ledger(db: sqlite3.Connection, folder: Path, clock: Callable[[], float]) -> None:
    """Copy the ledger, check the copy, and put it in place of the last one; the log begins anew behind it.

    Raises
    ------
    OSError, sqlite3.Error
        The last copy stays.
    """
    for _ in range(_COPY_TRIES):
        part = folder / f"ledger.{uuid.uuid4().hex[:12]}.part"
        try:
            newest, mark = _write_copy(db, part)
            db.execute("BEGIN IMMEDIATE")
            try:
                if db.execute(_NEWEST).fetchone()[0] == newest:
                    _place_copy(db, folder, part, mark, clock())
                    return
            finally:
                db.execute("ROLLBACK")
        finally:
            _remove(part)


def _write_copy(db: sqlite3.Connection, part: Path) -> tuple[int, str]:
    """Write a copy and check it; the newest event in it, and its mark."""
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    mark = uuid.uuid4().hex
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
        db.backup(copy)
        # Its own journal would be left beside it by a power cut; it is fsynced as a whole below.
        copy.execute("PRAGMA journal_mode = MEMORY")
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (COPY_ID, mark))
        check(copy)
        newest = int(copy.execute(_NEWEST).fetchone()[0])
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    return newest, mark


def _place_copy(db: sqlite3.Connection, folder: Path, part: Path, mark: str, now: float) -> None:
    copy = folder / COPY
    if db.execute(_SENT).fetchone()[0] < _sent_by_copy(folder):
        # It is another ledger's, or this one has been put back to an earlier state: kept, as a damaged one is.
        _set_aside(copy, now)
    part.replace(copy)
    sync_folder(folder)
    begin_log(folder, mark)


def _sent_by_copy(folder: Path) -> int:
    """Return how many orders the copy knows, 0 where there is none or it can't be read."""
    with contextlib.suppress(OSError, sqlite3.Error), _reading(folder / COPY) as copy:
        return int(copy.execute(_SENT).fetchone()[0])
    return 0


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that nobody writes to, to be read only."""
    if not _size(path):
        raise FileNotFoundError(path)
    with contextlib.closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    ) as db:
        db.row_factory = sqlite3.Row
        db.text_factory = _as_text
        yield db


# --- a new ledger -----------------------------------------------------------------------------------------


def _has_traces(folder: Path) -> bool:
    """Whether there has been a ledger in a folder that has none."""
    if (folder / COPY).exists() or any(folder.glob("ledger.corrupt-*")):
        return True
    # A journal stays beside every ledger, and one alone has lost its own.
    if log_is_begun(folder) or any((folder / (NAME + tail)).exists() for tail in _TAILS):
        return True
    kept = (*folder.glob("pictures/??/*"), *folder.glob("texts/??/*"))
    return any(path.is_file() for path in kept)


def _set_aside(path: Path, now: float) -> Path:
    aside = path.with_name(f"ledger.corrupt-{int(now)}-{uuid.uuid4().hex[:6]}.sqlite3")
    path.rename(aside)
    # A journal left behind would be played into the new file.
    for tail in _TAILS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + tail).rename(aside.with_name(aside.name + tail))
    return aside


def _make_anew(folder: Path, now: float, why: Why, aside: Path | None) -> None:
    """Make a ledger of all that is known, and put it in place."""
    for tail in _TAILS:
        # Of a file that was deleted; it would be played into the new one.
        _remove(folder / (NAME + tail))
    part = folder / f"ledger.{uuid.uuid4().hex[:12]}.part"
    try:
        copied_at, mark = _begin_from_copy(folder, part, now)
        with contextlib.closing(connect(part)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE purchase SET owner = NULL, lease_until = NULL")
            if aside is not None:
                _take_rows(db, aside)
            followed, orders, whole = read_log(folder)
            unsure = sum(_take_order(db, row, account, now) for row, account in orders)
            for row, account in read_receipts(folder):
                _take_receipt(db, row, account, now)
            if not (whole and followed == mark):
                # Something may have been sent that is written down nowhere.
                since = None if copied_at is None else _last_event(db, copied_at)
                kept = load_gaps(_setting(db, GAPS), now=now)
                _set(db, GAPS, dump_gaps((*kept, Gap(since, now))))
            known = int(db.execute("SELECT count(*) FROM purchase").fetchone()[0])
            told = Restored(why, now, aside.name if aside else "", copied_at, known, unsure)
            _set(db, RESTORED, told.to_json())
            db.execute("COMMIT")
            check(db)
        place_durably(part, folder / NAME)
    finally:
        for tail in ("", *_TAILS):
            _remove(part.with_name(part.name + tail))


def _begin_from_copy(folder: Path, part: Path, now: float) -> tuple[float | None, str]:
    """Begin a new ledger with what the copy knows; when the copy was made, and its mark."""
    copy = folder / COPY
    try:
        with _reading(copy) as db:
            check(db)
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as new:
                db.backup(new)
            return copy.stat().st_mtime, _setting(db, COPY_ID) or ""
    except FileNotFoundError:
        return None, ""
    except sqlite3.DatabaseError:
        _remove(part)
        _set_aside(copy, now)
        return None, "damaged"


def _last_event(db: sqlite3.Connection, copied_at: float) -> float:
    """Return when the copy was surely up to date: its file's date may be of a later time, when it was put back."""
    [last] = db.execute("SELECT max(at) FROM event WHERE typeof(at) IN ('real', 'integer')").fetchone()
    return copied_at if last is None else min(copied_at, float(last))


def _take_rows(db: sqlite3.Connection, aside: Path) -> None:
    """Add what can be read of a damaged file, whose own bytes stay as they are."""
    trial = aside.with_name(f"ledger.{uuid.uuid4().hex[:12]}.part")
    try:
        for tail in ("", *_TAILS):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(aside.with_name(aside.name + tail), trial.with_name(trial.name + tail))
        with contextlib.closing(sqlite3.connect(trial, isolation_level=None)) as old:
            old.row_factory = sqlite3.Row
            old.text_factory = _as_text
            for row in _readable_rows(old, "purchase"):
                _take_row(db, row)
            for table in _BESIDE:
                for row in _readable_rows(old, table):
                    _insert(db, table, row, or_ignore=True)
    except (sqlite3.Error, OSError):
        return  # what is so damaged that nothing can be read of it has nothing to add
    finally:
        for tail in ("", *_TAILS):
            _remove(trial.with_name(trial.name + tail))


def _readable_rows(db: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a damaged table: from its beginning, from its end, and what lies between, one by one."""
    first, last = 0, None
    with contextlib.suppress(sqlite3.Error):
        for row in db.execute(f"SELECT rowid AS nth, * FROM {table} ORDER BY rowid"):
            first = row["nth"]
            yield dict(row)
        return
    with contextlib.suppress(sqlite3.Error):
        for row in db.execute(f"SELECT rowid AS nth, * FROM {table} ORDER BY rowid DESC"):
            last = row["nth"]
            if last <= first:
                return
            yield dict(row)
    if first == 0 and last is None:
        return  # not even an end of it can be read
    end = first + _MOST_PROBED if last is None else min(last, first + _MOST_PROBED)
    for nth in range(first + 1, end):
        with contextlib.suppress(sqlite3.Error):
            found = db.execute(f"SELECT rowid AS nth, * FROM {table} WHERE rowid = ?", (nth,)).fetchone()
            if found is not None:
                yield dict(found)


def _take_row(db: sqlite3.Connection, row: dict[str, Any]) -> None:
    """Take a row of a damaged file over, where it checks out and the new ledger doesn't know better."""
    if not _is_sound(row):
        return
    known = _same(db, row)
    if known is None:
        _add(db, row)
    elif known["state"] in OPEN and known["state"] != row["state"]:
        _insert(db, "purchase", {**row, "id": known["id"]}, replace=True)


def _is_sound(row: dict[str, Any]) -> bool:
    """Whether all of a row's columns can be read, and say together what its content key says."""
    try:
        record = read_record(row)
        if record.damaged or record.unassigned:
            return not record.damaged
        if makes_text(record.model):
            return record.text_request().key == record.key
        # The key of a model of the account's catalogue can hold what is only known when that is read.
        return SHELF.find(record.model) is None or record.request().key == record.key
    except (QwenError, KeyError, ValueError, TypeError):
        return False


def _take_order(db: sqlite3.Connection, row: dict[str, Any], account: str, now: float) -> bool:
    """Add an order of which the copy knows nothing: sent, and what became of it isn't known. Whether it is one."""
    if not _is_sound(row):
        return False
    known = _same(db, row)
    if known is not None and known["state"] != "planned":
        return False
    lost = UnknownOutcomeError("The ledger was lost after the order was sent.")
    unknown = {**row, "state": "unknown", "owner": None, "lease_until": None, "error": dump_error(lost)}
    if known is not None:
        _insert(db, "purchase", {**unknown, "id": known["id"]}, replace=True)
        row_id = known["id"]
    else:
        row_id = _add(db, unknown)
    if row_id is None:
        return False
    _note(db, row_id, row["sent_at"], "sending", account)
    _note(db, row_id, now, "unknown", lost.message)
    return True


def _take_receipt(db: sqlite3.Connection, row: dict[str, Any], account: str, now: float) -> None:
    """Have the ledger know a picture or text that is here."""
    if row.get("state") != "stored" or not _is_sound(row):
        return
    known = _same(db, row)
    if known is None:
        known = db.execute(
            "SELECT * FROM purchase WHERE provider = ? AND key = ? AND (prediction_id = ? OR"
            " (state = 'stored' AND sha256 IS ?))",
            (row["provider"], row["key"], row["prediction_id"], row["sha256"]),
        ).fetchone()
    if known is None:
        row_id = _add(db, row)
        _note(db, row_id, row["sent_at"] or row["created_at"], "sending", account)
    elif known["state"] in OPEN:
        row_id = known["id"]
        _insert(db, "purchase", {**row, "id": row_id}, replace=True)
    else:
        return
    _note(db, row_id, now, "stored", "from its receipt")


def _note(db: sqlite3.Connection, row_id: int | None, at: float, state: str, note: str) -> None:
    db.execute(
        "INSERT INTO event (purchase_id, at, state, note) VALUES (?, ?, ?, ?)", (row_id, at, state, note)
    )


def _same(db: sqlite3.Connection, row: dict[str, Any]) -> Any:
    """Return the row that is this one in an earlier or later state."""
    return db.execute(
        "SELECT * FROM purchase WHERE provider = ? AND created_at = ? AND (key = ? OR prediction_id = ?)"
        " ORDER BY id = ? DESC LIMIT 1",
        (row["provider"], row["created_at"], row["key"], row["prediction_id"], row["id"]),
    ).fetchone()


def _add(db: sqlite3.Connection, row: dict[str, Any]) -> int | None:
    """Add a row, under its own number where that is free; None where its key is open already."""
    taken = db.execute("SELECT 1 FROM purchase WHERE id = ?", (row["id"],)).fetchone() is not None
    return _insert(db, "purchase", {**row, "id": None} if taken else row)


def _insert(
    db: sqlite3.Connection, table: str, row: dict[str, Any], *, replace: bool = False, or_ignore: bool = False
) -> int | None:
    columns = {one["name"] for one in db.execute(f"PRAGMA table_info({table})")}
    values = {name: value for name, value in row.items() if name in columns}
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    how = " OR REPLACE" if replace else " OR IGNORE" if or_ignore else ""
    with contextlib.suppress(sqlite3.IntegrityError):
        cursor = db.execute(f"INSERT{how} INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
        return cursor.lastrowid
    return None


def _setting(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))


# --- files ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep the other kernels from making a new ledger; the lock goes with the process that holds it."""
    path = folder / LOCK
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=6 * _WAIT)) as held:
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if not _is_damage(error, path):
                raise
            # Nothing is ever in it but the lock.
            path.write_bytes(b"")
            held.execute("BEGIN EXCLUSIVE")
        yield


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
