"""Seeds and sizes as people type them: what is read, and the one sentence where it can't be."""

from __future__ import annotations

import random
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import drawing, sentence

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import DEFAULT_MODEL, HIGHEST_SEED, PRESETS, Model, Size
from qwen_widgets.core.syntax import (
    DEFAULT_CAP,
    draw_seed,
    parse_prompts,
    parse_seeds,
    parse_sizes,
    size_for_ratio,
)

# --- seeds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("1,7,11", [1, 7, 11]),
        ("1-4", [1, 2, 3, 4]),
        ("1-10 (+3)", [1, 4, 7, 10]),
        ("1-10(3)", [1, 4, 7, 10]),
        ("1-9 (+3)", [1, 4, 7]),
        ("10-1 (-3)", [10, 7, 4, 1]),
        ("5-1", [5, 4, 3, 2, 1]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),
        ("10-20 [3]", [10, 15, 20]),
        ("10-1 [5]", [10, 7, 5, 3, 1]),
        ("1-10 [1]", [1]),
        ("5-5 [3]", [5]),
        ("3-3", [3]),
        ("1, 2, .., 6", [1, 2, 3, 4, 5, 6]),
        ("1, 2, ..., 6", [1, 2, 3, 4, 5, 6]),
        ("1, 2, …, 6", [1, 2, 3, 4, 5, 6]),
        ("1, .., 6", [1, 2, 3, 4, 5, 6]),
        ("6, .., 3", [6, 5, 4, 3]),
        ("1, 3, .., 8", [1, 3, 5, 7]),
        ("9, 6, .., 0", [9, 6, 3, 0]),
        ("1, 2, .., 4, 6, .., 10", [1, 2, 3, 4, 6, 8, 10]),
        ("1-10 [4], .., 16", [1, 4, 7, 10, 13, 16]),
        ("1, 2, .., 2", [1, 2]),
        ("1-3, 7, 10-20 [3]", [1, 2, 3, 7, 10, 15, 20]),
        (" 1 - 4 ,\t7\n", [1, 2, 3, 4, 7]),
        ("1–4", [1, 2, 3, 4]),
        ("1—4", [1, 2, 3, 4]),
        ("4−1 (−2)", [4, 2]),
        ("1, 2,", [1, 2]),
        ("007", [7]),
        ("0" * 6000 + "7", [7]),
        ("0, 2147483647", [0, HIGHEST_SEED]),
    ],
)
def test_a_list_of_seeds_is_read_as_it_is_spelled(text, seeds):
    assert parse_seeds(text, draw=drawing()).values == tuple(seeds)
    assert parse_seeds(text, draw=drawing()).notes == ()


@given(
    start=st.integers(0, HIGHEST_SEED), span=st.integers(-(10**6), 10**6), count=st.integers(1, DEFAULT_CAP)
)
def test_a_spread_is_that_of_numpy_truncated(start, span, count):
    stop = min(max(start + span, 0), HIGHEST_SEED)
    seeds = parse_seeds(f"{start}-{stop} [{count}]").values
    # Where numpy's float falls just short of a whole number, the exact value is that number.
    points = np.linspace(start, stop, count)
    assert seeds == tuple(dict.fromkeys(int(point + 1e-6) for point in points))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("random", [50]),
        ("random*4", [50, 51, 52, 53]),
        ("RANDOM * 2", [50, 51]),
        ("-1", [50]),
        ("–1", [50]),
        ("-1, 3, random*2", [50, 3, 51, 52]),
        ("random, 5, .., 7", [50, 5, 6, 7]),
    ],
)
def test_random_seeds_are_drawn_here(text, seeds):
    assert parse_seeds(text, draw=drawing(*range(50, 60))).values == tuple(seeds)


def test_a_drawn_seed_that_is_there_already_is_drawn_again():
    seeds = parse_seeds("random*2, 7", draw=drawing(7, 9, 9, 7, 8))
    assert seeds.values == (9, 8, 7)
    assert seeds.notes == ()


def test_a_draw_that_gives_nothing_new_ends_in_a_note():
    seeds = parse_seeds("random*3", draw=lambda: 4)
    assert seeds.values == (4,)
    assert seeds.notes == ("seed 4 is given more than once; it is kept once.",)


def test_drawing_takes_the_whole_range_and_leaves_the_random_module_alone():
    state = random.getstate()
    drawn = {draw_seed() for _ in range(200)}
    assert random.getstate() == state
    assert len(drawn) > 190
    assert min(drawn) >= 0
    assert HIGHEST_SEED // 2 < max(drawn) <= HIGHEST_SEED


