"""The ledger: SQLite; every picture from intent to file. Its file is opened and kept safe next door.

One connection on one thread of its own. A purchase's row is durable before its money is spent
(``synchronous=FULL``), and a unique index lets no two kernels have the same picture under way at once.

What leads from which state to which is the table in `states`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from qwen_widgets.core import errors, ledger_file
from qwen_widgets.core.account_rows import AccountRows
from qwen_widgets.core.errors import BudgetError, DamagedRowError, LedgerError, QwenError
from qwen_widgets.core.forks import Pause, in_child, leave_behind
from qwen_widgets.core.gap_rows import GapRows
from qwen_widgets.core.lost_rows import LostRows
from qwen_widgets.core.owner import LEASE, is_dead, new_owner
from qwen_widgets.core.receipts import write_receipt
from qwen_widgets.core.records import (
    MICRO,
    NO_SEED,
    UNASSIGNED,
    Record,
    dump_error,
    read_record,
    spent_by,
    with_addresses,
)
from qwen_widgets.core.request import Order
from qwen_widgets.core.sent_log import log_order
from qwen_widgets.core.states import OPEN, UNFINISHED, Heard, State, after
from qwen_widgets.core.upload_rows import UploadRows

T = TypeVar("T")
#: Durations of a model that count, the last ones.
DURATIONS = 48
_BALLAST = 256 * 1024
#: Seconds that no prediction takes.
_LONGEST_DURATION = 24 * 3600.0
#: US dollars; as much as can be set.
_MOST_BUDGET = 10**9
#: What a row says of a picture or text that is here.
_FETCHED = ("outputs", "flagged", "seconds", "sha256", "suffix", "got_width", "got_height", "text")


class ClaimLostError(Exception):
    """A row is not this process's to work on any more: its lease ended (the machine slept), or it was given up."""


class Ledger:
    """The ledger of one folder.

    Parameters
    ----------
    folder : Path
        Made (0700) where it is missing; the file in it is 0600.
    clock : callable
        Seconds since the epoch.

    Raises
    ------
    LedgerError
        The file can't be opened, or a newer version wrote it.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder, self._clock = folder, clock
        self._store: Store | None = None
        self._pause = Pause()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qwen-ledger")
        in_child(self._renew)
        try:
            self._thread.submit(self._whole, self._opened).result()
            if ledger_file.needs_copy(folder):
                # One of an earlier version, or one that has just been made anew.
                self.copy()
        except BaseException:
            self._thread.shutdown()
            raise

    @property
    def damaged(self) -> tuple[Record, ...]:
        """The rows that were met and can't be read in full, the earliest first."""
        found = self._store.damaged.copy() if self._store is not None else {}
        return tuple(found[row_id] for row_id in sorted(found))

    @property
    def replaced(self) -> bool:
        """Whether another ledger is in this one's place by now: what is under way here ends here, and no more is bought."""
        return self._store is not None and self._store.replaced

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self.folder, self._clock)
        return self._store

    def _whole(self, work: Callable[[], T]) -> T:
        """Do what no fork may cut in two: the child would roll a half transaction back under the parent's hands."""
        with self._pause:
            return work()

    def _renew(self) -> None:
        """Open the file anew in a forked process, when it is first asked: a connection is not carried over a fork."""
        leave_behind(self._store, self._thread)
        self._store, self._thread = None, ThreadPoolExecutor(1, thread_name_prefix="qwen-ledger")

    def do(self, work: Callable[[Store], T]) -> Future[T]:
        """Run some work on the ledger's thread, in one transaction."""
        return self._thread.submit(self._whole, lambda: self._opened().transact(work))

    async def run(self, work: Callable[[Store], T]) -> T:
        """Await some work; it is done even where the waiting is cancelled: it may be what records an id."""
        return await asyncio.shield(asyncio.wrap_future(self.do(work)))

    def wait(self, work: Callable[[Store], T]) -> T:
        """Do some work and block for it; not from an event loop."""
        return self.do(work).result()

    def copy(self) -> Future[None]:
        """Have the ledger copied where anything has changed; nobody has to wait for it."""
        return self._thread.submit(self._whole, lambda: self._opened().copy())

    def close(self) -> None:
        """Close the file; nothing may be asked of it afterwards."""
        with contextlib.suppress(RuntimeError):
            if self._store is not None:
                self._thread.submit(self._store.close).result()
        self._thread.shutdown()


