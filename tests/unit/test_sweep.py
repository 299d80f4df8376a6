"""Sweep: what was typed becomes a matrix of requests, counted before it is built."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pytest

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS, Size, find_model
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.grid.recipe import literal, write_cell, write_seeds


def test_prompts_go_down_and_seeds_across() -> None:
    sweep = plan_sweep("a {red|blue} fox\n\na cat", seeds="1-4", sizes="16:9")
    assert sweep.shape == (3, 4)
    assert sweep.prompts == ("a red fox", "a blue fox", "a cat")
    assert sweep.requests[1, 2] == ImageRequest("a blue fox", 3, Size(1280, 720), MODELS[0])
    assert len(sweep.unique) == 12
    assert sweep.cost() == Decimal("0.36")


def test_sizes_and_models_make_further_rows() -> None:
    sweep = plan_sweep("a fox", seeds=[7], sizes="1:1, 16:9", models="qwen-image-2.0,qwen-image-2.0-pro")
    assert [(row.model.name, str(row.size)) for row in sweep.rows] == [
        ("qwen-image-2.0", "1024×1024"),
        ("qwen-image-2.0", "1280×720"),
        ("qwen-image-2.0-pro", "1024×1024"),
        ("qwen-image-2.0-pro", "1280×720"),
    ]
    assert sweep.cost() == Decimal("0.20")


def test_a_prompt_with_a_seed_of_its_own_has_only_that() -> None:
    sweep = plan_sweep("a fox\n\na cat --seed 9 --ar 3:4", seeds="1,2")
    assert sweep.seeds == (1, 2, 9)
    assert sorted(sweep.requests) == [(0, 0), (0, 1), (1, 2)]
    assert sweep.requests[1, 2].size == Size(864, 1152)


def test_where_every_prompt_has_its_seed_no_other_is_drawn() -> None:
    assert plan_sweep("a fox --seed 3\n\na cat --seed 4").seeds == (3, 4)


def test_without_seeds_one_is_drawn_and_known() -> None:
    (seed,) = plan_sweep("a fox").seeds
    assert 0 <= seed <= 2**31 - 1
    assert len(set(plan_sweep("a fox", count=50).seeds)) > 45


@pytest.mark.parametrize(
    "seeds", [range(1, 5), [1, 2, 3, 4], (1, 2, 3, 4), np.arange(1, 5), "1-4", iter([1, 2, 3, 4])]
)
def test_seeds_are_taken_as_python_people_write_them(seeds: object) -> None:
    assert plan_sweep("a fox", seeds=seeds).seeds == (1, 2, 3, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sizes", ["16:9", (1280, 720), [(1280, 720)], ["1280x720"], Size(1280, 720), ["16:9", "1280*720"]]
)
def test_sizes_are_taken_as_python_people_write_them(sizes: object) -> None:
    assert plan_sweep("a fox", sizes=sizes, seeds=1).sizes == (Size(1280, 720),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seeds": "1-4", "count": 2}, "not both"),
        ({"count": 0}, "count 0"),
        ({"count": True}, "count True"),
        ({"seeds": [1.5]}, "1.5"),
        ({"seeds": []}, "at least one"),
        ({"seeds": True}, "True"),
        ({"seeds": range(10_000_000)}, "1,000"),
        ({"seeds": 2**31}, "2147483647"),
        ({"seeds": [2**31]}, "2147483647"),
        ({"sizes": []}, "at least one"),
        ({"sizes": (100, 100)}, "256"),
        ({"models": "dall-e"}, "no such model"),
        ({"models": ""}, "name at least one"),
    ],
)
def test_what_cant_be_used_is_one_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        plan_sweep("a fox", **arguments)  # type: ignore[arg-type]
    assert "\n" not in caught.value.message


def test_the_product_is_capped_before_it_is_built() -> None:
    with pytest.raises(InputError, match="more than the 1,000"):
        plan_sweep("a {1|2|3|4|5|6|7|8|9|10|11} fox", seeds="1-100")


def test_prompts_that_are_no_texts_are_refused() -> None:
    for prompts in ([], [1], None):
        with pytest.raises((InputError, TypeError)):
            plan_sweep(prompts)  # type: ignore[arg-type]


def test_equal_requests_have_equal_keys_and_others_do_not() -> None:
    one = plan_sweep("a fox", seeds=1).unique[0]
    assert one.key == plan_sweep("a  fox ", seeds="1", sizes="1024x1024").unique[0].key
    others = [
        plan_sweep("a fox", seeds=2),
        plan_sweep("a Fox", seeds=1),
        plan_sweep("a fox", seeds=1, sizes="16:9"),
        plan_sweep("a fox", seeds=1, models="qwen-image-2.0-pro"),
    ]
    assert len({one.key, *(sweep.unique[0].key for sweep in others)}) == 5


def test_an_extended_sweep_keeps_its_places() -> None:
    sweep = plan_sweep("a fox", seeds="1-2")
    larger = sweep.extended(plan_sweep("a cat\n\na fox", seeds=1).rows, [2, 3])
    assert larger.shape == (2, 3)
    assert larger.prompts == ("a fox", "a cat")
    assert larger.requests[0, 1] == sweep.requests[0, 1]
    assert len(larger.requests) == 6


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((1, 2, 3, 4), "1-4"), ((1, 2), "1,2"), ((7, 1, 2, 3), "7,1-3"), ((5,), "5"), ((4, 3), "4,3")],
)
def test_seeds_are_written_short(seeds: tuple[int, ...], text: str) -> None:
    assert write_seeds(seeds) == text
    assert plan_sweep("a fox", seeds=text).seeds == seeds


@pytest.mark.parametrize(
    ("prompts", "options"),
    [
        ("a red fox\n\na blue fox", {"seeds": "1-4", "sizes": "16:9"}),
        (r"a \{x|y\} sign, 50% \| off, C:\\temp", {"seeds": [3, 9]}),
        ('{"k": 1} and {a} #1 $5 snake__case', {"seeds": 1, "sizes": "1000x600"}),
        ("a fox --ar 16:9\n\na cat --seed 9", {"seeds": "1,2"}),
        (
            "a fox\n\na cat",
            {"seeds": "1-2", "sizes": "1:1,3:2", "models": "qwen-image-2.0,qwen-image-2.0-pro"},
        ),
        ("一只橙色的猫坐在窗边", {"seeds": 5}),
    ],
)
def test_the_recipe_reads_back_as_the_same_sweep(prompts: str, options: dict[str, object]) -> None:
    sweep = plan_sweep(prompts, **options)  # type: ignore[arg-type]
    first, _, body = write_cell(sweep).partition("\n")
    words = dict(part.split(" ", 1) for part in first.removeprefix("%%qwenimage --").split(" --"))
    again = plan_sweep(body, seeds=words["seeds"], sizes=words.get("size"), models=words.get("model"))
    assert again == sweep


def test_a_literal_prompt_is_left_alone_where_it_can_be() -> None:
    assert literal("a red fox, 50%") == "a red fox, 50%"
    assert literal("{a|b}") == r"\{a\|b\}"


def test_a_model_is_found_by_either_name() -> None:
    assert find_model("QWEN-image-2.0") is find_model("wavespeed-ai/qwen-image-2.0/text-to-image")
    with pytest.raises(InputError, match=r"did you mean 'qwen-image-2\.0-pro'"):
        find_model("qwen-image-2.0-por")
