"""A forked process works as one of its own, or says in a sentence what to do; it never hangs, nor ends what is the parent's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
HERE = Path(__file__).parent


@pytest.fixture
def forked(tmp_path: Path, child_env: Callable[..., dict[str, str]]) -> Callable[[str], Any]:
    """Run a case of fork_child.py in a process of its own; a hang fails."""

    def run(case: str) -> Any:
        env = child_env(tmp_path, extra={"QWEN_WIDGETS_PROVIDER": "offline"})
        done = subprocess.run(
            [sys.executable, str(HERE / "fork_child.py"), case],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_child_uses_what_its_parent_has_made_and_makes_more(forked: Callable[[str], Any]) -> None:
    child, after, rows = forked("idle")
    assert child == [
        256, 2, ["stored"] * 2, ["stored"] * 3, ["stored"] * 4, [True, True, True, False],
    ]  # fmt: skip
    # The parent goes on, and finds what the child has made.
    assert after == ["stored"] * 2
    assert rows == 5


def test_a_child_of_a_process_that_has_done_nothing_yet(forked: Callable[[str], Any]) -> None:
    assert forked("fresh") == [["stored"] * 2] * 2


def test_a_run_that_goes_on_in_the_parent_is_not_waited_for_in_vain(forked: Callable[[str], Any]) -> None:
    (said, done, cats, foxes), parents, bought = forked("running")
    assert all("goes on in the process that this one was forked from; qw.grid('" in text for text in said[:3])
    assert "there is no picture yet" in said[3]
    assert done is True
    assert cats == ["stored"] * 2
    assert foxes == ["stored"] * 3
    assert parents == ["stored"] * 3
    assert bought == 3


def test_a_lock_that_another_thread_holds_and_a_transaction_are_not_the_childs(
    forked: Callable[[str], Any],
) -> None:
    (half, more, cats), after, dogs = forked("locked")
    # The fork waited for the transaction, so that there are no two ends of it.
    assert half == after == "2"
    assert more == ["stored"] * 3
    assert cats == dogs == ["stored"] * 2


def test_each_forked_process_has_claims_of_its_own(forked: Callable[[str], Any]) -> None:
    owners, mine_is_dead, theirs_is_dead, pooled, rows = forked("several")
    assert owners == 3
    assert not mine_is_dead
    assert theirs_is_dead
    assert pooled == [["stored"]] * 8
    assert rows == 5


def test_a_child_that_ends_as_a_program_leaves_the_parent_as_it_was(forked: Callable[[str], Any]) -> None:
    assert forked("ends") == [0, ["stored"] * 2, ["stored"] * 3]
