"""A damaged or vanished ledger costs nothing: what was paid for is known again, and the line before the run says so."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from lost_ledgers import COPY, LOG, NAME, WAYS, cut, deleted, emptied, header
from rig import a_request, check_invariants
from server import contract, reply
from test_kill import CELLS, REQUESTS, start

import qwen_widgets as qw
from qwen_widgets import account, archive
from qwen_widgets.core import reconcile
from qwen_widgets.core.errors import LedgerError, UnprovenError
from qwen_widgets.core.ledger import Ledger, Store
from qwen_widgets.studio import studio


@pytest.fixture(autouse=True)
def _settles_soon(monkeypatch):
    monkeypatch.setattr(reconcile, "SETTLE", (0.02, 0.04, 0.08, 0.16))


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is said before a run."""
    lines: list[str] = []
    for module in ("making", "studio", "wording", "archive", "account"):
        monkeypatch.setattr(f"qwen_widgets.{module}.say", lines.append)
    return lines


def make(seeds: str = "1-3", prompt: str = "a red fox", **options) -> list[str]:
    grid = qw.generate(prompt, seeds=seeds, sizes="256x256", **options)
    return [cell.state for cell in grid]


def requests(seeds: range, prompt: str = "a red fox"):
    return [a_request(prompt, seed=seed) for seed in seeds]


def end_kernel() -> None:
    studio().ledger().close()


@pytest.mark.parametrize("lose", WAYS, ids=lambda way: way.__name__)
def test_what_was_paid_for_is_known_again(lose, hosted, restart, qwen_home, said):
    assert make() == ["stored"] * 3
    assert str(qw.enhance("a red fox")) != ""
    end_kernel()
    lose(qwen_home / NAME)
    restart()
    said.clear()
    assert make("1-4") == ["stored"] * 4
    assert str(qw.enhance("a red fox")) != ""
    assert len(hosted.submits) == 5, "the first three and the text were bought again"
    assert "made anew from its copy of" in said[0]
    assert said[0].startswith(f"The ledger was {'gone' if lose in (deleted, emptied) else 'damaged'}")
    assert "3 already here · 1 new" in said[0]
    # What is set aside is named, and never deleted.
    asides = [path.name for path in qwen_home.glob("ledger.corrupt-*.sqlite3")]
    assert len(asides) == (lose is not deleted)
    assert all(name in said[0] for name in asides)
    said.clear()
    assert make("1-4") == ["stored"] * 4
    assert "The ledger" not in said[0], "a clean run has ended since"
    check_invariants(hosted, qwen_home, [*requests(range(1, 5)), text_request()])


def text_request():
    from qwen_widgets.core.enhancer import TextRequest

    return TextRequest("a red fox")


@pytest.mark.parametrize("lose", WAYS, ids=lambda way: way.__name__)
def test_without_a_copy_the_receipts_tell_what_is_here_and_the_rest_waits_for_a_yes(
    lose, hosted, restart, qwen_home, said
):
    assert make() == ["stored"] * 3
    end_kernel()
    for name in (COPY, LOG):
        (qwen_home / name).unlink()
    lose(qwen_home / NAME)
    restart()
    said.clear()
    assert make() == ["stored"] * 3
    assert "The ledger was" in said[0]
    before = len(hosted.submits)
    with pytest.raises(UnprovenError) as caught:
        make("1-4")
    assert "%qwen ledger accept" in caught.value.sentence
    assert "accept_ledger()" in caught.value.sentence
    assert "\n" not in caught.value.sentence
    assert len(hosted.submits) == before
    assert qw.accept_ledger() is True
    assert make("1-4") == ["stored"] * 4
    assert len(hosted.submits) == before + 1
    assert qw.accept_ledger() is False
    check_invariants(hosted, qwen_home, requests(range(1, 5)))


def test_a_copy_that_is_a_run_behind_is_completed_from_the_history(hosted, restart, qwen_home, said):
    assert make() == ["stored"] * 3
    end_kernel()
    copy = (qwen_home / COPY).read_bytes()
    restart()
    assert make("4-6") == ["stored"] * 3
    end_kernel()
    deleted(qwen_home / NAME)
    (qwen_home / COPY).write_bytes(copy)
    for path in (*qwen_home.glob("pictures/??/*"), qwen_home / LOG):
        path.unlink()
    restart()
    said.clear()
    assert make("1-7") == ["stored"] * 7
    assert "3 orders of before were found in the account's history" in said[0]
    assert len(hosted.submits) == 7
    # What the history has told is kept: it is not asked again, not even where it can't be had.
    hosted.on_history(reply(503), times=None)
    assert make("8") == ["stored"]
    assert sorted(map(len, hosted.paid.values())) == [1] * 8


