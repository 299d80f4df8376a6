"""What people have in Python is taken as they mean it, and what can't be used is named with what to give instead."""

from __future__ import annotations

import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import Text, Unshowable, Untouchable, Whole
from sentences import check_sentence, sentence

import qwen_widgets as qw
from qwen_widgets.core import reading
from qwen_widgets.core.errors import ArgumentError, InputError, PlaceError
from qwen_widgets.core.models import DEFAULT_MODEL, Size, find_model
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio, studio


@pytest.fixture
def hosted(contract_server, monkeypatch):
    """A server that takes money, and this process's studio at it."""
    for name, value in contract_server.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("qwen_widgets.studio._default", Studio())
    return contract_server


@pytest.fixture
def grid(monkeypatch):
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.05)))
    return qw.generate("a red fox", seeds=1, sizes="256x256")


# --- what is taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [int, float, np.int64, np.uint8, np.float64, np.float32, np.array, Decimal, Fraction, Whole]
)
def test_what_equals_a_whole_number_is_one(make):
    three = make(3)
    assert plan_sweep("a fox", seeds=three).seeds == (3,)
    assert plan_sweep("a fox", seeds=[three, 5]).seeds == (3, 5)
    assert plan_sweep("a fox", count=three).shape == (1, 3)
    assert Settings(at_once=three).at_once == 3
    assert all(type(seed) is int for seed in plan_sweep("a fox", seeds=three).seeds)


@pytest.mark.parametrize(
    "seeds", [[1, 2], (1, 2), range(1, 3), np.array([1, 2]), pd.Series([1, 2]), np.array([1.0, 2.0]), "1-2", iter([1, 2]),
              (seed for seed in (1, 2)), {1: 0, 2: 0}.keys()],
)  # fmt: skip
def test_seeds_are_a_list_of_any_kind(seeds):
    assert plan_sweep("a fox", seeds=seeds).seeds == (1, 2)


@pytest.mark.parametrize(
    "kind", [list, tuple, iter, np.array, pd.Series, pd.Index, lambda texts: (one for one in texts)]
)
def test_prompts_are_a_list_of_any_kind_and_read_once(kind):
    texts = ["a red fox", "a blue fox"]
    assert plan_sweep(kind(texts)).prompts == tuple(texts)


def test_a_generator_is_read_once_however_many_models_ask(grid):
    here = studio()
    grid = here.run(
        here.prepare("a fox", seeds=1, sizes="256x256", models=(name for name in ["qwen-image-2.0"]))
    )
    assert grid.add(prompts=(text for text in ["a cat"]), seeds=(seed for seed in [2])).shape == (2, 2)


def test_sizes_may_be_numbers_of_numpy():
    for sizes in (
        np.array([640, 480]),
        [640.0, 480],
        (np.int64(640), 480),
        [[640, 480]],
        np.array([[640, 480]]),
    ):
        assert plan_sweep("a fox", sizes=sizes, seeds=1).sizes == (Size(640, 480),)


def test_a_subclass_of_text_is_the_text():
    sweep = plan_sweep(
        Text("a red fox"), seeds=Text("1"), models=Text("qwen-image-2.0"), variables={"a": Text("b")}
    )
    assert sweep.prompts == ("a red fox",)
    assert type(sweep.prompts[0]) is str


def test_a_request_can_be_written_by_hand():
    request = qw.ImageRequest("a fox", np.int64(3), (256, 256), "qwen-image-2.0")
    assert request == qw.ImageRequest("a fox", 3, Size(256, 256), DEFAULT_MODEL)
    assert request.key == plan_sweep("a fox", seeds=3, sizes="256x256").unique[0].key


def test_further_inputs_may_be_numbers_of_numpy(grid):
    cell = grid[0, np.int64(0)]
    cell.rating = np.float64(4.0)
    assert (cell.rating, type(cell.rating)) == (4, int)


