"""The ledger's rows: states and events, leases, two processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from ledger_rows import HERE, PRICE, claim, get
from rig import a_request
from server import contract

from qwen_widgets.core import ledger as ledger_module
from qwen_widgets.core.errors import BudgetError, LedgerError, RejectedError, UnknownOutcomeError
from qwen_widgets.core.ledger import LEASE, ClaimLostError, Ledger, Store
from qwen_widgets.core.states import OPEN, Heard


def send(ledger: Ledger, row_id: int, *, midnight: float = 0.0) -> None:
    ledger.wait(lambda db: db.send(row_id, midnight=midnight))


def events(home: Path, row_id: int) -> list[str]:
    with closing(sqlite3.connect(home / "ledger.sqlite3")) as db:
        return [
            row[0]
            for row in db.execute("SELECT state FROM event WHERE purchase_id = ? ORDER BY id", (row_id,))
        ]


@pytest.fixture
def other(qwen_home, ledger):
    """The ledger of another kernel."""
    here = Ledger(qwen_home)
    yield here
    here.close()


def become(ledger: Ledger, pid: int, boot: str | None = None) -> None:
    """Let a ledger be another process's."""
    _, my_boot, mark = ledger._store.owner.split(":")
    ledger._store.owner = f"{pid}:{boot or my_boot}:{mark}"


@pytest.fixture
def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


# --- states and events ------------------------------------------------------------------------------------


def test_a_picture_from_intent_to_file(ledger, qwen_home):
    record, mine = claim(ledger)
    assert mine
    assert (record.state, record.price, record.sent_at, record.spent) == ("planned", PRICE, None, 0)
    send(ledger, record.id)
    assert get(ledger, record.id).state == "sending"
    assert get(ledger, record.id).spent == PRICE
    ledger.wait(lambda db: db.accept(record.id, "abc"))
    assert get(ledger, record.id).prediction_id == "abc"
    ledger.wait(lambda db: db.move(record.id, "completed", outputs=json.dumps(["https://a/b"]), seconds=2.5))
    assert get(ledger, record.id).outputs == ("https://a/b",)
    ledger.wait(
        lambda db: db.move(record.id, "stored", sha256="f" * 64, suffix=".png", got_width=9, got_height=8)
    )
    ended = get(ledger, record.id)
    assert (ended.state, ended.owner, ended.got) == ("stored", None, (9, 8))
    assert events(qwen_home, record.id) == ["planned", "sending", "submitted", "completed", "stored"]


def test_an_error_comes_back_as_it_was(ledger):
    record, _ = claim(ledger)
    error = UnknownOutcomeError("lost", next_step="look", prediction_id="x")
    ledger.wait(lambda db: db.move(record.id, "unknown", error=error))
    got = get(ledger, record.id).error
    assert type(got) is UnknownOutcomeError
    assert (got.message, got.paid, got.next_step, got.prediction_id) == ("lost", "unknown", "look", "x")


@pytest.mark.parametrize("state", OPEN)
def test_one_open_row_a_picture(state, ledger, qwen_home):
    """Also against whoever writes past the claim: the file itself refuses a second open row."""
    record, _ = claim(ledger)
    ledger.wait(lambda db: db.move(record.id, state))
    with (
        closing(sqlite3.connect(qwen_home / "ledger.sqlite3", isolation_level=None)) as db,
        pytest.raises(sqlite3.IntegrityError),
    ):
        db.execute(
            "INSERT INTO purchase (provider, key, state, model, prompt, width, height, seed, run_id, price, created_at)"
            " SELECT provider, key, 'planned', model, prompt, width, height, seed, run_id, price, created_at"
            " FROM purchase"
        )


async def test_the_row_is_on_disk_when_the_order_arrives(server, rig, qwen_home):
    """I3, seen by another reader of the file while the POST is held at the server."""
    seen = []

    async def read_the_file(x):
        with closing(sqlite3.connect(f"file:{qwen_home / 'ledger.sqlite3'}?mode=ro", uri=True)) as db:
            seen.append(
                db.execute(
                    "SELECT p.state, e.state, p.sent_at FROM purchase p JOIN event e ON e.purchase_id = p.id"
                    " ORDER BY e.id DESC LIMIT 1"
                ).fetchone()
            )
        await contract(x)

    server.on_submit(read_the_file)
    assert (await rig.one()).state == "stored"
    [(row, event, sent_at)] = seen
    assert (row, event) == ("sending", "sending")
    assert sent_at <= server.submits[0].at


def test_every_commit_is_synced(ledger):
    """FULL is 2; with less, a power cut takes the row back after its money is spent."""
    assert ledger.wait(lambda db: db._db.execute("PRAGMA synchronous").fetchone()[0]) == 2
    mode = ledger.wait(lambda db: db._db.execute("PRAGMA journal_mode").fetchone()[0])
    assert mode == ("wal" if sqlite3.sqlite_version_info >= (3, 51, 3) else "truncate")