class Store(AccountRows, GapRows, LostRows, UploadRows):
    """The statements, on the ledger's own thread."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._folder = folder
        self.owner = new_owner()
        self.replaced = False
        #: Rows that couldn't be read in full, by their number; what was asked for has gone on all the same.
        self.damaged: dict[int, Record] = {}
        #: The newest event that is in the copy, as far as this kernel has made it.
        self._copied = -1
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = ledger_file.open_ledger(folder, clock)
            self._file = _identity(folder)
            self._ballast = folder / "ballast"
            if not self._ballast.exists():
                self._ballast.write_bytes(b"\0" * _BALLAST)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"the ledger in {folder} can't be opened ({error}); QWEN_WIDGETS_HOME chooses another folder."
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def copy(self) -> None:
        """Copy the ledger beside itself, where anything has changed since; what can't be written is tried again."""
        with contextlib.suppress(OSError, sqlite3.Error, LedgerError):
            self._stay()
            newest = self._db.execute("SELECT max(id) FROM event").fetchone()[0]
            if newest == self._copied and not ledger_file.needs_copy(self._folder):
                return
            ledger_file.copy_ledger(self._db, self._folder, self._clock)
            self._copied = newest

    def _stay(self) -> None:
        """See to it that this is the ledger in the folder: one that somebody has deleted is put back.

        Raises
        ------
        LedgerError
            Another one is in its place.
        """
        found = _identity(self._folder)
        if found is None and ledger_file.bring_back(self._db, self._folder):
            self._db.close()
            self._db = ledger_file.connect(self._folder / ledger_file.NAME)
            self._file = _identity(self._folder)
        elif found != self._file:
            self.replaced = True
            raise LedgerError(
                "the ledger was replaced while this kernel worked with it; nothing more is bought in this run.",
                next_step="Run the cell again: it takes up the new ledger.",
            )

    def transact(self, work: Callable[[Store], T]) -> T:
        """Run some work in one transaction; on a full disk the ballast is freed and it is tried once more."""
        try:
            self._stay()
            try:
                return self._transact(work)
            except sqlite3.OperationalError as error:
                if "full" not in str(error) or not self._ballast.exists():
                    raise
                self._ballast.unlink()
                return self._transact(work)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger can't be written ({error}); nothing more is bought.") from None

    def _transact(self, work: Callable[[Store], T]) -> T:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            answer = work(self)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return answer

    # --- asking ---------------------------------------------------------------------------------------

    def latest(self, provider: str, keys: Iterable[str]) -> dict[str, Record]:
        """Return the newest row of each content key: a stored one before an ended one, an open one before both."""
        found: dict[str, Record] = {}
        strange = self._without_key()
        for key in keys:
            row = self._db.execute(
                "SELECT * FROM purchase WHERE provider = ? AND key = ? ORDER BY"
                f" state IN {OPEN} DESC, state = 'stored' DESC, id DESC LIMIT 1",
                (provider, key),
            ).fetchone()
            if row is not None:
                found[key] = self._read(row)
            elif key in strange:
                found[key] = strange[key]
        return found

    def _read(self, row: sqlite3.Row | dict[str, Any]) -> Record:
        record = read_record(dict(row))
        if record.damaged and record.state != "expired":
            self.damaged[record.id] = record
        else:
            self.damaged.pop(record.id, None)
        return record

    def _without_key(self) -> dict[str, Record]:
        """Return the rows whose provider or content key can't be read, by the key that the rest of the row says.

        A row can't be looked for by what is damaged in it, and its picture must not be bought again.
        """
        rows = self._db.execute(
            "SELECT * FROM purchase WHERE id IN (SELECT id FROM purchase INDEXED BY purchase_key WHERE"
            " typeof(key) != 'text' OR typeof(provider) != 'text' OR provider GLOB '*[^ -~]*'"
            " OR ((length(key) != 64 OR key GLOB '*[^0-9a-f]*') AND key NOT LIKE ?)) AND state NOT IN ('rejected', 'failed', 'expired')",
            (f"{UNASSIGNED}%",),
        )
        found = {}
        for record in map(self._read, rows.fetchall()):
            # Without the words there is nothing left to know it by.
            with contextlib.suppress(QwenError):
                order = record.text_request() if record.makes_text else record.request()
                names = tuple(dict.fromkeys((*record.damaged, "key")))
                found[order.key] = replace(record, damaged=names, error=DamagedRowError.of(record.id, names))
        return found

    def get(self, row_id: int) -> Record:
        """Return one row."""
        return self._read(self._row(row_id))

    def _row(self, row_id: int) -> dict[str, Any]:
        row = self._db.execute("SELECT * FROM purchase WHERE id = ?", (row_id,)).fetchone()
        if row is None:
            raise LedgerError(f"the ledger has no row {row_id}.")
        return dict(row)

    def spent_since(self, moment: float) -> Decimal:
        """Return the US dollars spent since a moment, at all providers, unknown outcomes included."""
        rows = self._db.execute(
            "SELECT state, price, model, error FROM purchase WHERE price > 0"
            " AND coalesce(server_at, sent_at, created_at) >= ?",
            (moment,),
        )
        return sum(map(spent_by, rows.fetchall()), Decimal(0))

    def history(self, provider: str | None = None, text: str = "", *, most: int = 1000) -> list[Record]:
        """Return rows whose prompt holds a text, newest first."""
        needle = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = self._db.execute(
            "SELECT * FROM purchase WHERE (? IS NULL OR provider = ?) AND prompt LIKE ? ESCAPE '\\'"
            " ORDER BY id DESC LIMIT ?",
            (provider, provider, f"%{needle}%", most),
        )
        return [self._read(row) for row in rows.fetchall()]

    def by_sha256(self, sha256: str) -> Record | None:
        """Return the newest row of a stored picture."""
        row = self._db.execute(
            "SELECT * FROM purchase WHERE sha256 = ? AND state = 'stored' ORDER BY id DESC LIMIT 1", (sha256,)
        ).fetchone()
        return None if row is None else self._read(row)

    def unfinished(self, provider: str) -> list[Record]:
        """Return what was sent and isn't here: sending, submitted, completed and unknown rows that can be read."""
        rows = self._db.execute(
            f"SELECT * FROM purchase WHERE provider = ? AND state IN {UNFINISHED} ORDER BY id",
            (provider,),
        )
        return [record for record in map(self._read, rows.fetchall()) if record.usable]

    def count_events(self, row_id: int, note: str) -> int:
        """Return how often a row's events have a note."""
        row = self._db.execute(
            "SELECT count(*) FROM event WHERE purchase_id = ? AND note = ?", (row_id, note)
        ).fetchone()
        return int(row[0])

    def sent_with(self, row_id: int) -> str:
        """Return the account that a row was last sent with, or taken from; empty where that was not noted."""
        row = self._db.execute(
            "SELECT note FROM event WHERE purchase_id = ? AND state IN ('sending', 'adopted') ORDER BY id DESC LIMIT 1",
            (row_id,),
        ).fetchone()
        return "" if row is None else str(row[0])

    def durations(self, provider: str, model: str) -> list[float]:
        """Return the last durations of a model, seconds from submit to completion, newest first."""
        rows = self._db.execute(
            "SELECT seconds FROM duration WHERE provider = ? AND model = ? ORDER BY at DESC LIMIT ?",
            (provider, model, DURATIONS),
        )
        return [row[0] for row in rows if isinstance(row[0], int | float) and 0 < row[0] < _LONGEST_DURATION]

    # --- writing --------------------------------------------------------------------------------------

    def claim(
        self, provider: str, request: Order, run_id: str, price: Decimal, *, after: int = 0
    ) -> tuple[Record, bool]:
        """Plan a purchase, or find the one that is open already, or was made since the caller looked.

        Parameters
        ----------
        after : int
            The newest row that the caller knew of. A newer one that has ended is another kernel's answer to the
            same question, and nothing is planned beside it.

        Returns
        -------
        Record
            The row.
        bool
            Whether it is open and this process's to work on. A row whose owner is gone is taken over; where it was
            being sent when its owner died, its outcome is unknown.
        """
        now = self._clock()
        row = self._db.execute(
            f"SELECT * FROM purchase WHERE provider = ? AND key = ? AND state IN {OPEN}",
            (provider, request.key),
        ).fetchone()
        if row is None:
            newer = self._db.execute(
                "SELECT * FROM purchase WHERE provider = ? AND key = ? AND id > ? ORDER BY id DESC LIMIT 1",
                (provider, request.key, after),
            ).fetchone()
            if newer is not None:
                return self._read(newer), False
            cursor = self._db.execute(
                "INSERT INTO purchase (provider, key, state, model, prompt, width, height, seed, run_id, price,"
                " owner, lease_until, created_at, inputs) VALUES (?, ?, 'planned', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    provider, request.key, request.model.id, request.prompt, *request.size,
                    NO_SEED if request.seed is None else request.seed,
                    run_id, int(price * MICRO), self.owner, now + LEASE, now, request.inputs,
                ),
            )  # fmt: skip
            row_id = int(cursor.lastrowid or 0)
            self._event(row_id, "planned")
            return self.get(row_id), True
        record = self._read(row)
        if not record.usable and record.error is not None:
            raise record.error
        # One of this very process is in another of its runs, which goes on working on it.
        if not self._abandoned(record, now):
            return record, False
        self._db.execute(
            "UPDATE purchase SET owner = ?, lease_until = ?, run_id = ? WHERE id = ?",
            (self.owner, now + LEASE, run_id, record.id),
        )
        if record.state == "sending":
            lost = errors.UnknownOutcomeError("The kernel ended while the order was being sent.")
            self.step(record.id, Heard.LOST, error=lost)
        return self.get(record.id), True

    def take(self, row_id: int) -> bool:
        """Claim one open row; False where somebody else works on it."""
        record = self.get(row_id)
        now = self._clock()
        if not record.usable or not self._abandoned(record, now):
            return False
        self._db.execute(
            "UPDATE purchase SET owner = ?, lease_until = ? WHERE id = ?", (self.owner, now + LEASE, row_id)
        )
        return True

    def _abandoned(self, record: Record, now: float) -> bool:
        return not record.held(now) or is_dead(record.owner or "")

    def move(
        self, row_id: int, state: State, *, note: str = "", error: QwenError | None = None, **values: Any
    ) -> None:
        """Bring a row into a state, with the columns that go with it; which state that is, `step` knows."""
        columns: dict[str, Any] = {"state": state, **values}
        # What went wrong before is over where the row goes on, and why it ends where it does.
        if error is not None or state in (*OPEN, "stored"):
            columns["error"] = dump_error(error) if error is not None else None
        if state not in OPEN:
            columns |= {"owner": None, "lease_until": None, "ended_at": self._clock()}
        if state == "sending":
            columns["sent_at"] = self._clock()
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE purchase SET {names} WHERE id = ?", (*columns.values(), row_id))
        if state == "stored":
            # A full disk is no reason to call what is here not here: the copy will know it.
            with contextlib.suppress(OSError):
                write_receipt(self._folder, self._row(row_id), self.sent_with(row_id))
        self._event(row_id, state, note or (error.message if error is not None else ""))

    def accept(self, row_id: int, prediction_id: str, *, note: str = "") -> None:
        """Write down the id of what was bought. It is worth money, so it is kept whatever became of the row."""
        stray = f"{UNASSIGNED}{prediction_id}"
        here = self._db.execute(
            "SELECT * FROM purchase WHERE provider = ? AND key = ? AND state = 'stored'",
            (self.get(row_id).provider, stray),
        ).fetchone()
        # What was taken for nobody's is this row's.
        strays = self._db.execute(f"SELECT id FROM purchase WHERE key = ? AND state IN {OPEN}", (stray,))
        for (stray_id,) in strays.fetchall():
            self.step(stray_id, Heard.SOMEBODYS, note=f"it is row {row_id}'s")
        record = self.get(row_id)
        if record.state in ("sending", "unknown") and here is not None:
            fetched = {name: here[name] for name in _FETCHED}
            self.step(row_id, Heard.HERE, note=note, prediction_id=prediction_id, **fetched)
            self.step(here["id"], Heard.SOMEBODYS, note=f"it is row {row_id}'s")
        elif record.state in ("sending", "unknown"):
            heard = Heard.ACCEPTED if record.state == "sending" else Heard.FOUND
            self.step(row_id, heard, note=note, prediction_id=prediction_id)
        elif record.prediction_id != prediction_id:
            self.adopt(record.provider, prediction_id, record)

    def go(self, record: Record, heard: Heard, **values: Any) -> Record:
        """Bring a row of this process to where the table says that something leads; further arguments as in `move`.

        Raises
        ------
        ClaimLostError
            It isn't in that state any more, or another kernel's.
        """
        self.check_claim(record.id, record.state)
        self.step(record.id, heard, **values)
        return self.get(record.id)

    def step(self, row_id: int, heard: Heard, **values: Any) -> None:
        """Bring a row to where the table says that something leads, whoever works on it; arguments as in `move`."""
        self.move(row_id, after(self.get(row_id).state, heard).to, **values)

    def keep_trouble(self, row_id: int, error: QwenError) -> None:
        """Note why an open row has got no further; whoever takes it up goes on from there."""
        self._db.execute("UPDATE purchase SET error = ? WHERE id = ?", (dump_error(error), row_id))

    def note_missed(self, row_id: int, at: float) -> None:
        """Note when the service said that it has no such prediction, by its own clock: the first time counts."""
        self._db.execute("UPDATE purchase SET missed_at = coalesce(missed_at, ?) WHERE id = ?", (at, row_id))

    def note_there(self, row_id: int) -> None:
        """Note that the service has the prediction: what it said before has passed."""
        self._db.execute("UPDATE purchase SET missed_at = NULL WHERE id = ?", (row_id,))

    def check_claim(self, row_id: int, *states: State) -> Record:
        """Return a row that this process works on, in one of these states.

        Raises
        ------
        ClaimLostError
            Another kernel has taken it over (the machine slept, and the lease ended), or the user gave it up.
        """
        record = self.get(row_id)
        if record.owner != self.owner or record.state not in states:
            raise ClaimLostError
        return record

    def forget_plan(self, row_id: int) -> None:
        """Take back a plan where the run was stopped; one that was sent before (and refused) stays in the history."""
        mine = (row_id, self.owner)
        row = self._db.execute(
            "SELECT sent_at FROM purchase WHERE id = ? AND owner = ? AND state = 'planned'", mine
        ).fetchone()
        if row is not None and row["sent_at"] is not None:
            self.step(row_id, Heard.HELD_BACK, error=errors.StoppedError("Stopped before it was bought."))
        elif row is not None:
            self._db.execute("DELETE FROM purchase WHERE id = ?", (row_id,))
            self._event(row_id, "stopped")

    def reopen(self, row_id: int, heard: Heard, *, note: str) -> bool:
        """Bring an ended row back to an open state, for whoever claims it; False where the key is open elsewhere."""
        try:
            self.step(row_id, heard, note=note)
        except sqlite3.IntegrityError:
            return False
        return True

    def adopt(self, provider: str, prediction_id: str, like: Record, *, account: str = "") -> None:
        """Take up a prediction that nobody here remembers having asked for, so that its picture is fetched; once."""
        known = self._db.execute(
            "SELECT 1 FROM purchase WHERE provider = ? AND prediction_id = ?", (provider, prediction_id)
        ).fetchone()
        if known is not None:
            return
        cursor = self._db.execute(
            "INSERT INTO purchase (provider, key, state, model, prompt, width, height, seed, run_id, price,"
            " prediction_id, created_at, sent_at) VALUES (?, ?, 'submitted', ?, ?, 0, 0, -1, '', 0, ?, ?, ?)",
            (
                provider, f"{UNASSIGNED}{prediction_id}", like.model, "(unassigned)", prediction_id,
                self._clock(), like.sent_at,
            ),
        )  # fmt: skip
        row_id = int(cursor.lastrowid or 0)
        self._event(row_id, "submitted", "found in the history, unassigned")
        self._event(row_id, "adopted", account)

    def renew(self, row_ids: Sequence[int]) -> None:
        """Hold the claims for another `LEASE` seconds."""
        until = self._clock() + LEASE
        self._db.executemany(
            "UPDATE purchase SET lease_until = ? WHERE id = ? AND owner = ?",
            [(until, row_id, self.owner) for row_id in row_ids],
        )

    def release(self, row_id: int) -> None:
        """Give a claim up: the row stays open for whoever asks next."""
        self._db.execute(
            "UPDATE purchase SET owner = NULL, lease_until = NULL WHERE id = ? AND owner = ?",
            (row_id, self.owner),
        )

    def send(
        self,
        row_id: int,
        *,
        midnight: float,
        server_at: float | None = None,
        addresses: Sequence[str] = (),
        account: str = "",
    ) -> None:
        """Bring a planned row into `sending`, where the day's budget allows it.

        In one transaction, so that two kernels together can't spend more than the budget.

        Parameters
        ----------
        midnight : float
            When the day began, seconds since the epoch.
        server_at : float, optional
            Now, by the service's clock, seconds since the epoch; None where that isn't known yet (see `date`).
        addresses : sequence of str
            Where the input pictures are: what the service may echo.
        account : str
            Whose history will show it, noted with the event.

        Raises
        ------
        BudgetError
            The row stays planned.
        ClaimLostError
            The row is another kernel's by now, and may have been sent by it.
        """
        record = self.check_claim(row_id, "planned")
        budget = self.budget()
        if budget is not None and record.price > 0:
            spent = self.spent_since(midnight)
            if spent + record.price > budget:
                raise BudgetError(
                    f"the day's budget of ${budget:.2f} is used up: ${spent:.2f} spent, ${record.price:.2f} asked.",
                    next_step="%qwen budget 10 raises it.",
                )
        inputs = with_addresses(record.inputs, addresses) if addresses else record.inputs
        self.step(row_id, Heard.ANNOUNCED, note=account, server_at=server_at, inputs=inputs)
        log_order(self._folder, self._row(row_id), account)

    def budget(self) -> Decimal | None:
        """Return the US dollars that a day may cost, all kernels together; None for no limit.

        Raises
        ------
        BudgetError
            What was set can't be read any more, and buying without a limit was not asked for.
        """
        text = self.setting("budget")
        if not text:
            return None
        with contextlib.suppress(InvalidOperation):
            budget = Decimal(text)
            if budget.is_finite() and 0 <= budget < _MOST_BUDGET:
                return budget
        raise BudgetError(
            "the day's budget in the ledger is damaged and can't be read.",
            next_step="%qwen budget 10 sets it anew, %qwen budget off takes it away.",
        )

    def setting(self, name: str) -> str | None:
        """Return what was kept under a name."""
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def write_setting(self, name: str, value: str | None) -> None:
        """Keep a value under a name, or drop it."""
        if value is None:
            self._db.execute("DELETE FROM setting WHERE name = ?", (name,))
        else:
            self._db.execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))

    def write_run(self, run_id: str, provider: str, title: str, sweep: str, max_cost: float | None) -> None:
        """Keep what a run asked for (`sweep` as JSON), so that its grid can be had again."""
        self._db.execute(
            "INSERT INTO run (id, provider, title, sweep, max_cost, created_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET sweep = excluded.sweep, max_cost = excluded.max_cost",
            (run_id, provider, title, sweep, max_cost, self._clock()),
        )

    def write_choices(self, run_id: str, choices: str) -> None:
        """Keep what a person thinks of a run's pictures, as JSON."""
        self._db.execute("UPDATE run SET choices = ? WHERE id = ?", (choices, run_id))

    def read_run(self, run_id: str) -> tuple[str, str, str, str] | None:
        """Return provider, title, sweep and choices of a run."""
        row = self._db.execute(
            "SELECT provider, title, sweep, choices FROM run WHERE id = ?", (run_id,)
        ).fetchone()
        if row is None:
            return None
        provider, title, sweep, choices = map(str, row)
        return provider, title, sweep, choices

    def write_duration(self, provider: str, model: str, seconds: float) -> None:
        """Keep the seconds from submit to completion."""
        self._db.execute(
            "INSERT INTO duration (provider, model, seconds, at) VALUES (?, ?, ?, ?)",
            (provider, model, seconds, self._clock()),
        )

    def _event(self, row_id: int, state: str, note: str = "") -> None:
        self._db.execute(
            "INSERT INTO event (purchase_id, at, state, note) VALUES (?, ?, ?, ?)",
            (row_id, self._clock(), state, note),
        )


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells the ledger's file from another of its name, None where there is none."""
    try:
        found = (folder / ledger_file.NAME).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