# --- what is refused, and what is said ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": 1.5}, "seeds 1.5: give whole numbers"),
        ({"seeds": [1, 2.5]}, "seeds 2.5: give whole numbers"),
        ({"seeds": np.float64("nan")}, "seeds nan"),
        ({"seeds": {1: 2}}, "list(d.values())"),
        ({"seeds": b"1-4"}, "a bytes was given"),
        ({"seeds": pd.DataFrame({"a": [1]})}, 'give one column of it, such as df["seeds"]'),
        ({"seeds": 10**5000}, "of about 5000 digits"),
        ({"seeds": np.bool_(True)}, "seeds True"),
        ({"seeds": list(range(1_000_000))}, "more than 1,000 were given"),
        ({"count": np.int64(-5)}, "count -5: give a whole number from 1 to 1000"),
        ({"sizes": -1.5}, "sizes -1.5: give a text such as 16:9"),
        ({"sizes": [True, 5]}, "sizes True"),
        ({"models": True}, "models True: name at least one"),
        ({"models": [5]}, "models 5"),
        ({"output_format": 5}, "output_format 5: it is png, jpeg or webp"),
        ({"inputs": "x"}, "inputs 'x': give a dict"),
        ({"variables": [1]}, "variables: a list was given; give a dict"),
        ({"max_cost": "10"}, "max_cost '10': it is a number of US dollars"),
        ({"max_cost": True}, "max_cost True"),
        ({"max_cost": float("inf")}, "max_cost inf"),
        ({"max_cost": -0.01}, "max_cost -0.01"),
        ({"images": ""}, "it is empty"),
        ({"images": 5}, "it is of the type int"),
        ({"fresh": "no"}, "fresh 'no': give True or False"),
        ({"lines": 1}, "lines 1: give True or False"),
        ({"title": 5}, "title 5: give a text"),
        ({"title": b"fox"}, "title: a bytes was given; give a text, such as data.decode()"),
        ({"title": "a\ud800"}, "title: character 2 is half of a pair"),
        ({"enhance": 5}, "enhance 5: give True, a style such as artistic, or both"),
    ],
)  # fmt: skip
def test_an_argument_is_refused_by_its_name_before_anything_is_sent(options, said, hosted):
    with pytest.raises(InputError) as caught:
        qw.generate("a red fox", **options)
    assert said in sentence(caught)
    assert hosted.asked == []


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (None, "prompts None: give a text or a list of texts"),
        (5, "prompts 5: give a text"),
        (b"a fox", "prompts: a bytes was given"),
        ({"a": "a fox"}, "prompts: a dict was given; give its values: list(d.values())"),
        (pd.DataFrame({"prompt": ["a fox"]}), 'prompts: a DataFrame was given; give one column of it, such as df["prompt"]'),
        (pd.Series([1, 2]), "prompts: entry 1 1: each is a text; .dropna().astype(str) makes texts of a Series"),
        (pd.Series(["a fox", None]), "prompts: entry 2"),
        (["a fox", 5], "prompts: entry 2 5: each is a text"),
        ([], "prompts: give a text or a list of texts"),
        (("a fox" for _ in iter(int, 1)), "more than 1,000 were given"),
    ],
)  # fmt: skip
def test_prompts_that_are_none_are_refused_with_what_to_give(prompts, said, hosted):
    with pytest.raises(InputError) as caught:
        qw.generate(prompts)
    assert said in sentence(caught)
    assert hosted.asked == []


def test_hostile_objects_are_called_by_their_type(hosted):
    for hostile in (Unshowable(), Untouchable()):
        for name in ("seeds", "title", "max_cost", "images", "variables"):
            with pytest.raises(InputError, match=type(hostile).__name__) as caught:
                qw.generate("a fox", **{name: hostile})
            sentence(caught)
        with pytest.raises(InputError, match=f"prompts: an {type(hostile).__name__} was given"):
            qw.generate(hostile)
    assert hosted.asked == []


def test_a_wrong_option_is_told_before_an_address_is_fetched(hosted):
    with pytest.raises(InputError, match="max_cost"):
        qw.generate("a fox", images=f"{hosted.base_url}/fox.png", max_cost="10")
    assert hosted.asked == []


