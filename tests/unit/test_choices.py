"""Choices: stars, marks and votes as values, and what a page's message may say."""

from __future__ import annotations

import json

import pytest

from qwen_widgets.grid.choices import Choice, Choices, Standing, Vote, read_vote, win_table

VOTE = {"type": "vote", "id": 7, "column": 0, "one": 0, "other": 1, "winner": 1}


def test_a_choice_is_a_new_value_and_taking_it_back_leaves_nothing():
    empty = Choices()
    some = empty.with_stars(0, 1, 4).with_mark(0, 1, "keep")
    assert some[0, 1] == Choice(4, "keep")
    assert empty[0, 1] == Choice()
    assert some.with_stars(0, 1, 0).with_mark(0, 1, "") == empty


@pytest.mark.parametrize("stars", [-1, 6, True, 2.5, "3", None])
def test_stars_are_whole_and_at_most_five(stars):
    with pytest.raises(ValueError, match="0 to 5"):
        Choices().with_stars(0, 0, stars)


def test_a_mark_is_one_of_three():
    with pytest.raises(ValueError, match="keep, reject or empty"):
        Choices().with_mark(0, 0, "love")  # type: ignore[arg-type]


def test_a_vote_counts_once():
    vote = Vote(7, 0, 0, 1, 1)
    assert Choices().with_vote(vote).with_vote(vote).votes == (vote,)


def test_the_win_table_has_the_best_first_and_a_tie_is_half_a_win():
    votes = [Vote(1, 0, 0, 1, 0), Vote(2, 1, 0, 1, 0), Vote(3, 0, 1, 2, None), Vote(4, 1, 0, 2, 2)]
    assert win_table(votes) == (Standing(2, 1, 1, 0), Standing(0, 2, 0, 1), Standing(1, 0, 1, 2))
    assert [round(line.share, 2) for line in win_table(votes)] == [0.75, 0.67, 0.17]
    assert win_table([]) == ()


def test_it_goes_through_json():
    choices = Choices().with_stars(2, 10, 3).with_vote(Vote(7, 0, 0, 1, None))
    assert json.loads(json.dumps(choices.to_json())) == {
        "cells": {"2,10": {"stars": 3, "mark": ""}},
        "votes": [{"id": 7, "column": 0, "one": 0, "other": 1, "winner": -1}],
    }


def test_a_vote_is_read_from_a_message():
    assert read_vote(VOTE, 2, 1) == Vote(7, 0, 0, 1, 1)
    assert read_vote({**VOTE, "winner": -1}, 2, 1) == Vote(7, 0, 0, 1, None)


@pytest.mark.parametrize(
    "change",
    [
        {"id": -1},
        {"id": 2**60},
        {"id": "7"},
        {"column": 1},
        {"column": True},
        {"one": 2},
        {"other": -1},
        {"other": 0},
        {"winner": 2},
        {"winner": None},
        {"winner": 1.0},
        {"more": 1},
    ],
)
def test_a_vote_that_cannot_be_is_none(change):
    assert read_vote({**VOTE, **change}, 2, 1) is None


def test_changes_go_on_top_of_others_choices():
    before = Choices().with_stars(0, 0, 3).with_vote(Vote(1, 0, 0, 1, 0))
    others = before.with_mark(0, 0, "keep").with_stars(1, 1, 2).with_vote(Vote(2, 0, 0, 1, None))
    mine = before.with_stars(0, 1, 5).with_vote(Vote(3, 0, 0, 1, 1))
    both = mine.over(before, others)
    assert both.cells == {(0, 0): Choice(3, "keep"), (1, 1): Choice(2), (0, 1): Choice(5)}
    assert [vote.id for vote in both.votes] == [1, 2, 3]
    assert Choices().over(before, others) == Choices().with_stars(1, 1, 2).with_vote(Vote(2, 0, 0, 1, None))
    assert both.over(both, both) == both