@pytest.fixture
def behind(hosted, restart, qwen_home) -> None:
    """A copy without the last three orders, and no other trace of them."""
    assert make() == ["stored"] * 3
    end_kernel()
    copy = (qwen_home / COPY).read_bytes()
    restart()
    assert make("4-6") == ["stored"] * 3
    end_kernel()
    deleted(qwen_home / NAME)
    (qwen_home / COPY).write_bytes(copy)
    for path in (*qwen_home.glob("pictures/??/*.json"), qwen_home / LOG):
        path.unlink()
    restart()


def test_where_the_history_cannot_be_read_nothing_is_bought(behind, hosted, qwen_home, said):
    hosted.on_history(reply(503, "down"), times=None)
    before = len(hosted.submits)
    with pytest.raises(UnprovenError, match="can't be read"):
        make("4-7")
    assert make("1-3") == ["stored"] * 3
    assert len(hosted.submits) == before
    archive.ledger_lines("accept")
    assert make("7") == ["stored"]
    assert len(hosted.submits) == before + 1


def test_a_text_is_not_bought_either(behind, hosted, said):
    hosted.on_history(reply(503, "down"), times=None)
    before = len(hosted.submits)
    with pytest.raises(UnprovenError):
        qw.enhance("a blue fox")
    assert len(hosted.submits) == before
    assert any("The ledger" in line for line in said)


def test_what_one_models_history_has_told_says_nothing_of_another_model(hosted, restart, qwen_home, said):
    assert make() == ["stored"] * 3
    end_kernel()
    copy = (qwen_home / COPY).read_bytes()
    restart()
    text = str(qw.enhance("a blue fox"))
    end_kernel()
    deleted(qwen_home / NAME)
    (qwen_home / COPY).write_bytes(copy)
    for path in (*qwen_home.glob("texts/??/*"), qwen_home / LOG):
        path.unlink()
    restart()
    assert make("4") == ["stored"]  # has the history of the pictures' model read
    assert str(qw.enhance("a blue fox")) == text
    assert len(hosted.submits) == 5, "the text was bought again"
    assert sorted(map(len, hosted.paid.values())) == [1] * 5


def test_predictions_that_do_not_say_what_they_were_asked_with_wait_for_a_yes(behind, hosted, said):
    hosted.echo = False
    before = len(hosted.submits)
    for _ in range(2):
        with pytest.raises(UnprovenError, match="don't say what they were asked with"):
            make("4-6")
    assert len(hosted.submits) == before
    assert qw.accept_ledger()
    assert make("4-6") == ["stored"] * 3
    assert len(hosted.submits) == before + 3


def test_another_keys_account_proves_nothing(behind, hosted, said, monkeypatch):
    monkeypatch.setenv("WAVESPEED_API_KEY", "another-canary-key")
    before = len(hosted.submits)
    with pytest.raises(UnprovenError, match="another API key"):
        make("7")
    assert len(hosted.submits) == before


def test_the_embedded_service_is_never_held_up(behind, monkeypatch, said):
    monkeypatch.setenv("QWEN_WIDGETS_PROVIDER", "offline")
    assert make("4-6") == ["stored"] * 3
    assert "The ledger was gone" in said[0]


def test_an_engine_alone_does_not_buy_either(behind, hosted):
    """Whoever runs a plan without asking for prices is held back by the run itself."""
    hosted.on_history(reply(503), times=None)
    from qwen_widgets.core.pacing import Stop
    from qwen_widgets.portal import portal

    engine, _ = studio().engine()
    before = len(hosted.submits)

    async def run():
        plan = await engine.plan_orders([a_request(seed=9)])
        return [update async for update in engine.run(plan, Stop())]

    updates = portal.run(run())
    assert [update.state for update in updates] == ["stopped"]
    assert "can't be read" in updates[0].error.message
    assert len(hosted.submits) == before


