"""One bad row of the ledger is one sentence, and the rest works; nothing is bought in its place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lost_ledgers import COPY, LOG, NAME

import qwen_widgets as qw
from qwen_widgets import account, archive, catalogue
from qwen_widgets.core.errors import BudgetError, QwenError
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.records import load_error
from qwen_widgets.studio import studio

PROMPTS = ("a red fox", "a blue fox", "a green fox")
#: What a damaged column can hold, as SQL.
VALUES = {
    "nothing": "NULL",
    "text": "'{nonsense'",
    "a list": "'[1, 2]'",
    "an object": '\'{"images": 5, "kind": "os", "rows": 3}\'',
    "blob": "x'00ff10'",
    "text that is not UTF-8": "CAST(x'fffe41' AS TEXT)",
    "huge": "9223372036854775807",
    "infinite": "9e999",
    "negative": "-5",
    "fraction": "1.5",
}
_TABLES = ("purchase", "event", "run", "setting", "duration", "upload", "catalogue")


def columns() -> list[tuple[str, str]]:
    from qwen_widgets.core.schema import TABLES

    with closing(sqlite3.connect(":memory:")) as db:
        for statement in TABLES:
            db.execute(statement)
        return [
            (table, row[1])
            for table in _TABLES
            for row in db.execute(f"PRAGMA table_info({table})")
            if (table, row[1]) not in {("purchase", "id"), ("event", "id"), ("setting", "name")}
        ]


@pytest.fixture
def made(hosted, restart, qwen_home) -> str:
    """A home with three pictures, a text, a run, settings; the run's id."""
    studio().set_budget(50)
    grid = qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256")
    assert [cell.state for cell in grid] == ["stored"] * 3
    qw.enhance(PROMPTS[0])
    _, provider = studio().engine()
    ledger = studio().ledger()
    ledger.wait(lambda db: db.write_upload(provider.name, "a" * 64, "https://x.example/a.png", 9e9))
    ledger.wait(lambda db: db.write_catalogue(provider.name, '{"models": [], "unread": 0}'))
    ledger.wait(lambda db: db.write_setting(f"window {provider.name}", "100"))
    end_kernel()
    return grid.run_id


def end_kernel() -> None:
    ledger = studio().ledger()
    ledger.copy().result()
    ledger.close()


