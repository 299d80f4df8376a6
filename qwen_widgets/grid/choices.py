"""Choices: what a person thinks of the pictures. Kept, rejected, stars, votes in blind pairs; and who wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from qwen_widgets.core import reading

Verdict = Literal["", "keep", "reject"]
VERDICTS: tuple[Verdict, ...] = ("", "keep", "reject")
MOST_STARS = 5
#: Ids of votes are drawn by the page, below this.
_MOST_ID = 2**53


@dataclass(frozen=True, slots=True)
class Choice:
    """What was said of one picture: 1 to 5 stars (0: none), kept or rejected."""

    stars: int = 0
    mark: Verdict = ""


@dataclass(frozen=True, slots=True)
class Vote:
    """One blind pair: two rows' pictures of the same column, and the row that won (None: a tie)."""

    id: int
    column: int
    one: int
    other: int
    winner: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One row's line of the win table."""

    row: int
    wins: int
    ties: int
    losses: int

    @property
    def share(self) -> float:
        """Wins among the pairs it was in, 0 to 1; a tie is half a win."""
        return (self.wins + self.ties / 2) / max(1, self.wins + self.ties + self.losses)


@dataclass(frozen=True)
class Choices:
    """All choices of one grid, by row and column. A value: each change makes a new one."""

    cells: Mapping[tuple[int, int], Choice] = field(default_factory=lambda: MappingProxyType({}))
    votes: tuple[Vote, ...] = ()

    def __getitem__(self, place: tuple[int, int]) -> Choice:
        """Return the choice of a row and a column, an empty one where nothing was said."""
        return self.cells.get(place, Choice())

    def with_stars(self, row: int, column: int, stars: int) -> Choices:
        """Give stars, 1 to 5; 0 takes them back."""
        stars = reading.whole("rating", stars, least=0, most=MOST_STARS)
        return self._with(row, column, replace(self[row, column], stars=stars))

    def with_mark(self, row: int, column: int, mark: Verdict) -> Choices:
        """Keep or reject; an empty text takes it back."""
        verdict = reading.choice("mark", mark, VERDICTS)
        return self._with(row, column, replace(self[row, column], mark=verdict))

    def with_vote(self, vote: Vote) -> Choices:
        """Count a vote; one that is counted already is counted once."""
        if any(known.id == vote.id for known in self.votes):
            return self
        return replace(self, votes=(*self.votes, vote))

    def over(self, before: Choices, others: Choices) -> Choices:
        """Return others' choices and, on top of them, what has changed from `before` to these."""
        cells = dict(others.cells)
        cells |= {
            place: self[place] for place in {*before.cells, *self.cells} if self[place] != before[place]
        }
        known, dropped = ({vote.id for vote in votes} for votes in (others.votes, before.votes))
        dropped -= {vote.id for vote in self.votes}
        votes = (*others.votes, *(vote for vote in self.votes if vote.id not in known))
        return Choices(
            MappingProxyType({place: choice for place, choice in cells.items() if choice != Choice()}),
            tuple(vote for vote in votes if vote.id not in dropped),
        )

    def _with(self, row: int, column: int, choice: Choice) -> Choices:
        cells = {**self.cells, (row, column): choice}
        if choice == Choice():
            del cells[row, column]
        return replace(self, cells=MappingProxyType(cells))

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dicts, fit for JSON; the places as ``row,column``."""
        return {
            "cells": {
                f"{row},{column}": {"stars": choice.stars, "mark": choice.mark}
                for (row, column), choice in self.cells.items()
            },
            "votes": [
                {
                    "id": vote.id,
                    "column": vote.column,
                    "one": vote.one,
                    "other": vote.other,
                    "winner": -1 if vote.winner is None else vote.winner,
                }
                for vote in self.votes
            ],
        }


def read_choices(values: Mapping[str, Any]) -> Choices:
    """Return the choices that `Choices.to_json` has written."""
    cells = {
        (int(row), int(column)): Choice(one["stars"], one["mark"])
        for place, one in values["cells"].items()
        for row, column in [place.split(",")]
    }
    votes = (
        Vote(
            one["id"], one["column"], one["one"], one["other"], None if one["winner"] == -1 else one["winner"]
        )
        for one in values["votes"]
    )
    return Choices(MappingProxyType(cells), tuple(votes))


def win_table(votes: Iterable[Vote]) -> tuple[Standing, ...]:
    """Return every row that was voted on, the best first; equal ones in the order of the grid."""
    counts: dict[int, list[int]] = {}
    for vote in votes:
        for row in (vote.one, vote.other):
            count = counts.setdefault(row, [0, 0, 0])
            count[1 if vote.winner is None else (0 if vote.winner == row else 2)] += 1
    found = (Standing(row, *count) for row, count in counts.items())
    return tuple(sorted(found, key=lambda standing: (-standing.share, standing.row)))


def is_whole(value: object, most: int) -> TypeGuard[int]:
    """Whether a foreign value is a whole number from 0 to `most`; True and 1.0 are none."""
    return type(value) is int and 0 <= value <= most


def read_vote(content: Mapping[str, object], rows: int, columns: int) -> Vote | None:
    """Read a vote from a message of the page, None where anything about it is wrong."""
    if set(content) != {"type", "id", "column", "one", "other", "winner"}:
        return None
    number, column, one, other = (content[name] for name in ("id", "column", "one", "other"))
    winner = content["winner"]
    if not (
        is_whole(number, _MOST_ID)
        and is_whole(column, columns - 1)
        and is_whole(one, rows - 1)
        and is_whole(other, rows - 1)
        and type(winner) is int
        and one != other
        and winner in (one, other, -1)
    ):
        return None
    return Vote(number, column, one, other, None if winner == -1 else winner)