async def test_killed_in_the_middle_of_a_run_and_the_ledger_lost(server, qwen_home, child_env, tmp_path):
    """What was sent since the last copy is in the log: nothing of it is bought a second time."""
    env = child_env(tmp_path, home=qwen_home)
    for lose, point in (
        (deleted, "before_commit_of_id:3"),
        (header, "before_stored_row:5"),
        (cut, "after_post:2"),
    ):
        child = await start(qwen_home, server, env, point)
        await child.communicate()
        lose(qwen_home / NAME)
    for _ in range(3):
        child = await start(qwen_home, server, env)
        out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        if json.loads(out)["states"] == ["stored"] * CELLS:
            break
    assert json.loads(out)["states"] == ["stored"] * CELLS
    for key, bought in server.paid.items():
        assert len(bought) == 1, f"{key} was bought {len(bought)} times"
    assert sorted(server.paid) == sorted(request.key for request in REQUESTS)


@pytest.mark.parametrize("lose", [deleted, header, emptied], ids=lambda way: way.__name__)
async def test_two_kernels_make_one_new_ledger(lose, server, qwen_home, child_env, tmp_path):
    env = child_env(tmp_path, home=qwen_home)
    child = await start(qwen_home, server, env)
    await child.communicate()
    lose(qwen_home / NAME)
    children = [await start(qwen_home, server, env) for _ in range(3)]
    ends = await asyncio.gather(*(child.communicate() for child in children))
    for out, err in ends:
        assert json.loads(out) == {"states": ["stored"] * CELLS, "cached": CELLS}, err.decode()
    assert len(list(qwen_home.glob("ledger.corrupt-*.sqlite3"))) == (lose is not deleted)
    assert len(server.submits) == CELLS
    assert not list(qwen_home.glob("*.part"))
    check_invariants(server, qwen_home, REQUESTS)


def test_a_ledger_deleted_while_a_kernel_has_it_open(hosted, qwen_home, said):
    assert make() == ["stored"] * 3
    studio().ledger().copy().result()
    deleted(qwen_home / NAME)
    assert make("1-4") == ["stored"] * 4
    assert len(hosted.submits) == 4
    assert (qwen_home / NAME).exists()
    check_invariants(hosted, qwen_home, requests(range(1, 5)))


def test_a_ledger_deleted_in_the_middle_of_a_run_is_put_back(hosted, qwen_home):
    """The kernel that works with it has all of it."""

    async def gone(x):
        deleted(qwen_home / NAME)
        await contract(x)

    studio().configure(at_once=1)
    hosted.on_submit(gone)
    assert make("1-3") == ["stored"] * 3
    check_invariants(hosted, qwen_home, requests(range(1, 4)))


def test_a_run_under_way_buys_no_more_when_its_ledger_is_replaced(hosted, qwen_home, restart):
    """Its orders are in the log, so that the new ledger looks for them."""

    async def replaced(x):
        deleted(qwen_home / NAME)
        Ledger(qwen_home).close()
        await contract(x)

    assert make("9") == ["stored"]
    studio().ledger().copy().result()
    studio().configure(at_once=1)
    hosted.on_submit(replaced)
    assert "stored" not in make("1-3")
    assert len(hosted.submits) == 2
    assert make("1-3") == ["stored"] * 3
    assert sorted(map(len, hosted.paid.values())) == [1] * 4


def test_an_older_ledger_put_in_place_is_completed_from_the_copy(hosted, restart, qwen_home, said):
    assert make("1") == ["stored"]
    end_kernel()
    older = (qwen_home / NAME).read_bytes()
    restart()
    assert make("2-3") == ["stored"] * 2
    end_kernel()
    (qwen_home / NAME).write_bytes(older)
    restart()
    said.clear()
    assert make("1-3") == ["stored"] * 3
    assert "knew less than its own copy" in said[0]
    assert len(hosted.submits) == 3


def test_a_damaged_copy_is_set_aside_and_the_log_does_without(hosted, restart, qwen_home, said):
    assert make() == ["stored"] * 3
    end_kernel()
    header(qwen_home / NAME)
    header(qwen_home / COPY)
    restart()
    assert make() == ["stored"] * 3
    assert len(hosted.submits) == 3
    assert len(list(qwen_home.glob("ledger.corrupt-*.sqlite3"))) == 2
    with pytest.raises(UnprovenError):
        make("4")


def test_before_the_first_copy_the_log_is_enough(hosted, restart, qwen_home, monkeypatch, said):
    monkeypatch.setattr(Store, "copy", lambda self: None)
    assert make() == ["stored"] * 3
    end_kernel()
    for path in qwen_home.glob("pictures/??/*.json"):
        path.unlink()
    deleted(qwen_home / NAME)
    assert not (qwen_home / COPY).exists()
    monkeypatch.undo()
    monkeypatch.setenv("QWEN_WIDGETS_BASE_URL", hosted.base_url)
    monkeypatch.setenv("QWEN_WIDGETS_HOME", str(qwen_home))
    monkeypatch.setenv("WAVESPEED_API_KEY", "canary-5f0e9b7c1d-key")
    restart()
    assert make("1-4") == ["stored"] * 4
    assert len(hosted.submits) == 4


