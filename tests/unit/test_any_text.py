"""Whatever is typed ends in values or in one sentence, at once: hypothesis and hostile texts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentences import check_sentence

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import DEFAULT_MODEL, HIGHEST_SEED
from qwen_widgets.core.syntax import (
    DEFAULT_CAP,
    PromptText,
    expand_prompt,
    parse_prompts,
    parse_seeds,
    parse_sizes,
)

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


@settings(max_examples=400)
@given(text=st.text() | LISTED, cap=st.integers(1, 50))
@example(text="1-10 [3], .., 5", cap=50)
def test_no_text_of_seeds_gets_past(text, cap):
    if seeds := outcome(parse_seeds, text, cap=cap):
        assert 1 <= len(seeds.values) <= cap
        assert len(set(seeds.values)) == len(seeds.values)
        assert all(type(seed) is int and 0 <= seed <= HIGHEST_SEED for seed in seeds.values)


@settings(max_examples=400)
@given(text=st.text() | LISTED)
def test_no_text_of_sizes_gets_past(text):
    if sizes := outcome(parse_sizes, text):
        assert len(set(sizes.values)) == len(sizes.values) <= DEFAULT_CAP
        assert all(DEFAULT_MODEL.fits(size) for size in sizes.values)


@settings(max_examples=800)
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
