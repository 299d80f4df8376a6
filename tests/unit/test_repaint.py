"""Edits of pictures that the embedded service painted itself: painted anew, with their scene changed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from qwen_widgets.core import metadata
from qwen_widgets.core.models import MODELS, Size
from qwen_widgets.core.request import ImageRequest
from qwen_widgets.offline import origin
from qwen_widgets.offline.editing import repaint
from qwen_widgets.offline.editing.instructions import read_edit
from qwen_widgets.offline.editor import edit, open_picture
from qwen_widgets.offline.origin import Origin
from qwen_widgets.offline.painter import paint
from qwen_widgets.offline.painting.band import band_height, has_band
from qwen_widgets.offline.painting.words import COLOURS

SIZE = (480, 320)
LAKE, STREET, FOX = "a red boat on a mountain lake", "a city street", "a red fox in a forest"
SAVING = {"PNG": {}, "JPEG": {"quality": 93, "subsampling": 0}}


def file_of(picture: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **SAVING[kind])
    written = origin.noted(picture)
    return out.getvalue() if written is None else origin.embed(out.getvalue(), written)


def painted(prompt: str, seed: int = 7, size: tuple[int, int] = SIZE) -> Image.Image:
    picture = paint(prompt, size, seed)
    origin.note(picture, Origin(prompt, size, seed))
    return picture


def edited(words: str, prompt: str = LAKE, seed: int = 3, kind: str = "PNG") -> Image.Image:
    """Edit a picture as it comes back from a file."""
    return edit(words, [open_picture(file_of(painted(prompt), kind))], None, seed)


def above(picture: Image.Image) -> np.ndarray:
    """Everything above the band."""
    return np.asarray(picture).astype(np.int16)[: picture.height - band_height(*picture.size)]


def differs(one: Image.Image, other: Image.Image, by: int = 12) -> np.ndarray:
    return np.abs(above(one) - above(other)).max(axis=2) > by


def scene_after(words: str, prompt: str) -> repaint.Scene:
    return repaint.edited(repaint.painting_of(Origin(prompt, SIZE, 7)), read_edit(words), 3).scene


# The file says where it comes from ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_files_origin_is_read_again_and_its_picture_is_known(kind):
    picture = painted("a lighthouse, 灯塔 \ud800")
    data = file_of(picture, kind)
    assert origin.read(data) == origin.noted(picture)
    opened = open_picture(data)
    assert repaint.known(opened, origin.noted(opened)) is not None
    # What else is written into a saved picture stands beside it.
    request = ImageRequest("a lighthouse", seed=7, size=Size(*SIZE), model=MODELS[0])
    saved = metadata.embed(data, request, {})
    assert origin.read(saved) == origin.noted(picture)
    assert metadata.read(saved) == request


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", '{"prompt":"a","size":[1],"seed":0,"edits":[]}', "[" * 100_000,
        '{"prompt":"a","size":[1,1],"seed":"x","edits":[]}', '{"prompt":"a","size":[1,1],"seed":1,"edits":[1]}',
        '{"prompt":"a","size":[1e999,1],"seed":1,"edits":[]}',
        '{"prompt":"a","size":[1,1],"seed":1,"edits":' + str([["a", 1]] * 21).replace("'", '"') + "}",
    ],
)  # fmt: skip
def test_an_origin_that_cannot_be_is_none(text):
    data = metadata.add_texts(file_of(paint("a", SIZE, 1)), {"qwen_widgets offline preview": text})
    assert origin.read(data) is None
    open_picture(data)


def test_what_is_too_long_to_be_read_again_is_not_written():
    data = file_of(paint("a", SIZE, 1))
    assert origin.embed(data, Origin("a" * 5001, SIZE, 1)) == data
    assert origin.embed(data, Origin("a", SIZE, 1, (("b", 1),) * 21)) == data
    assert origin.embed(data, Origin("a", SIZE, 1, (("b", 1),) * 20)) != data


@pytest.mark.parametrize("at", [(0, 150, 479, 150), (478, 0, 478, 300)])
def test_a_thin_line_by_hand_stays_through_an_edit(at):
    picture = painted(LAKE)
    ImageDraw.Draw(picture).line(at, fill=(250, 0, 250), width=1)
    result = edit("make the boat blue", [open_picture(file_of(picture))], None, 1)
    assert origin.noted(result) is None


@pytest.mark.parametrize("size", [(8, 8), (1, 300), (300, 1), (40, 14)])
def test_a_claim_of_a_tiny_picture_is_edited_by_its_pixels(size):
    picture = Image.new("RGB", size, "red")
    origin.note(picture, Origin(LAKE, size, 7))
    assert origin.noted(edit("at night", [picture], None, 1)) is None


def test_an_addition_never_takes_out_what_is_there():
    many = "a fox, a cat, a dog and a bird in a field"
    after = scene_after("add a rabbit, a deer and an owl", many)
    assert [one.kind for one in after.subjects][:4] == ["fox", "cat", "dog", "bird"]
    once = Origin("a field", SIZE, 7, (("add a dog", 3),))
    twice = repaint.painting_of(once.then("add a dog", 3)).scene.subjects
    assert len({one.spot for one in twice}) == len(twice) == 2


def test_a_picture_that_was_changed_since_is_edited_as_it_is():
    picture = painted(LAKE)
    ImageDraw.Draw(picture).rectangle((200, 40, 260, 90), fill=(250, 0, 250))
    result = edit("make the boat blue", [open_picture(file_of(picture))], None, 1)
    assert origin.noted(result) is None
    assert tuple(above(result)[60, 230]) == (250, 0, 250)


@pytest.mark.parametrize(
    "claim",
    [
        Origin("a castle", SIZE, 7),
        Origin(LAKE, SIZE, 8),
        Origin(LAKE, (320, 480), 7),
        Origin(LAKE, SIZE, 7, (("night", 1),)),
    ],
)
def test_a_false_claim_is_not_believed(claim):
    picture = painted(LAKE)
    origin.note(picture, claim)
    assert origin.noted(edit("at night", [open_picture(file_of(picture))], None, 1)) is None


# What an edit does --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    "words", ["at night", "in deep snow", "in autumn", "in the rain", "as a watercolour"]
)
@pytest.mark.parametrize("prompt", [LAKE, STREET, FOX])
def test_hour_season_weather_and_style_are_those_of_a_new_painting(prompt, words, kind):
    result = edited(words, prompt, seed=7, kind=kind)
    assert not differs(result, paint(f"{prompt}, {words}", SIZE, 7)).mean() > 0.01
    assert has_band(result)


def test_another_colour_changes_the_thing_and_nothing_else():
    before, after = painted(LAKE), edited("make the boat blue")
    assert 0.002 < differs(before, after).mean() < 0.06
    blue = above(after)[differs(before, after)].mean(axis=0)
    assert blue[2] > blue[0] + 20
    # It takes the hue from the words and its shade from the seed.
    assert differs(after, edited("make the boat blue", seed=4), by=1).any()


def test_what_is_removed_is_gone_and_what_is_not_there_removes_nothing():
    before = painted(LAKE)
    after = edited("remove the boat")
    assert 0.005 < differs(before, after).mean() < 0.12
    assert not differs(after, paint("a mountain lake", SIZE, 7)).any()
    assert not differs(before, edited("remove the dragon")).any()
    assert not differs(before, edited("make the dragon green")).any()
    assert not differs(before, edited("make the dress green"), by=60).mean() > 0.004


def test_what_is_added_stands_there_and_its_seed_moves_it():
    before = painted(FOX)
    one, other = (edited("add a dog", FOX, seed=seed) for seed in (3, 4))
    assert 0.01 < differs(before, one).mean() < 0.25
    assert differs(one, other).any()


def test_a_thing_in_the_place_of_another_stands_where_that_was():
    before, after = painted(LAKE), edited("a swan instead of the boat")
    gone, new = (
        np.argwhere(differs(one, paint("a mountain lake", SIZE, 7))).mean(axis=0) for one in (before, after)
    )
    assert np.abs(gone - new).max() < 45
    assert not [
        one for one in scene_after("replace the boat with a swan", LAKE).subjects if one.kind == "boat"
    ]


@pytest.mark.parametrize(
    ("words", "prompt", "kinds"),
    [
        ("put a hat on the fox", FOX, ["fox"]),
        ("put a dog in the boat", LAKE, ["boat", "dog"]),
        ("add a bird above the boat", LAKE, ["boat", "bird"]),
        ("a bird instead of the fox", FOX, ["bird"]),
        ("instead of the fox a bird", FOX, ["bird"]),
        ("Instead of the fox, a bird", FOX, ["bird"]),
        ("a red bird instead of the fox", FOX, ["bird"]),
        ("add a boat, instead of the fox a bird", FOX, ["bird", "boat"]),
        ("make the fox blue instead of red", FOX, ["fox"]),
        ("make the fox blue instead", FOX, ["fox"]),
        ("add a dog on the ground and a bird in the sky", FOX, ["fox", "dog", "bird"]),
        ("add a dog under the tree and two birds above it", FOX, ["fox", "dog", "bird"]),
        ("make the boat bigger", LAKE, ["boat"]),
        ("a dog", LAKE, ["boat", "dog"]),
        ("add another boat", LAKE, ["boat", "boat"]),
        ("no person", STREET, []),
        ("add a dog", STREET, ["walker", "dog"]),
        ("make the umbrella green", STREET, ["walker"]),
    ],
)
def test_who_is_in_the_picture_then(words, prompt, kinds):
    assert sorted(one.kind for one in scene_after(words, prompt).subjects) == sorted(kinds)


@pytest.mark.parametrize(
    ("words", "prompt", "kind", "name"),
    [
        ("make the fox blue instead of red", FOX, "fox", "blue"),
        ("a red bird instead of the fox", FOX, "bird", "red"),
        ("add a person in a red coat", FOX, "person", "red"),
        ("a blue boat", LAKE, "boat", "blue"),
    ],
)
def test_a_colour_is_its_things(words, prompt, kind, name):
    (found,) = [one for one in scene_after(words, prompt).subjects if one.kind == kind]
    assert np.abs(np.subtract(found.colours[0], COLOURS[name])).max() < 24


def test_a_street_without_anybody_stays_empty():
    empty = scene_after("remove the person", STREET)
    assert empty.deserted
    assert differs(painted(STREET), edited("remove the person", STREET)).mean() > 0.005


def test_by_day_the_stars_are_gone_and_clear_weather_is_dry():
    assert scene_after("at noon", "a lake under the stars at night, aurora").weather == frozenset()
    assert scene_after("clear sky", "a lake in fog and rain").weather == {"clear"}
    assert scene_after("in summer", "a lake, snowing").weather == frozenset()


def test_edits_follow_each_other_as_they_were_made():
    night = edited("at night")
    blue = edit("make the boat blue", [open_picture(file_of(night))], None, 5)
    warm = edit("warmer", [open_picture(file_of(blue, "JPEG"))], None, 6)
    assert origin.noted(warm).edits == (("at night", 3), ("make the boat blue", 5), ("warmer", 6))
    assert above(night).mean() < above(painted(LAKE)).mean() - 40
    # The one after that, too: the picture is known with its tones.
    last = edit("remove the boat", [open_picture(file_of(warm))], None, 8)
    assert len(origin.noted(last).edits) == 4
    # Warmer once more is warmer than warm.
    warmer = edit("warmer", [open_picture(file_of(warm))], None, 6)
    assert (above(warmer)[..., 0] - above(warmer)[..., 2]).mean() > (
        above(warm)[..., 0] - above(warm)[..., 2]
    ).mean() + 5


def test_another_size_and_another_picture_are_worked_into_the_painting():
    picture = open_picture(file_of(painted(LAKE)))
    square = edit("at night", [picture], (320, 320), 7)
    assert square.size == (320, 320)
    assert has_band(square)
    assert origin.noted(square) is None
    both = edit("at night, with the fox of the other picture", [picture, painted(FOX)], None, 7)
    put = edit("put a castle there, at night", [picture, painted(FOX)], None, 7)
    # What is put in comes out of the other picture, and is not painted as well.
    assert differs(put, edit("at night", [picture, painted(FOX)], None, 7)).mean() < 0.003
    assert differs(both, paint(f"{LAKE}, at night", SIZE, 7)).mean() > 0.02
