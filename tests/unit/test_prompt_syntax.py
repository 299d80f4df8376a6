"""Prompts as people type them: braces, the cell, flags, variables."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import drawing, sentence

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import Size
from qwen_widgets.core.prompt_syntax import _comb, _combinations
from qwen_widgets.core.syntax import (
    PromptText,
    expand_prompt,
    parse_prompts,
)
from qwen_widgets.core.syntax_faults import MANY

LONG = 100_000


def texts(cell, **options):
    return [prompt.text for prompt in parse_prompts(cell, **options).values]


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