@pytest.mark.parametrize(
    ("text", "seeds", "note"),
    [
        ("3, 1-4", (3, 1, 2, 4), "seed 3 is given more than once; it is kept once."),
        ("3, 3, 3", (3,), "seed 3 is given more than once; it is kept once."),
        ("1-3 [5]", (1, 2, 3), "2 seeds are given more than once (1, 2); each is kept once."),
        ("1-5, 1-5", (1, 2, 3, 4, 5), "5 seeds are given more than once (1, 2, 3, …); each is kept once."),
    ],
)
def test_duplicate_seeds_are_dropped_with_a_note(text, seeds, note):
    assert parse_seeds(text).values == seeds
    assert parse_seeds(text).notes == (note,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1-4, x", "seeds '1-4, x': 'x' at character 6 is not a number"),
        ("1.5", "'1.5' at character 1 is not a number"),
        ("²", "'²' at character 1 is not a number"),
        ("1, ١", "'١' at character 4 is not a number"),
        ("1 2", "'1 2' at character 1 is not a number, a range such as 1-4, or random*2; put a comma"),
        ("+5", "'+5' at character 1 is not a number"),
        ("1-2-3", "is not a number"),
        ("1--4", "is not a number"),
        ("1-4 [3", "is not a number"),
        ("5 [3]", "is not a number"),
        ("randoms", "is not a number"),
        ("4*random", "is not a number"),
        ("-1*4", "is not a number"),
        ("\ud800", r"'\ud800' at character 1 is not a number"),
        ("7\0", r"'7\x00' at character 1 is not a number"),
        ("1\u202e", r"'1\u202e' at character 1 is not a number"),
        ("-5", "'-5' at character 1 is out of range; a seed is 0 to 2147483647, or -1 for a random one"),
        ("1, 2147483648", "'2147483648' at character 4 is out of range"),
        ("0-2147483648", "is out of range"),
        ("9" * 5000, "is out of range"),
        ("-" + "9" * 5000, "is out of range"),
        ("1, .., 2147483648", "is out of range"),
        ("1,,2", "seeds '1,,2': ',' at character 3 has nothing before it"),
        (", 1", "',' at character 1 has nothing before it"),
        ("1,,", "',' at character 3 has nothing before it"),
        (",", "has nothing before it"),
        ("", "seeds: nothing is given; write for example 1-4 or random*2"),
        (" \n", "seeds: nothing is given"),
        ("1-10 (0)", "has a step of 0"),
        ("1-10 (-3)", "'1-10 (-3)' at character 1 has a step in the wrong direction; write (+3)"),
        ("10-1 (+3)", "has a step in the wrong direction; write (-3)"),
        ("10-1 (3)", "has a step in the wrong direction; write (-3)"),
        ("1-10 [0]", "asks for no seed"),
        ("random*0", "asks for no seed"),
        ("1, 1, .., 4", "'..' at character 7 has a step of 0"),
        ("5, 6, .., 1", "'1' at character 11 lies in the wrong direction; from 6 the step is +1"),
        (".., 4", "'..' at character 1 needs a number before it"),
        ("random, .., 4", "'..' at character 9 needs a number before it"),
        ("1, .., .., 4", "'..' at character 8 needs a number before it"),
        ("1, 2, …", "'…' at character 7 needs a number after it"),
        ("1, 2, .., 5-7", "'5-7' at character 11 is not a plain number"),
        ("1, 2, .., random", "is not a plain number"),
    ],
)
def test_a_fault_in_seeds_is_one_sentence_with_the_place(text, message):
    with pytest.raises(InputError) as caught:
        parse_seeds(text, draw=drawing())
    assert message in sentence(caught)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1-1001", "1,001"),
        ("1-1000000000", "1,000,000,000"),
        ("random*999999999", "999,999,999"),
        ("random*" + "9" * 5000, "more than 1,000,000,000,000,000"),
        ("1-10 [999999999]", "999,999,999"),
        ("1-10 [" + "9" * 5000 + "]", "more than 1,000,000,000,000,000"),
        ("0, .., 2147483647", "2,147,483,648"),
        ("1-600, 1-600", "1,200"),
        ("4," * 5000, "1,001"),
    ],
)
def test_too_many_seeds_are_counted_and_not_built(text, count):
    with pytest.raises(InputError) as caught:
        parse_seeds(text, draw=drawing())
    assert f"makes it {count} seeds, and the cap is 1,000" in sentence(caught)


def test_the_cap_of_seeds_can_be_raised_and_lowered():
    assert len(parse_seeds("1-1000").values) == DEFAULT_CAP
    assert len(parse_seeds("1-2000", cap=2000).values) == 2000
    with pytest.raises(InputError, match="'3-4' at character 6 makes it 4 seeds, and the cap is 3"):
        parse_seeds("1-2, 3-4", cap=3)


def test_the_place_is_shown_in_a_long_text_too():
    with pytest.raises(InputError, match=r"seeds '….* x, .*…': 'x' at character 901 is not") as caught:
        parse_seeds("1, " * 300 + "x" + ", 1" * 300)
    assert len(sentence(caught)) < 200


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        *((ratio, [size]) for ratio, size in PRESETS.items()),
        ("1280x720", [(1280, 720)]),
        ("1280X720", [(1280, 720)]),
        ("1280*720", [(1280, 720)]),
        ("1280×720", [(1280, 720)]),
        (" 16 : 9 , 1280 × 700,", [(1280, 720), (1280, 700)]),
        ("1:1, 16:9", [(1024, 1024), (1280, 720)]),
        ("256x1536", [(256, 1536)]),
        ("257x1535", [(257, 1535)]),  # pixels need not be multiples of 16
    ],
)
def test_a_list_of_sizes_is_read_as_it_is_spelled(text, sizes):
    assert parse_sizes(text).values == tuple(sizes)
    assert parse_sizes(text).notes == ()
    assert all(isinstance(size, Size) for size in parse_sizes(text).values)


