"""Marks between prompts: what is joined gives the prompt again, and what is marked is what differs."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_widgets.grid.marks import brief, mark

FIRST = "a red boat on a mountain lake at sunset"
# Few words, so that prompts have much in common; blanks and stops where nobody expects them.
WORDS = st.lists(
    st.sampled_from(
        ["a", "red", "boat", "lake", "at", " ", "  ", "\n", ",", ", ", "(", "狐", "狸", "的", "👩‍🚀", "é"]
    )
).map(" ".join)
TEXTS = WORDS | st.text(max_size=60) | st.text(alphabet="一二三 ab,", max_size=60)


def shown(parts):
    return "".join(text for kind, text in parts if kind != "dropped")


def of(kind, parts):
    return [text.strip() for which, text in parts if which == kind]


@given(prompt=TEXTS, against=TEXTS)
def test_the_same_and_the_added_runs_give_the_prompt_exactly(prompt, against):
    assert shown(mark(prompt, against)) == prompt


@given(prompt=TEXTS, against=TEXTS)
def test_runs_are_never_empty_and_never_two_of_a_kind_in_a_row(prompt, against):
    parts = mark(prompt, against)
    assert all(text for _, text in parts)
    assert all(one[0] != other[0] for one, other in pairwise(parts))


@given(prompt=TEXTS)
def test_a_prompt_against_itself_is_all_the_same(prompt):
    assert mark(prompt, prompt) == ((("same", prompt),) if prompt else ())


def test_dropped_words_stand_behind_what_was_added_in_their_place():
    assert mark("a red boat on a mountain lake in autumn", FIRST) == (
        ("same", "a red boat on a mountain lake "),
        ("added", "in autumn"),
        ("dropped", " at sunset"),
    )


def test_replaced_words_in_the_middle_read_well_with_their_blanks():
    parts = mark("a blue boat on a mountain lake at night", FIRST)
    assert of("added", parts) == ["blue", "night"]
    assert of("dropped", parts) == ["red", "sunset"]
    assert "".join(text for _, text in parts) == "a blue red boat on a mountain lake at night sunset"


@pytest.mark.parametrize(
    ("prompt", "added", "dropped"),
    [
        ("a boat on a mountain lake at sunset", [], ["red"]),
        ("boat on a mountain lake at sunset", [], ["a red"]),
        ("a red wooden boat on a mountain lake at sunset", ["wooden"], []),
        (FIRST + ", golden hour", [", golden hour"], []),
        (FIRST.replace("sunset", "sunset!"), ["!"], []),
    ],
)
def test_only_what_differs_is_marked(prompt, added, dropped):
    parts = mark(prompt, FIRST)
    assert of("added", parts) == added
    assert of("dropped", parts) == dropped


def test_chinese_is_compared_character_by_character():
    parts = mark("一只蓝色的狐狸在雪地里", "一只红色的狐狸在雪地里")
    assert parts == (("same", "一只"), ("added", "蓝"), ("dropped", "红"), ("same", "色的狐狸在雪地里"))


def test_a_joined_emoji_stays_whole():
    assert of("added", mark("a portrait of 👩‍🚀 at night", "a portrait of 👩 at night")) == ["👩‍🚀"]


def test_a_different_prompt_is_not_marked_at_all():
    prompt = "macro photograph of frost on a window pane"
    assert mark(prompt, FIRST) == (("same", prompt),)


@pytest.mark.parametrize(
    ("prompt", "against"),
    [
        ("一" * 799 + "二", "二" + "一" * 799),
        ("a," * 400, ",a" * 400),
        ("一二三四" * 200, "四三二一" * 200),
        (
            "".join(chr(0x4E00 + i * 7 % 23) for i in range(800)),
            "".join(chr(0x4E00 + i * 5 % 23) for i in range(800)),
        ),
    ],
)
def test_the_longest_prompts_are_marked_in_no_time(prompt, against):
    begun = time.process_time()
    assert shown(mark(prompt, against)) == prompt
    assert time.process_time() - begun < 1


def test_a_short_prompt_is_shown_in_full():
    parts = mark("a blue boat on a mountain lake at night", FIRST)
    assert brief(parts) == parts


def test_of_a_long_prompt_what_differs_stays_in_sight():
    long = FIRST + ", soft light over calm water" * 20
    parts = brief(mark(long.replace("calm water, soft", "thick fog, soft", 1), long))
    assert of("added", parts) == ["thick fog"]
    assert of("dropped", parts) == ["calm water"]
    assert sum(len(text) for _, text in parts) < 160
    assert parts[0][1].startswith("a red boat")


@given(prompt=TEXTS, against=TEXTS, room=st.integers(20, 80))
def test_brief_leaves_the_marked_runs_alone(prompt, against, room):
    parts = mark(prompt, against)
    cut = brief(parts, room)
    assert [part for part in cut if part[0] != "same"] == [part for part in parts if part[0] != "same"]
    assert len(cut) == len(parts)