def change(home: Path, *statements: str) -> None:
    """Damage rows where they are; the copy, the log and the receipts don't help: the file itself is whole."""
    with closing(sqlite3.connect(home / NAME, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def everything(run_id: str) -> list[str]:
    """All that reads rows; what is said. An error of the package's own is a sentence, any other fails the test."""
    said: list[str] = []
    told: list[str] = []
    for ask in (
        account.status_lines,
        account.budget_lines,
        account.usage_lines,
        account.remote_lines,
        account.usage,
        archive.history,
        lambda: archive.history_lines(""),
        lambda: archive.ledger_lines(""),
        lambda: catalogue.model_lines(""),
        lambda: archive.grid(run_id).sweep.shape,
        archive.waiting,
        archive.resume,
        archive.forget_inputs,
        lambda: [cell.error for cell in qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256")],
        lambda: str(qw.enhance(PROMPTS[0])),
        lambda: account.adopt_lines("all"),
    ):
        try:
            said.append(str(ask()))
        except QwenError as error:
            said.append(error.sentence)
            told.append(error.sentence)
    assert not any("\n" in sentence for sentence in told)
    return said


@pytest.mark.parametrize(("table", "column"), columns(), ids=lambda value: value)
def test_no_damaged_column_ends_in_a_raw_error_or_a_second_purchase(
    table, column, made, hosted, restart, qwen_home
):
    whole = (qwen_home / NAME).read_bytes()
    before = len(hosted.submits)
    for value in VALUES.values():
        (qwen_home / NAME).write_bytes(whole)
        try:
            # One row of many: its neighbours stay.
            change(
                qwen_home,
                f"UPDATE {table} SET {column} = {value} WHERE rowid IN (SELECT min(rowid) FROM {table})",
            )
        except sqlite3.IntegrityError:
            continue  # SQLite itself keeps that out
        here = restart()
        said = everything(made)
        assert not any("A fault in qwen_widgets" in line for line in said), said
        here.ledger().close()
        # A provider's name that is another readable one is that of another provider.
        if column == "provider" and table == "purchase" and value.isprintable() and value[0] not in "xC":
            before = len(hosted.submits)
        assert len(hosted.submits) == before, (value, said)


@pytest.mark.parametrize("column", ["inputs", "outputs", "error", "price"])
def test_a_damaged_row_is_one_sentence_and_the_rest_works(column, made, hosted, restart, qwen_home):
    change(qwen_home, f"UPDATE purchase SET {column} = '[1' WHERE id = 2")
    restart()
    lines = archive.history_lines("")
    assert len(lines) == 5
    assert lines[-1].startswith(f"Row 2 of the ledger is damaged ({column})")
    assert "a blue fox" in lines[2]
    assert any("Row 2" in line for line in account.usage_lines())
    assert all("stored" in line for line in lines[:4])


@pytest.mark.parametrize("state", ["sending", "submitted", "completed", "unknown", "nonsense"])
def test_an_open_row_that_cannot_be_read_holds_up_its_own_cell_alone(state, made, hosted, restart, qwen_home):
    """Until the user gives it up; then it is bought anew."""
    change(
        qwen_home,
        f"UPDATE purchase SET state = '{state}', prediction_id = x'00', seed = 'many', sha256 = NULL WHERE id = 2",
    )
    before = len(hosted.submits)
    restart()

    def run():
        return list(qw.generate("\n\n".join((*PROMPTS, "a fox")), seeds=1, sizes="256x256"))

    cells = run()
    assert [cell.state == "stored" for cell in cells] == [True, False, True, True]
    assert cells[1].error.sentence.startswith("Row 2 of the ledger is damaged (")
    assert "%qwen forget 2" in cells[1].error.sentence
    assert len(hosted.submits) == before + 1
    assert archive.forget("2") == 1
    assert [cell.state for cell in run()] == ["stored"] * 4
    assert len(hosted.submits) == before + 2


def test_a_row_without_its_key_is_known_by_the_rest_of_it(made, hosted, restart, qwen_home):
    change(qwen_home, "UPDATE purchase SET key = x'00' WHERE id = 2")
    before = len(hosted.submits)
    restart()
    cells = list(qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256"))
    assert [cell.state == "stored" for cell in cells] == [True, True, True] or cells[1].error is not None
    assert "Row 2" in cells[1].error.sentence
    assert len(hosted.submits) == before


def test_a_stored_row_whose_words_are_lost_still_has_its_picture(made, hosted, restart, qwen_home):
    change(
        qwen_home,
        "UPDATE purchase SET prompt = x'00', seconds = 'long', owner = 'x', flagged = 0 WHERE id = 2",
    )
    before = len(hosted.submits)
    restart()
    cells = list(qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256"))
    assert [cell.state for cell in cells] == ["stored"] * 3
    assert len(hosted.submits) == before


def test_a_suffix_leads_nowhere_else(made, restart, qwen_home):
    change(qwen_home, "UPDATE purchase SET suffix = '/../../../x.png' WHERE id = 2")
    restart()
    cells = list(qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256"))
    assert "Row 2" in cells[1].error.sentence


def test_a_completed_row_without_its_addresses_asks_for_them_again(made, hosted, restart, qwen_home):
    change(qwen_home, "UPDATE purchase SET state = 'completed', outputs = '{' WHERE id = 2")
    before = len(hosted.submits)
    restart()
    cells = list(qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256"))
    assert [cell.state for cell in cells] == ["stored"] * 3
    assert len(hosted.submits) == before


@pytest.mark.parametrize("text", ["ten", "NaN", "-1", "1e999999", "Infinity"])
def test_a_budget_that_cannot_be_read_buys_nothing(text, made, hosted, restart, qwen_home):
    change(qwen_home, f"UPDATE setting SET value = '{text}' WHERE name = 'budget'")
    before = len(hosted.submits)
    restart()
    with pytest.raises(BudgetError, match="damaged") as caught:
        qw.generate("another fox", seeds=1, sizes="256x256")
    assert "%qwen budget 10" in caught.value.next_step
    assert len(hosted.submits) == before
    assert any("%qwen budget 10" in line for line in account.status_lines())
    studio().set_budget(10)
    qw.generate("another fox", seeds=1, sizes="256x256")
    assert len(hosted.submits) == before + 1


def test_an_errors_kind_is_looked_up_in_a_closed_table():
    for kind in ("Path", "clean", "re", "__loader__", "Literal", ["QwenError"], None):
        import json

        text = json.dumps(
            {"kind": kind, "message": "x", "paid": "no", "next_step": "", "prediction_id": None}
        )
        with pytest.raises((KeyError, TypeError)):
            load_error(text)


def test_a_lease_that_ends_in_a_thousand_years_holds_nothing_up(made, hosted, restart, qwen_home):
    change(
        qwen_home,
        "UPDATE purchase SET state = 'submitted', owner = '1:another-boot:x', lease_until = 30000000000.0 WHERE id = 2",
    )
    before = len(hosted.submits)
    restart()
    cells = list(qw.generate("\n\n".join(PROMPTS), seeds=1, sizes="256x256"))
    assert [cell.state for cell in cells] == ["stored"] * 3
    assert len(hosted.submits) == before


def test_a_price_that_is_text_is_guessed_by_the_model(made, restart, qwen_home):
    change(qwen_home, "UPDATE purchase SET price = 'much' WHERE id = 2")
    restart()
    spent = studio().ledger().wait(lambda db: db.spent_since(0.0))
    assert 0.05 < float(spent) < 0.1


def test_a_damaged_run_is_one_sentence(made, restart, qwen_home):
    change(qwen_home, "UPDATE run SET sweep = '{'")
    restart()
    with pytest.raises(QwenError, match="damaged and can't be read"):
        archive.grid(made)


def test_a_copy_of_damaged_rows_is_still_made(made, restart, qwen_home):
    (qwen_home / COPY).unlink()
    (qwen_home / LOG).unlink()
    change(qwen_home, "UPDATE purchase SET price = 'much', prompt = x'ff' WHERE id = 2")
    ledger = Ledger(qwen_home)
    ledger.copy().result()
    ledger.close()
    assert (qwen_home / COPY).exists()
