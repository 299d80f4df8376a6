"""The archive: history, a run's grid had again, resume and forget, the day's budget."""

from __future__ import annotations

import pytest
from contract import KEY, ContractServer

import qwen_widgets as qw
from qwen_widgets import account, archive, settings
from qwen_widgets.core.errors import BudgetError, InputError, SettingsError
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch, contract_server: ContractServer) -> ContractServer:
    """A studio of this test's own behind qw.generate, with a key and a server that speaks the contract."""
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings()))
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    return contract_server


def restart(monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A new studio on the same home, as after the kernel's restart."""
    studio = Studio(Settings())
    monkeypatch.setattr("qwen_widgets.studio._default", studio)
    return studio


def test_the_history_lists_what_was_bought(hosted: ContractServer) -> None:
    qw.generate("a red fox\n\na 50%_cat", seeds="1-2", sizes="256x256")
    assert len(qw.history()) == 4
    table = qw.history("fox")
    assert list(table["prompt"]) == ["a red fox", "a red fox"]
    assert list(table["cost"]) == [0.03, 0.03]
    assert set(table["state"]) == {"stored"}
    assert len(qw.history("50%_")) == 2
    assert len(qw.history("50%x")) == 0
    (first, *_) = archive.history_lines("fox")
    assert "$0.03" in first
    assert archive.history_lines("nothing like it") == ["The ledger has nothing with 'nothing like it'."]


def test_a_grid_is_had_again_by_its_run_after_a_restart(
    hosted: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = qw.generate("a {red|blue} fox", seeds="1-2", sizes="256x256", title="foxes")
    restart(monkeypatch)
    asked = len(hosted.asked)
    again = qw.grid(grid.run_id)
    assert again.title == "foxes"
    assert again.shape == (2, 2)
    assert [cell.path for cell in again] == [cell.path for cell in grid]
    assert len(hosted.asked) == asked
    again.add(seeds="3")
    assert len(hosted.submits) == 6
    with pytest.raises(InputError, match="no such run"):
        qw.grid("nonsense")


def test_restart_and_run_all_sends_no_submit(hosted: ContractServer, monkeypatch: pytest.MonkeyPatch) -> None:
    qw.generate("a red fox", seeds="1-3", sizes="256x256")
    restart(monkeypatch)
    grid = qw.generate("a red fox", seeds="1-3", sizes="256x256")
    assert [cell.cached for cell in grid] == [True] * 3
    assert grid.cost == 0
    assert len(hosted.submits) == 3


def test_a_days_budget_stops_a_run_before_anything_is_bought(hosted: ContractServer) -> None:
    studio = archive.studio()
    studio.set_budget(0.05)
    with pytest.raises(BudgetError, match=r"would cost \$0\.06.*budget of \$0\.05"):
        qw.generate("a red fox", seeds="1-2", sizes="256x256")
    assert hosted.submits == []
    qw.generate("a red fox", seeds="1", sizes="256x256")
    assert account.budget_lines() == ["$0.03 spent today; a day may cost $0.05."]
    with pytest.raises(BudgetError):
        qw.generate("a red fox", seeds="2", sizes="256x256")
    studio.set_budget(None)
    qw.generate("a red fox", seeds="2", sizes="256x256")
    assert len(hosted.submits) == 2


def test_nothing_to_resume_is_said(hosted: ContractServer) -> None:
    assert archive.resume() is None
    assert archive.forget("all") == 0
    with pytest.raises(InputError, match="nothing waits"):
        archive.forget("7")


def test_a_key_is_found_in_the_systems_keyring_and_kept_there(
    monkeypatch: pytest.MonkeyPatch, contract_server: ContractServer
) -> None:
    kept: dict[tuple[str, str], str] = {}

    class Keyring:
        @staticmethod
        def get_password(service: str, name: str) -> str | None:
            return kept.get((service, name))

        @staticmethod
        def set_password(service: str, name: str, text: str) -> None:
            kept[service, name] = text

    monkeypatch.setattr("qwen_widgets.settings.keyring", Keyring)
    monkeypatch.setenv("QWEN_WIDGETS_BASE_URL", contract_server.base_url)
    settings._from_keyring.cache_clear()
    studio = restart(monkeypatch)
    assert studio.provider().offline
    studio.save_key(KEY)
    assert list(kept.values()) == [KEY]
    studio = restart(monkeypatch)
    assert studio.find_key()[1] == "keyring"
    qw.generate("a red fox", seeds=1, sizes="256x256")
    assert len(contract_server.submits) == 1
    settings._from_keyring.cache_clear()
    monkeypatch.setattr("qwen_widgets.settings.keyring", None)
    with pytest.raises(SettingsError, match="keyring can't be used"):
        studio.save_key(KEY)


def test_two_grids_of_one_run_that_both_grow_lose_nothing(
    hosted: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = qw.generate("a red fox", seeds="1-2", sizes="256x256", title="foxes")
    restart(monkeypatch)
    one, other = qw.grid(made.run_id), qw.grid(made.run_id)
    one.add(prompts="a blue fox")
    one[1, 0].rating = 5
    # What the other one asks for stands behind, so that the five stars stay with the blue fox.
    other.add(prompts="a green fox")
    assert other.prompts == ("a red fox", "a blue fox", "a green fox")
    assert {cell.state for cell in other} == {"stored"}
    assert [other[1, 0].path, other[2, 0].request.prompt] == [one[1, 0].path, "a green fox"]
    one.add(seeds="3")
    assert len(hosted.submits) == 2 + 2 + 2 + 2
    restart(monkeypatch)
    again = qw.grid(made.run_id)
    assert again.prompts == ("a red fox", "a blue fox", "a green fox")
    assert again.seeds == (1, 2, 3)
    assert len(again) == 8
    assert {cell.state for cell in again} == {"stored"}
    assert [cell.request.prompt for cell in again if cell.rating] == ["a blue fox"]


def test_two_grids_of_one_run_keep_each_others_choices(hosted: ContractServer) -> None:
    made = qw.generate("a red fox", seeds="1-3", sizes="256x256")
    other = qw.grid(made.run_id)
    made[0, 0].rating = 5
    other[0, 1].mark = "keep"
    assert (other[0, 0].rating, other[0, 1].mark) == (5, "keep")
    made[0, 0].rating = 0
    again = qw.grid(made.run_id)
    assert [(cell.rating, cell.mark) for cell in again] == [(0, ""), (0, "keep"), (0, "")]
    assert made[0, 1].mark == "keep"


def test_one_grid_alone_keeps_its_places_when_its_rows_are_written_again(hosted: ContractServer) -> None:
    grid = qw.generate("a {red|blue} fox", seeds="1-2", sizes="256x256")
    grid.add(seeds="3")
    grid.add(prompts="a green fox")
    assert [cell.request.prompt for cell in grid][::3] == ["a red fox", "a blue fox", "a green fox"]
    assert qw.grid(grid.run_id).sweep.requests.keys() == grid.sweep.requests.keys()
    assert len(hosted.submits) == 9


def test_a_home_folder_that_is_not_there_is_one_sentence(qwen_home, monkeypatch):
    with pytest.raises(
        InputError, match=r"^read '~nobody-here/a.png': there is no home folder ~nobody-here\.$"
    ):
        qw.read("~nobody-here/a.png")
    monkeypatch.setenv("QWEN_WIDGETS_HOME", "~nobody-here/qwen")
    with pytest.raises(InputError, match=r"^QWEN_WIDGETS_HOME '~nobody-here/qwen': there is no home folder"):
        qw.history()


@pytest.mark.parametrize("way", ["save", "to_zip", "to_html"])
def test_a_grid_is_not_saved_into_a_home_folder_that_is_not_there(qwen_home, way):
    grid = qw.generate("a fox", seeds="1", sizes="256x256")
    with pytest.raises(
        InputError, match=rf"^{way} '~nobody-here/x': there is no home folder ~nobody-here\.$"
    ):
        getattr(grid, way)("~nobody-here/x")