@pytest.mark.parametrize("path", [5, b"x", "", " ", "\0", None, True, os])
def test_a_path_is_a_text_or_a_path_and_never_a_file_descriptor(path, grid, tmp_path):
    with (tmp_path / "open").open("wb") as file:
        descriptor = os.dup(file.fileno())
        given = descriptor if path == 5 else path
        for write in (grid.save, grid.to_zip, grid.to_html, qw.read):
            with pytest.raises(InputError) as caught:
                write(given)
            sentence(caught)
        os.close(descriptor)
    assert (tmp_path / "open").read_bytes() == b""


def test_what_the_system_says_of_a_path_is_one_sentence(grid, tmp_path):
    (tmp_path / "file").touch()
    for path in (
        tmp_path,
        tmp_path / "file" / "x.zip",
        tmp_path / ("x" * 5000),
        tmp_path / "nowhere" / "x.zip",
    ):
        for write in (grid.to_zip, grid.to_html, qw.read):
            with pytest.raises(InputError, match=r"can't be|is a folder") as caught:
                write(path)
            sentence(caught)
    with pytest.raises(InputError, match="can't be made"):
        grid.save(tmp_path / "file" / "folder")
    assert grid.to_zip(str(tmp_path / "fox.zip")) == tmp_path / "fox.zip"


def test_a_place_that_is_none_is_named(grid):
    for place in (5, "x", (0,), (0, 0, 0), None, [0, 0]):
        with pytest.raises(ArgumentError, match="takes two numbers"):
            grid[place]
    with pytest.raises(InputError, match=r"row 'x': give a whole number"):
        grid["x", 0]
    with pytest.raises(PlaceError, match="1 row and 1 column"):
        grid[3, 0]


def test_attributes_hold_what_they_should(grid):
    for name, value in (("title", 5), ("max_cost", "10"), ("marked_against", "last"), ("choices", {})):
        with pytest.raises(InputError, match=name):
            setattr(grid, name, value)
    for name, value in (("rating", "3"), ("rating", 2.5), ("mark", 5)):
        with pytest.raises(InputError, match=name):
            setattr(grid[0, 0], name, value)
    grid.title = "the\nfox"
    assert grid.title == "the fox"


def test_a_setting_that_does_not_exist_is_hinted_at():
    with pytest.raises(ArgumentError, match="did you mean max_cost"):
        studio().configure(max_cots=5)
    with pytest.raises(InputError, match=r"at_once 65: give a whole number from 1 to 64"):
        studio().configure(at_once=65)


#: Values of plain Python, nested.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.complex_numbers(),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=4), one, max_size=3) | st.sets(st.integers()),
    max_leaves=8,
)  # fmt: skip
ARGUMENTS = (
    "prompts",
    "seeds",
    "count",
    "sizes",
    "models",
    "images",
    "output_format",
    "inputs",
    "lines",
    "variables",
    "cap",
)


@pytest.mark.parametrize("name", ARGUMENTS)
@given(value=ANYTHING)
def test_any_value_makes_a_sweep_or_a_sentence(name, value):
    try:
        sweep = plan_sweep(
            **(
                {"prompts": "a fox", "seeds": 1}
                | ({"seeds": None} if name == "count" else {})
                | {name: value}
            )
        )
    except InputError as error:
        check_sentence(error)
    else:
        assert sweep.requests


@given(value=ANYTHING)
def test_any_value_is_read_as_its_kind_or_refused(value):
    for read, kind in (
        (reading.text, str), (reading.flag, bool), (reading.dollars, float), (reading.path, Path), (reading.title, str),
        (reading.bounded(0, 5), int), (reading.scalar, (str, int, float, bool)), (reading.seconds, float),
    ):  # fmt: skip
        try:
            assert isinstance(read("it", value), kind)
        except InputError as error:
            check_sentence(error)


def test_a_model_can_be_named_by_itself():
    assert find_model(DEFAULT_MODEL) is DEFAULT_MODEL
