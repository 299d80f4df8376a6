"""The offline enhancer: the user's words stay in front, what is added fits them, and the same text gives the same."""

import re
import string

import pytest
from house import encoded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qwen_widgets.offline.enhancer import enhance
from qwen_widgets.offline.painter import read_scene

STYLES = ("default", "artistic", "photographic", "technical", "anime", "realistic")
HAN = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("text", ["a red fox in fresh snow", "一只红色的狐狸在雪地里"])
def test_the_words_stay_in_front_and_fitting_ones_follow(style, text):
    answer = enhance(text, style)
    assert answer.startswith(text)
    assert len(text) + 30 < len(answer) <= 800
    assert answer == enhance(text, style)


def test_each_style_says_something_else():
    assert len({enhance("a red fox", style) for style in STYLES}) == len(STYLES)
    assert "lens" in enhance("a red fox", "photographic")
    assert "anime" in enhance("a red fox", "anime")


@pytest.mark.parametrize("style", STYLES)
def test_chinese_stays_chinese(style):
    added = enhance("一只红色的狐狸在雪地里", style).removeprefix("一只红色的狐狸在雪地里")
    assert len(HAN.findall(added)) > 12
    assert not re.search(r"[a-zA-Z]{2,}", added)
    assert not HAN.search(enhance("a red fox", style))


def test_the_light_is_that_of_the_hour_that_is_named():
    assert "moonlight" in enhance("a boat on a lake at night")
    assert "moonlight" not in enhance("a boat on a lake at noon")
    assert "月光" in enhance("夜晚的湖")
    assert "reflections" in enhance("a street in the rain")


@pytest.mark.parametrize(
    ("text", "style", "not_again"),
    [
        ("a fox, 35 mm lens", "photographic", "full-frame"),
        ("a fox in soft backlit fog", "default", "morning light"),
        ("a close-up of a fox, rich detail", "default", "fine textures"),
    ],
)
def test_what_is_said_already_is_not_said_again(text, style, not_again):
    assert not_again not in enhance(text, style)


def test_a_picture_gives_its_tone_and_a_video_a_movement():
    night, desert = Image.new("RGB", (64, 64), (10, 20, 60)), Image.new("RGB", (64, 64), (240, 200, 150))
    assert "dark, cool" in enhance("a fox", picture=encoded(night))
    assert "bright, warm" in enhance("a fox", picture=encoded(desert, form="JPEG"))
    assert re.search("camera|pan", enhance("a fox", mode="video"))
    assert not re.search("camera|pan", enhance("a fox"))


def test_a_long_text_can_go_over_the_limit_of_the_models():
    assert len(enhance("a fox " * 100)) <= 800
    for text in ("x" * 790, "word " * 160, "狐" * 800):
        assert len(enhance(text)) > 800
    assert enhance("x" * 5000).startswith("x" * 5000)


@given(st.text(min_size=1, max_size=300), st.sampled_from(STYLES))
def test_no_text_is_refused(text, style):
    answer = enhance(text, style)
    assert answer.startswith(text.strip().rstrip(" ,.，。;；"))
    assert len(answer) > len(text.strip().rstrip(string.punctuation))


@pytest.mark.parametrize(
    ("style", "drawn"), [("photographic", "golden"), ("default", "morning"), ("realistic", "day")]
)
@pytest.mark.parametrize("text", ["a red fox", "一只红色的狐狸"])
def test_what_is_added_can_be_seen_in_an_offline_preview(style, drawn, text):
    assert read_scene(enhance(text, style)).time == drawn
    assert read_scene(enhance(text, "artistic")).styles
