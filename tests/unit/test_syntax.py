r"""What people type: every row of the specification, every fault by its sentence, and no text that gets past."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
import unicodedata
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import DEFAULT_MODEL, HIGHEST_SEED, PRESETS, Model, Size
from qwen_widgets.core.prompt_syntax import _comb, _combinations
from qwen_widgets.core.syntax import (
    DEFAULT_CAP,
    PromptText,
    draw_seed,
    expand_prompt,
    parse_prompts,
    parse_seeds,
    parse_sizes,
    size_for_ratio,
)
from qwen_widgets.core.syntax_faults import MANY

LONG = 100_000


def drawing(*seeds):
    """Give a draw that hands out these seeds, then fails."""
    left = iter(seeds)
    return lambda: next(left)


def texts(cell, **options):
    return [prompt.text for prompt in parse_prompts(cell, **options).values]


def sentence(caught):
    return check_sentence(caught.value)


def check_sentence(error):
    """Check that a message is one short line that any stream can print and no terminal obeys."""
    message = error.message
    assert error.paid == "no"
    assert message.endswith((".", "…"))
    assert len(message.splitlines()) == 1
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in message)
    assert len(message) < 500
    return message


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


# --- braces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prompts"),
    [
        ("a {red|blue} fox", ["a red fox", "a blue fox"]),
        ("{a|b} {c|d}", ["a c", "a d", "b c", "b d"]),
        ("{{a|b}|c}", ["a", "b", "c"]),
        ("{a|{b|{c|d}} e}", ["a", "b e", "c e", "d e"]),
        ("a {|very }tall fox", ["a tall fox", "a very tall fox"]),
        ("{|very }tall", ["tall", "very tall"]),
        ("a {|very} tall", ["a tall", "a very tall"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, c"]),
        ("{2$$ and $$a|b|c}", ["a and b", "a and c", "b and c"]),
        ("{1$$a|b}", ["a", "b"]),
        ("{3$$a|b|c}", ["a, b, c"]),
        ("{ 2 $$ a | b | c }", ["a, b", "a, c", "b, c"]),
        ("{2$$$$a|b}", ["ab"]),
        (r"{2$$ \| $$a|b}", ["a | b"]),
        ("{2$$a|{b|c}|d}", ["a, b", "a, c", "a, d", "b, d", "c, d"]),
        ("{2$${a|b}|c}", ["a, c", "b, c"]),
        ("{2$$a|{2$$ & $$b|c|d}}", ["a, b & c", "a, b & d", "a, c & d"]),
        ("x {2$$a|b} {c|d}", ["x a, b c", "x a, b d"]),
        ("{1-2$$a|b}", ["1-2$$a", "b"]),
        ("{x$$a|b}", ["x$$a", "b"]),
        ("{²$$a|b}", ["²$$a", "b"]),
        ("{$$a|b}", ["$$a", "b"]),
        ("{a|2$$b}", ["a", "2$$b"]),
        ("{2$$a}", ["{2$$a}"]),
        (r"\{ \} \| \\", ["{ } | \\"]),
        (r"{a\|b|\{c\}|\\}", ["a|b", "{c}", "\\"]),
        (r"\{a|b\}", ["{a|b}"]),
        (r"{a|b\}", ["{a|b}"]),
        (r"\\{a|b}", ["\\a", "\\b"]),
        (r"a\n \x \ ", [r"a\n \x \ ".strip()]),
        ("\\", ["\\"]),
        ("{a}", ["{a}"]),
        ('{"k": 1}', ['{"k": 1}']),
        ("{}", ["{}"]),
        ("a | b", ["a | b"]),
        ("{a}|{b}", ["{a}|{b}"]),
        ("{ {a} | b }", ["{a}", "b"]),
        ("{{a}|{b}}", ["{a}", "{b}"]),
        ("{{a|b}}", ["{a}", "{b}"]),
        ("a {b|c", ["a {b|c"]),
        ("a } b|c", ["a } b|c"]),
        ("{x {a|b}", ["{x a", "{x b"]),
        ("{x|y {a|b}", ["{x|y a", "{x|y b"]),
        ("{a|b}}", ["a}", "b}"]),
        ("{a|a|b}", ["a", "b"]),
        ("{a|{a|b}}", ["a", "b"]),
        ("{a|a} {b|b}", ["a b"]),
        ("{{a|a}|a}", ["a"]),
        ("{2$$a|a|b}", ["a, b"]),
        ("{2$$ a|a|b}", ["a, b"]),
        ("{|}", [""]),
        ("", [""]),
        ("  a \t\r\n b  ", ["a b"]),
        ("a\u3000\u00a0b", ["a\u3000\u00a0b"]),
        ("# a {b|c} --ar 1:1 {{d}}", ["# a b --ar 1:1 {{d}}", "# a c --ar 1:1 {{d}}"]),
    ],
)
def test_only_braces_with_a_bar_mean_something(text, prompts):
    assert expand_prompt(text) == tuple(prompts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {5$$b|c}", "prompt 'a {5$$b|c}': '{5$$b|c}' at character 3 asks for 5 of 2 different options"),
        ("{0$$a|b}", "asks for 0 of 2"),
        ("{2$$a|a}", "asks for 2 of 1 different"),
        ("{" + "9" * 5000 + "$$a|b}", "asks for more than 1,000,000,000,000,000 of 2"),
        ("{a|b}" * 10, "it makes 1,024 prompts, and the cap is 1,000"),
        ("{a|b}" * 20_000, "it makes more than 1,000,000,000,000,000 prompts"),
        ("{3$$" + "|".join(map(str, range(20))) + "}", "it makes 1,140 prompts"),
        ("{50$$" + "|".join(map(str, range(100))) + "}", "it makes more than 1,000,000,000,000,000 prompts"),
        ("{2$$" + "|".join(f"{{{n}|x{n}}}" for n in range(30)) + "}", "it makes 1,740 prompts"),
        (
            "{60$$" + "|".join(f"{{{n}|x}}" for n in range(99)) + "}",
            "more than 1,000,000,000,000,000 prompts",
        ),
        ("{" + "|".join(map(str, range(1001))) + "}", "it makes 1,001 prompts"),
        ("{a|" * 33 + "b" + "}" * 33, "is nested deeper than 32 groups"),
        ("{a|" * 24_999 + "b" + "}" * 24_999, "is nested deeper than 32 groups"),
        (
            "{500$$" + "-" * 50_000 + "$$" + "|".join(map(str, range(500))) + "}",
            "makes up to 24,951,390 char",
        ),
        ("x" * (LONG + 1), "the text has 100,001 characters, and at most 100,000 are read"),
    ],
)
def test_what_would_grow_too_large_is_said_and_not_built(text, message):
    with pytest.raises(InputError) as caught:
        expand_prompt(text)
    assert message in sentence(caught)


def test_groups_may_be_nested_32_deep():
    assert len(expand_prompt("{a|b" * 32 + "}" * 32)) == 33


@pytest.mark.parametrize(
    "text",
    [
        "{" * LONG,
        "}" * LONG,
        "{" * (LONG // 2) + "}" * (LONG // 2),
        "|" * LONG,
        "{{" * (LONG // 2),
        "x" * LONG,
    ],
)
def test_braces_without_a_bar_are_text_however_many(text):
    assert expand_prompt(text) == (text,)


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=2, max_size=4), min_size=1, max_size=4))
def test_groups_expand_to_their_product(groups):
    text = "-".join("{" + "|".join(options) + "}" for options in groups)
    expected = ["-".join(chosen) for chosen in itertools.product(*(dict.fromkeys(g) for g in groups))]
    assert list(expand_prompt(text)) == expected


@given(options=st.integers(2, 12), pick=st.integers(1, 12))
def test_combinations_are_those_of_itertools(options, pick):
    names = [f"o{n}" for n in range(options)]
    text = f"{{{pick}$$+$${'|'.join(names)}}}"
    if pick > options:
        with pytest.raises(InputError, match=f"asks for {pick} of {options}"):
            expand_prompt(text)
    else:
        assert list(expand_prompt(text)) == ["+".join(c) for c in itertools.combinations(names, pick)]


def test_counting_combinations_takes_no_longer_for_large_numbers():
    # Counted in full, the first would not fit in memory and the second would take days.
    assert _comb(10**12, 5 * 10**11) == MANY
    assert _combinations([2] * 100_000 + [1] * 100_000, 90_000) == MANY


@given(counts=st.lists(st.integers(1, 3), min_size=1, max_size=7), pick=st.integers(1, 7))
def test_combinations_of_groups_are_counted_as_they_are_made(counts, pick):
    made = sum(math.prod(chosen) for chosen in itertools.combinations(counts, pick))
    assert _combinations(counts, pick) == made


@given(st.text())
def test_escaping_makes_any_text_literal(text):
    escaped = "".join("\\" + character if character in "\\{}|" else character for character in text)
    blanks = str.maketrans("\t\r\n", "   ")
    literal = " ".join(word for word in text.translate(blanks).split(" ") if word)
    assert expand_prompt(escaped) == (literal,)


# --- the cell -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "prompts"),
    [
        ("a red fox", ["a red fox"]),
        ("a red fox\nin snow\n\na blue fox\n", ["a red fox in snow", "a blue fox"]),
        ("a\r\nb\r\n\r\nc\rd", ["a b", "c d"]),
        ("\n\n \na\n \t \n\nb\n\n", ["a", "b"]),
        ("a\n\u3000\nb", ["a", "b"]),
        ("  a \t b  ", ["a b"]),
        ("a\u3000b", ["a\u3000b"]),
        ("# a comment\na", ["a"]),
        ("a\n# a comment\nb", ["a b"]),
        ("a\n#\nb\n#\tc", ["a b"]),
        ("a\n\n# a comment\n\nb", ["a", "b"]),
        ("#1 fox", ["#1 fox"]),
        ("#fox\n## fox", ["#fox ## fox"]),
        ("a # b", ["a # b"]),
        (
            '#1, $5, 50%, snake__case, {"k": 1} and {a}, $name {0} %s',
            ['#1, $5, 50%, snake__case, {"k": 1} and {a}, $name {0} %s'],
        ),
        ("{{name}}", ["{{name}}"]),
        ("a {red|\nblue} fox", ["a red fox", "a blue fox"]),
        ("a {red\n\nblue|b}", ["a {red", "blue|b}"]),
        ("{a|b}\n\nc", ["a", "b", "c"]),
    ],
)
def test_a_cell_is_split_into_prompts(cell, prompts):
    assert texts(cell) == prompts
    assert parse_prompts(cell).notes == ()


def test_with_lines_every_line_is_a_prompt():
    assert texts("a\n# no\nb {c|d}\n\n  \n#1 --seed 3\r\ne", lines=True) == ["a", "b c", "b d", "#1", "e"]


def test_duplicate_prompts_are_kept_once_with_a_note():
    prompts = parse_prompts("a\n\n{a|b}")
    assert [prompt.text for prompt in prompts.values] == ["a", "b"]
    assert prompts.notes == ("prompt 'a' is given more than once; it is kept once.",)


def test_prompts_that_differ_in_their_flags_are_not_duplicates():
    prompts = parse_prompts("a\n\na --seed 1\n\na --ar 1:1\n\na --seed 1")
    assert prompts.values == (PromptText("a"), PromptText("a", seeds=(1,)), PromptText("a", Size(1024, 1024)))
    assert len(prompts.notes) == 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "the cell is empty; write a prompt below the first line."),
        (" \n\t\r\n", "the cell is empty; write a prompt below the first line."),
        ("# a\n\n#", "the cell holds only comments; write a prompt below the first line."),
        ("{|}", "prompt: it is empty"),
        ("{a|}", "prompt: it is empty"),
        ("--seed 5", "prompt: it is empty"),
        ("a" * 801, "prompt: 801 characters, and qwen-image-2.0 takes at most 800"),
        ("a\n\nb\x07c", r"prompt 'b\x07c': '\x07' at character 2 is a control character (U+0007)"),
        ("a\0b", "at character 2 is a control character (U+0000)"),
        ("a \ud800", "at character 3 is a control character (U+D800)"),
        ("a\x85b", "at character 2 is a control character (U+0085)"),
        ("a {5$$b|c}", "asks for 5 of 2"),
        ("{a|b}" * 10 + "\n\nc", "this one makes 1,024 of 1,025 prompts, and the cap is 1,000"),
        ("a {b|c}\n\n" * 501, "prompts 'a {b|c}': this one makes 2 of 1,002 prompts"),
        ("{a|b}" * 20_000, "more than 1,000,000,000,000,000 prompts"),
        ("x" * (LONG + 1), "the text has 100,001 characters, and at most 100,000 are read"),
    ],
)
def test_a_cell_that_cannot_run_says_why(cell, message):
    with pytest.raises(InputError) as caught:
        parse_prompts(cell)
    assert message in sentence(caught)


def test_the_length_is_that_of_the_final_prompt():
    assert len(texts("{" + "a" * 800 + "|" + "b" * 800 + "} --seed 1")) == 2
    with pytest.raises(InputError, match="801 characters"):
        parse_prompts("{a|b}" + "c" * 800)


def test_the_cap_counts_the_prompts_of_the_whole_cell():
    assert len(texts("{a|b}{a|b}\n\nc", cap=5)) == 5
    with pytest.raises(InputError, match="this one makes 4 of 5 prompts, and the cap is 4"):
        parse_prompts("{a|b}{a|b}\n\nc", cap=4)


# --- flags ----------------------------------------------------------------------------------------------

WIDE = Size(1280, 720)


@pytest.mark.parametrize(
    ("cell", "prompts"),
    [
        ("a fox --ar 16:9", [PromptText("a fox", WIDE)]),
        ("a fox --size 1280x720", [PromptText("a fox", WIDE)]),
        ("a fox --ratio=16:9", [PromptText("a fox", WIDE)]),
        ("a fox --AR 16:9", [PromptText("a fox", WIDE)]),
        ("a fox --seed 5", [PromptText("a fox", seeds=(5,))]),
        ("a fox --seeds=1-3,7", [PromptText("a fox", seeds=(1, 2, 3, 7))]),
        ("a fox --seed random*2", [PromptText("a fox", seeds=(50, 51))]),
        ("a fox --seed -1", [PromptText("a fox", seeds=(50,))]),
        ("a fox --ar 16:9 --seed 5", [PromptText("a fox", WIDE, (5,))]),
        ("a fox --seed 5\n--ar 16:9 ", [PromptText("a fox", WIDE, (5,))]),
        ("a --ar {1:1|16:9}", [PromptText("a", Size(1024, 1024)), PromptText("a", WIDE)]),
        ("a {fox|cat --seed 5}", [PromptText("a fox"), PromptText("a cat", seeds=(5,))]),
        ("a --{seed|ar} 5", None),
        ("a --seed {random|random*2}", [PromptText("a", seeds=(50,)), PromptText("a", seeds=(51, 52))]),
        ("a --seed 5\n\nb", [PromptText("a", seeds=(5,)), PromptText("b")]),
        ("a cat -- in the rain", [PromptText("a cat -- in the rain")]),
        ("a fox --foo 16:9", [PromptText("a fox --foo 16:9")]),
        ("a fox --foo=16:9 --seed 5", [PromptText("a fox --foo=16:9", seeds=(5,))]),
        ("a fox--ar 16:9", [PromptText("a fox--ar 16:9")]),
        ("x=5", [PromptText("x=5")]),
    ],
)
def test_flags_at_the_end_of_a_prompt_are_taken_off(cell, prompts):
    if prompts is None:
        with pytest.raises(InputError, match="--ar '5': '5' at character 1 is not a size"):
            parse_prompts(cell)
        return
    assert parse_prompts(cell, draw=drawing(*range(50, 60))).values == tuple(prompts)


@pytest.mark.parametrize("cell", ["a --ar 16:9 --foo", "a --seed 5 in the rain"])
def test_a_flag_before_the_end_is_text_with_a_note(cell):
    prompts = parse_prompts(cell)
    assert prompts.values == (PromptText(cell),)
    assert prompts.notes == (f"{cell.split()[1]} is not at the end of its prompt, so it is text.",)


def test_the_notes_of_flags_are_passed_on_once():
    prompts = parse_prompts("{a|b} --ar 5:4 --seed 3,3")
    assert prompts.notes == (
        "5:4 is 1120×896, computed because it is not a preset.",
        "seed 3 is given more than once; it is kept once.",
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a --ar 99:1", "--ar '99:1': '99:1' at character 1 is outside the limits"),
        ("a --ar wide", "--ar 'wide': 'wide' at character 1 is not a size"),
        ("a --ar 1:1,16:9", "--ar '1:1,16:9': a prompt takes one size"),
        ("a --seed x", "--seed 'x': 'x' at character 1 is not a number"),
        ("a --seed x=1", "--seed 'x=1': 'x=1' at character 1 is not a number"),
        ("a --seed -5", "--seed '-5': '-5' at character 1 is out of range"),
        ("a --seed 1-1000000000", "makes it 1,000,000,000 seeds"),
        ("a --ar", "prompt 'a --ar': --ar needs a value"),
        ("a --ar --seed 5", "--ar needs a value"),
        ("a --seed=", "--seed needs a value"),
        ("a --seed 1 --seed 2", "write only one of --seed and --seed"),
        ("a --ar 1:1 --size 16:9", "write only one of --ar and --size"),
        (
            "a --seed 1-600\n\nb --seed 1-600",
            "prompts 'b': its --seed makes it 1,200 seeds, and the cap is 1,000",
        ),
    ],
)
def test_a_bad_value_of_a_flag_is_an_error(cell, message):
    with pytest.raises(InputError) as caught:
        parse_prompts(cell)
    assert message in sentence(caught)


# --- variables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "prompts"),
    [
        ("a {{colour}} fox", ["a red fox"]),
        ("a {{ colour }} fox", ["a red fox"]),
        ("{{n}} foxes, {{x}}, {{np}}", ["3 foxes, 0.5, 7"]),
        ("{{{colour}}|blue}", ["red", "blue"]),
        ("{{{colour}}|{{n}}} fox", ["red fox", "3 fox"]),
        ("{a|{{colour}}}", ["a", "red"]),
        ("{2$${{colour}}|{{n}}|c}", ["red, 3", "red, c", "3, c"]),
        ("{2$$ {{colour}} $$a|b}", ["a red b"]),
        ("{{{n}}$$a|b}", ["3$$a", "b"]),
        ("{{a|b}|c}", ["a", "b", "c"]),
        ("{{a|b}}", ["{a}", "{b}"]),
        ("{{colour}|c}", ["{colour}", "c"]),
        (r"\{{colour}} {\{colour}}", ["{{colour}} {{colour}}"]),
        ("{{{colour}}}", ["{red}"]),
        ("{{braces}}", ["{a|b} \\| {{colour}}"]),
        ("{x|{{braces}}}", ["x", "{a|b} \\| {{colour}}"]),
        ("{{flags}}", ["a --seed 5"]),
        ("a {{dashes}} 5", ["a --seed 5"]),
        ("{{comment}}", ["# b # c"]),
        ("{{empty}}a", ["a"]),
        ("{{é}} {{e\u0301}}", ["yes no"]),
    ],
)
def test_the_value_of_a_variable_is_data(cell, prompts):
    variables = {
        "colour": "red",
        "n": 3,
        "x": 0.5,
        "np": np.int64(7),
        "braces": r"{a|b} \| {{colour}}",
        "flags": "a --seed 5",
        "dashes": "--seed",
        "comment": "# b\n\n# c",
        "empty": "",
        "é": "yes",
        "e\u0301": "no",
    }
    found = parse_prompts(cell, variables=variables)
    assert [prompt.text for prompt in found.values] == prompts
    assert all(prompt.seeds is None for prompt in found.values)


def test_the_value_of_a_flag_may_be_a_variable():
    prompts = parse_prompts("a --ar {{ratio}} --seed {{seeds}}", variables={"ratio": "16:9", "seeds": "1, 2"})
    assert prompts.values == (PromptText("a", WIDE, (1, 2)),)
    with pytest.raises(InputError, match="--seed 'x': 'x' at character 1 is not a number"):
        parse_prompts("a --seed {{seed}}", variables={"seed": "x"})


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "a {{colur}}",
            "prompt 'a {{colur}}': '{{colur}}' at character 3 names no variable; the nearest there is: colour",
        ),
        ("{{zzz}}", "names no variable; assign it first"),
        ("{{" + "z" * 5000 + "}}", "names no variable"),
        ("{{__secret}}", "names no variable; assign it first"),
        ("{{colour.upper()}}", "'{{colour.upper()}}' at character 1 is not a plain name"),
        ("{{}}", "is not a plain name"),
        ("{{list}}", "is of type list; use a text or a number"),
        ("{{none}}", "is of type NoneType; use a text or a number"),
        ("{{yes}}", "is of type bool; use a text or a number"),
        ("{{huge}}", "is too large a number"),
        ("{{nul}}", "prompt: character 1 is a control character (U+0000)"),
        ("{{surrogate}}", "prompt: character 1 is a control character (U+D800)"),
        ("{{long}}", "prompt: 5000 characters"),
        ("{{empty}}", "prompt: it is empty"),
    ],
)
def test_a_variable_that_cannot_be_used_is_an_error(cell, message):
    variables = {
        "colour": "red",
        "_secret": "s",
        "list": ["red"],
        "none": None,
        "yes": True,
        "huge": 10**5000,
        "nul": "\0colour\0",
        "surrogate": "\ud800",
        "long": "x" * 5000,
        "empty": "",
    }
    with pytest.raises(InputError) as caught:
        parse_prompts(cell, variables=variables)
    assert message in sentence(caught)


# --- any text -------------------------------------------------------------------------------------------

LISTED = st.lists(
    st.one_of(
        st.sampled_from(
            [*"0123456789,-–—−.…*[]()+ :xX×\n", "..", "random", "16:9", "1-4", "2147483647", "9" * 50]
        ),
        st.characters(),
    ),
    max_size=30,
).map("".join)
WRITTEN = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *"ab29{}{}||\\$ \n\t#:-=",
                "$$",
                "{2$$",
                "{{a}}",
                "{{b}}",
                "--",
                " --ar ",
                " --seed ",
                "16:9",
                "\n\n",
                "# ",
            ]
        ),
        st.characters(),
    ),
    max_size=40,
).map("".join)


def outcome(parse, *arguments, **options):
    """Return what a parser gives; an InputError is as good, if its sentence can be shown."""
    try:
        return parse(*arguments, **options)
    except InputError as error:
        check_sentence(error)
        return None


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=400)
@given(text=st.text() | LISTED, cap=st.integers(1, 50))
@example(text="1-10 [3], .., 5", cap=50)
def test_no_text_of_seeds_gets_past(text, cap):
    if seeds := outcome(parse_seeds, text, cap=cap):
        assert 1 <= len(seeds.values) <= cap
        assert len(set(seeds.values)) == len(seeds.values)
        assert all(type(seed) is int and 0 <= seed <= HIGHEST_SEED for seed in seeds.values)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=400)
@given(text=st.text() | LISTED)
def test_no_text_of_sizes_gets_past(text):
    if sizes := outcome(parse_sizes, text):
        assert len(set(sizes.values)) == len(sizes.values) <= DEFAULT_CAP
        assert all(DEFAULT_MODEL.fits(size) for size in sizes.values)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=800)
@given(
    text=st.text() | WRITTEN,
    cap=st.integers(1, 50),
    lines=st.booleans(),
    value=st.none() | st.text() | WRITTEN,
)
def test_no_text_of_a_cell_gets_past(text, cap, lines, value):
    variables = None if value is None else {"a": value, "b": 5}
    if prompts := outcome(parse_prompts, text, cap=cap, lines=lines, variables=variables):
        assert 1 <= len(prompts.values) <= cap
        assert len(set(prompts.values)) == len(prompts.values)
        assert sum(len(prompt.seeds or ()) for prompt in prompts.values) <= cap
        for prompt in prompts.values:
            assert prompt.text.strip(" ") == prompt.text != ""
            assert not any(mark in prompt.text for mark in ("  ", "\n", "\t", "\0"))
            assert prompt.size is None or DEFAULT_MODEL.fits(prompt.size)
    if variants := outcome(expand_prompt, text, cap=cap):
        assert 1 <= len(variants) <= cap


@given(text=st.text(alphabet=st.characters(exclude_categories=["C"])) | WRITTEN)
def test_a_value_comes_out_as_it_went_in(text):
    prompts = outcome(parse_prompts, "<{{a}}>", variables={"a": text})
    if prompts:
        blanks = str.maketrans("\t\r\n", "   ")
        words = [word for word in f"<{text}>".translate(blanks).split(" ") if word]
        assert prompts.values == (PromptText(" ".join(words)),)


HOSTILE = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.syntax import expand_prompt, parse_prompts, parse_seeds, parse_sizes
L = 100_000
many = "|".join(map(str, range(16_000)))
texts = [c * L for c in "{}|\\\\ ,.-9x#:$\\n"]
texts += [(p * L)[:L] for p in ("{|", "{a|b}", "{2$$", "{{", "{{a}}", "{a|", "|}", "1-9,", "1,..,", "--ar ", "a\\n\\n", "# ")]
texts += ["{a|" * 24_999 + "b" + "}" * 24_999, "{2$$" * 14_000 + "x" + "|y}" * 14_000]
texts += [f"{{{n}$${many}}}" for n in (1, 2, 50, 8_000, 15_999, 16_000)]
texts += ["{9000$$" + "|".join(f"{{{n}|b}}" for n in range(9_000)) + "}", "{40000$$" + "s" * 10_000 + "$$" + "|" * 40_000 + "}"]
texts += ["1-2147483647", "random*" + "9" * 90_000, "0-1 [" + "9" * 90_000 + "]", "9" * 50_000 + ":" + "9" * 40_000]
for text in texts:
    assert len(text) <= L
    for parse in (parse_seeds, parse_sizes, expand_prompt, parse_prompts, lambda t: parse_prompts(t, lines=True, variables={"a": "v"})):
        try:
            parse(text)
        except InputError:
            pass
print("held", len(texts))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limit of memory is POSIX")
def test_hostile_texts_fit_in_a_gigabyte_of_memory():
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("held"), done.stderr[-2000:]