def test_status_and_doctor_tell_of_it(hosted, restart, qwen_home):
    make()
    end_kernel()
    cut(qwen_home / NAME)
    restart()
    assert any("The ledger was damaged" in line for line in account.status_lines())
    from qwen_widgets.doctor import doctor_report

    assert "The ledger was damaged" in dict(doctor_report())["ledger"]
    assert any("The ledger was damaged" in line for line in archive.ledger_lines(""))


def test_the_panel_tells_of_it_in_its_line(hosted, restart, qwen_home):
    from qwen_widgets.core.sweep import plan_sweep
    from qwen_widgets.portal import portal

    make()
    end_kernel()
    cut(qwen_home / NAME)
    restart()
    sweep = plan_sweep("a red fox", seeds="1-3", sizes=(256, 256))
    job = portal.run(studio().plan_into(None, sweep, max_cost=None, priced=False))
    assert job.line.startswith("The ledger was damaged")


def test_the_magic_takes_a_yes(behind, hosted, capsys, said):
    hosted.on_history(reply(503), times=None)
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "qwen_widgets")
    try:
        with pytest.raises(UsageError, match="%qwen ledger accept"):
            shell.run_cell_magic("qwenimage", "--seeds 9 --size 256x256 -o fox", "a red fox")
        shell.run_line_magic("qwen", "ledger accept")
        assert "Accepted" in capsys.readouterr().out
        with pytest.raises(UsageError, match="takes accept"):
            shell.run_line_magic("qwen", "ledger nonsense")
    finally:
        shell.run_line_magic("unload_ext", "qwen_widgets")


def test_any_wrong_byte_of_the_header_is_either_nothing_or_damage(qwen_home, tmp_path):
    from ledger_rows import claim

    ledger = Ledger(qwen_home)
    record, _ = claim(ledger)
    ledger.wait(lambda db: db.send(record.id, midnight=0.0))
    ledger.copy().result()
    ledger.close()
    whole = (qwen_home / NAME).read_bytes()
    for at in range(100):
        data = bytearray(whole)
        data[at] ^= 0xFF
        (qwen_home / NAME).write_bytes(data)
        ledger = Ledger(qwen_home)
        assert [row.key for row in ledger.wait(lambda db: db.history())] == [record.key], at
        assert ledger.wait(lambda db: db.gaps()) == (), at
        ledger.close()


# --- what can't be opened ---------------------------------------------------------------------------------


def test_a_folder_in_its_place_is_one_sentence(qwen_home):
    (qwen_home / NAME).mkdir(parents=True)
    with pytest.raises(LedgerError, match="can't be opened") as caught:
        Ledger(qwen_home)
    assert "\n" not in caught.value.message


def test_rows_since_the_copy_are_read_out_of_the_damaged_file(qwen_home):
    from ledger_rows import claim, get

    ledger = Ledger(qwen_home)
    for seed in range(300):
        record, _ = claim(ledger, a_request(seed=seed))
        ledger.wait(lambda db, row=record.id: db.send(row, midnight=0.0))
        ledger.wait(lambda db, row=record.id: db.accept(row, f"p{row}"))
    ledger.close()
    (qwen_home / LOG).unlink()
    path = qwen_home / NAME
    with closing(sqlite3.connect(path)) as db:
        pages = (
            [
                row[0]
                for row in db.execute(
                    "SELECT pageno FROM dbstat WHERE name = 'purchase' AND pagetype = 'leaf'"
                )
            ]
            if _has_dbstat(db)
            else [20]
        )
    data = bytearray(path.read_bytes())
    at = (pages[len(pages) // 2] - 1) * 4096
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)
    ledger = Ledger(qwen_home)
    told = ledger.wait(Store.restored)
    assert told.why == "damaged"
    assert 250 < told.known < 300
    assert get(ledger, 1).prediction_id == "p1"
    assert get(ledger, 300).prediction_id == "p300"
    # Those of the damaged page are missing, and nobody knows whether they were sent.
    assert ledger.wait(lambda db: db.gaps())[0].since is None
    ledger.close()


def _has_dbstat(db) -> bool:
    try:
        db.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True