async def test_work_is_done_even_where_the_waiting_is_cancelled(ledger):
    """It may be what records an id: it must not be dropped from the queue."""
    import threading

    busy, go = threading.Event(), threading.Event()

    def hold(_db):
        busy.set()
        go.wait(10)

    first = ledger.do(hold)
    await asyncio.to_thread(busy.wait, 10)
    record_id: list[int] = []
    waiting = asyncio.create_task(
        ledger.run(lambda db: record_id.append(db.claim(HERE, a_request(), "run", PRICE)[0].id))
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    first.result(10)
    assert get(ledger, ledger.wait(lambda _db: record_id[0])).state == "planned"


# --- leases -----------------------------------------------------------------------------------------------


def test_a_live_kernels_row_is_its_own(ledger, other):
    record, _ = claim(ledger)
    again, mine = claim(other)
    assert (again.id, mine) == (record.id, False)
    assert not other.wait(lambda db: db.take(record.id))


def test_a_row_of_this_very_kernel_is_in_its_other_run(ledger):
    record, _ = claim(ledger)
    again, mine = claim(ledger)
    assert (again.id, mine) == (record.id, False)


def test_a_dead_kernels_row_is_taken_over_at_once(ledger, other, dead_pid):
    become(ledger, dead_pid)
    record, _ = claim(ledger)
    again, mine = claim(other)
    assert (again.id, mine, again.state) == (record.id, True, "planned")


def test_what_a_dead_kernel_was_sending_is_unknown(ledger, other, dead_pid, qwen_home):
    become(ledger, dead_pid)
    record, _ = claim(ledger)
    send(ledger, record.id)
    again, mine = claim(other)
    assert (mine, again.state) == (True, "unknown")
    assert isinstance(again.error, UnknownOutcomeError)
    assert events(qwen_home, record.id)[-1] == "unknown"


def test_of_another_machine_the_lease_alone_decides(qwen_home, dead_pid):
    """Homes are shared over the network: a process id of another boot says nothing."""
    now = [time.time()]
    ledger, other = (Ledger(qwen_home, clock=lambda: now[0]) for _ in range(2))
    become(ledger, dead_pid, "another-boot")
    claim(ledger)
    assert claim(other)[1] is False
    now[0] += LEASE + 1
    assert claim(other)[1] is True
    ledger.close()
    other.close()


def test_a_lease_ends_unless_it_is_renewed(qwen_home):
    now = [time.time()]
    ledger, other = (Ledger(qwen_home, clock=lambda: now[0]) for _ in range(2))
    record, _ = claim(ledger)
    now[0] += LEASE - 1
    ledger.wait(lambda db: db.renew([record.id]))
    now[0] += LEASE - 1
    assert claim(other)[1] is False
    now[0] += 2
    assert claim(other)[1] is True
    # The late one can't renew, nor give up, what is no longer its own.
    ledger.wait(lambda db: db.renew([record.id]))
    ledger.wait(lambda db: db.release(record.id))
    ledger.wait(lambda db: db.forget_plan(record.id))
    assert get(other, record.id).owner == other._store.owner
    ledger.close()
    other.close()


def test_who_has_lost_a_row_can_not_send_it(qwen_home):
    """The machine slept, the lease ended, another kernel has it: a POST now would buy it twice."""
    now = [time.time()]
    ledger, other = (Ledger(qwen_home, clock=lambda: now[0]) for _ in range(2))
    record, _ = claim(ledger)
    now[0] += LEASE + 1
    assert claim(other)[1] is True
    with pytest.raises(ClaimLostError):
        send(ledger, record.id)
    send(other, record.id)
    with pytest.raises(ClaimLostError):
        send(other, record.id)
    ledger.close()
    other.close()


def test_an_id_is_kept_whatever_became_of_its_row(ledger, other):
    record, _ = claim(ledger)
    send(ledger, record.id)
    ledger.wait(lambda db: db.move(record.id, "expired", note="the user gave it up"))
    ledger.wait(lambda db: db.accept(record.id, "abc"))
    [stray] = other.wait(lambda db: db.unfinished(HERE))
    assert stray.unassigned
    assert (stray.state, stray.prediction_id, stray.spent) == ("submitted", "abc", 0)


def test_another_kernels_answer_since_the_plan_is_the_answer(ledger, other):
    """Nothing was here when the plan was made; another kernel has failed at it since."""
    record, _ = claim(ledger)
    ledger.wait(lambda db: db.move(record.id, "rejected", error=RejectedError("no")))
    found, mine = claim(other)
    assert (found.id, found.state, mine) == (record.id, "rejected", False)
    # Who has seen that answer, and wants it all the same, plans anew.
    anew, mine = claim(other, after=record.id)
    assert mine
    assert anew.id > record.id


def test_a_plan_that_is_taken_back_leaves_no_row(ledger, qwen_home):
    record, _ = claim(ledger)
    ledger.wait(lambda db: db.forget_plan(record.id))
    with pytest.raises(LedgerError):
        get(ledger, record.id)
    assert events(qwen_home, record.id) == ["planned", "stopped"]
    sent, _ = claim(ledger)
    send(ledger, sent.id)
    ledger.wait(lambda db: db.forget_plan(sent.id))
    assert get(ledger, sent.id).state == "sending"


def test_what_nobody_remembers_is_adopted_once(ledger):
    record, _ = claim(ledger)
    send(ledger, record.id)
    record = get(ledger, record.id)
    for _ in range(2):
        ledger.wait(lambda db: db.adopt(HERE, "stray", record))
    strays = [row for row in ledger.wait(lambda db: db.unfinished(HERE)) if row.unassigned]
    assert [stray.prediction_id for stray in strays] == ["stray"]
    assert ledger.wait(lambda db: db.take(strays[0].id))
    # It turns out to be a row's: then it is that row's alone.
    ledger.wait(lambda db: db.accept(record.id, "stray"))
    assert [row.id for row in ledger.wait(lambda db: db.unfinished(HERE))] == [record.id]


def test_a_stored_row_is_opened_again_unless_the_picture_is_under_way(ledger):
    first, _ = claim(ledger)
    ledger.wait(lambda db: db.move(first.id, "stored", sha256="f" * 64, suffix=".png"))
    second, _ = claim(ledger, after=first.id)
    assert ledger.wait(lambda db: db.reopen(first.id, Heard.DAMAGED, note="gone")) is False
    ledger.wait(lambda db: db.move(second.id, "rejected"))
    assert ledger.wait(lambda db: db.reopen(first.id, Heard.DAMAGED, note="gone")) is True
    assert get(ledger, first.id).state == "completed"


# --- two processes ----------------------------------------------------------------------------------------

_BUYER = """
import sys
from decimal import Decimal
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from rig import a_request
from qwen_widgets.core.errors import BudgetError
from qwen_widgets.core.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))
first, count, price = int(sys.argv[3]), int(sys.argv[4]), Decimal(sys.argv[5])
print("ready", flush=True)
sys.stdin.readline()
sent = mine = 0
for seed in range(first, first + count):
    record, owned = ledger.wait(lambda db: db.claim("here", a_request(seed=seed), "run", price))
    mine += owned
    if owned:
        try:
            ledger.wait(lambda db: db.send(record.id, midnight=0.0))
            sent += 1
        except BudgetError:
            pass
print(mine, sent, flush=True)
sys.stdin.readline()  # still alive, so that its rows are its own
"""


def buy_together(home: Path, tmp_path: Path, env, firsts: tuple[int, int], count: int, price: str):
    """Two processes that begin at the same moment; what each has claimed and sent."""
    script = tmp_path / "buyer.py"
    script.write_text(_BUYER)
    buyers = [
        subprocess.Popen(
            [
                sys.executable,
                str(script),
                str(home),
                str(Path(__file__).parent),
                str(first),
                str(count),
                price,
            ],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in firsts
    ]
    for buyer in buyers:
        assert buyer.stdout.readline() == "ready\n"
    for buyer in buyers:
        buyer.stdin.write("\n")
        buyer.stdin.flush()
    counts = [tuple(int(word) for word in buyer.stdout.readline().split()) for buyer in buyers]
    for buyer in buyers:
        buyer.communicate("\n", timeout=30)
        assert buyer.returncode == 0
    return counts


def test_two_processes_write_at_once_and_each_row_has_one_owner(qwen_home, tmp_path, child_env):
    counts = buy_together(qwen_home, tmp_path, child_env(tmp_path), (0, 0), 150, "0.03")
    assert sum(mine for mine, _ in counts) == 150
    assert sum(sent for _, sent in counts) == 150
    with closing(sqlite3.connect(qwen_home / "ledger.sqlite3")) as db:
        assert db.execute("SELECT count(*), count(DISTINCT key) FROM purchase").fetchone() == (150, 150)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_days_budget_holds_for_two_processes_together(qwen_home, tmp_path, child_env):
    ledger = Ledger(qwen_home)
    ledger.wait(lambda db: db.write_setting("budget", "1.00"))
    counts = buy_together(qwen_home, tmp_path, child_env(tmp_path), (0, 1000), 60, "0.03")
    assert sum(sent for _, sent in counts) == 33
    assert ledger.wait(lambda db: db.spent_since(0.0)) == Decimal("0.99")
    with pytest.raises(BudgetError, match=r"budget of \$1\.00"):
        send(ledger, claim(ledger, a_request("another"))[0].id)
    ledger.close()


def test_two_kernels_begin_a_ledger_at_once(qwen_home):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(lambda _: Ledger(qwen_home), range(8)))
    assert [ledger.wait(Store.restored) for ledger in ledgers] == [None] * 8
    assert sum(claim(ledger)[1] for ledger in ledgers) == 1
    for ledger in ledgers:
        ledger.close()


def test_closed_twice_it_is_closed(qwen_home):
    ledger = Ledger(qwen_home)
    ledger.close()
    ledger.close()
    assert ledger_module.LEASE == LEASE
    with pytest.raises(RuntimeError):
        ledger.wait(partial(Store.setting, name="x"))