def test_equal_sizes_are_kept_once_with_a_note():
    sizes = parse_sizes("16:9, 1280x720, 1:1")
    assert sizes.values == ((1280, 720), (1024, 1024))
    assert sizes.notes == ("size 1280×720 is given more than once; it is kept once.",)


@pytest.mark.parametrize("ratio", PRESETS)
def test_the_presets_are_what_their_ratio_computes_to(ratio):
    width, height = map(int, ratio.split(":"))
    assert size_for_ratio(width, height, model=DEFAULT_MODEL) == PRESETS[ratio]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [
        ("5:4", (1120, 896)),
        ("4:5", (896, 1120)),
        ("2:1", (1440, 720)),
        ("21:9", (1456, 624)),
        ("32:18", (1280, 720)),
        ("4:1", (1536, 384)),
        ("6:1", (1536, 256)),
        ("1:6", (256, 1536)),
        ("59:10", (1504, 256)),
    ],
)
def test_another_ratio_is_computed_with_a_note(ratio, size):
    sizes = parse_sizes(ratio)
    assert sizes.values == (size,)
    assert sizes.notes == (f"{ratio} is {Size(*size)}, computed because it is not a preset.",)


@given(width=st.integers(1, 6000), height=st.integers(1, 6000))
def test_a_computed_size_is_true_to_its_ratio_and_within_the_limits(width, height):
    if max(width, height) > 6 * min(width, height):
        with pytest.raises(InputError, match=r"the nearest that would do is (256×1536|1536×256)"):
            size_for_ratio(width, height, model=DEFAULT_MODEL)
        return
    size = size_for_ratio(width, height, model=DEFAULT_MODEL)
    assert DEFAULT_MODEL.fits(size)
    assert size.width % 16 == size.height % 16 == 0
    assert size.width / size.height == pytest.approx(width / height, rel=0.03)
    possible = min(2**20, 1536**2 * min(width, height) / max(width, height))
    assert possible * 0.87 <= size.width * size.height <= 2**20
    assert size_for_ratio(height, width, model=DEFAULT_MODEL) == (size.height, size.width)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("2000x1000", "1536×768"),
        ("1000x2000", "768×1536"),
        ("1537x1000", "1536×992"),
        ("100x100", "256×256"),
        ("200x1000", "256×1280"),
        ("4000x100", "1536×256"),
        ("1x1000000", "256×1536"),
        ("1:1000", "256×1536"),
        ("7:1", "1536×256"),
    ],
)
def test_a_size_outside_the_limits_names_the_nearest(text, nearest):
    with pytest.raises(InputError) as caught:
        parse_sizes(f"1:1, {text}")
    assert f"sizes '1:1, {text}': '{text}' at character 6 is outside the limits of" in sentence(caught)
    assert "256 to 1536 pixels a side" in sentence(caught)
    assert sentence(caught).endswith(f"the nearest that would do is {nearest}.")
    assert parse_sizes(nearest).values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1:1, big", "sizes '1:1, big': 'big' at character 6 is not a size; write a ratio such as 16:9"),
        ("0x720", "'0x720' at character 1 is not a size"),
        ("16:0", "is not a size"),
        ("9" * 5000 + "x1", "is not a size"),
        ("9" * 5000 + ":" + "9" * 5000, "is not a size"),
        ("1280", "is not a size"),
        ("-16:9", "is not a size"),
        ("1.85:1", "is not a size"),
        ("16:9:4", "is not a size"),
        ("١٦:٩", "is not a size"),
        ("1:1,,3:4", "',' at character 5 has nothing before it"),
        ("", "sizes: nothing is given; write for example 16:9 or 1280x720"),
        ("1:1," * 1001, "1,001 sizes are given, and the cap is 1,000"),
    ],
)
def test_a_fault_in_sizes_is_one_sentence_with_the_place(text, message):
    with pytest.raises(InputError) as caught:
        parse_sizes(text)
    assert message in sentence(caught)


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-3, 4), (1, 1000)])
def test_a_ratio_that_makes_no_picture_is_an_input_error(width, height):
    with pytest.raises(InputError, match=rf"ratio {width}:{height}: it is outside the limits"):
        size_for_ratio(width, height, model=DEFAULT_MODEL)


def test_the_limits_are_those_of_the_model():
    small = Model(id="a/b", name="small", title="Small", price=Decimal(1), min_side=100, max_side=700)
    assert parse_sizes("16:9, 100x700", model=small).values == ((656, 368), (100, 700))
    with pytest.raises(InputError, match=r"limits of small, 100 to 700 pixels a side; .* is 688×688"):
        parse_sizes("1024x1024", model=small)
    assert parse_prompts("a --ar 1:1", model=small).values[0].size == (688, 688)
