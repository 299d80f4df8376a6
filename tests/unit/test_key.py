"""The API key: it can be used and compared, and nothing shows it."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from qwen_widgets.core.errors import SettingsError
from qwen_widgets.core.key import ApiKey

TEXT = "sk-Canary_0123456789.abcdef~!"


def test_it_is_sent_as_it_was_given():
    assert ApiKey(TEXT).authorization() == f"Bearer {TEXT}"


@pytest.mark.parametrize("around", [" {} ", "{}\n", "\t{}\r\n", "\n\n{}", "\u00a0{}\u3000"])
def test_blanks_around_it_are_dropped(around):
    assert ApiKey(around.format(TEXT)) == ApiKey(TEXT)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        "%s".__mod__,
        ascii,
        lambda key: json.dumps(str(key)),
        lambda key: str([key]),
        lambda key: str(dir(key)),
    ],
)
def test_nothing_shows_it(show):
    shown = show(ApiKey(TEXT))
    assert TEXT not in shown
    assert "Canary" not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol):
    with pytest.raises(TypeError):
        pickle.dumps(ApiKey(TEXT), protocol)


@pytest.mark.parametrize(
    "do", [copy.copy, copy.deepcopy, lambda key: key.__getstate__(), lambda key: key.__reduce_ex__(4), vars]
)
def test_it_cannot_be_taken_apart(do):
    with pytest.raises(TypeError):
        do(ApiKey(TEXT))


@pytest.mark.parametrize("text", ["", " ", "\n", "\u00a0"])
def test_an_empty_one_is_refused(text):
    with pytest.raises(SettingsError, match="empty"):
        ApiKey(text)


@pytest.mark.parametrize("text", [None, 5, b"sk-secret", ["sk-secret"], ApiKey(TEXT)])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(SettingsError) as caught:
        ApiKey(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("secret secret", 7),
        ("secret\nsecret", 7),
        ("secret\r\nsecret", 7),
        ("secret\tsecret", 7),
        ("secret\x00", 7),
        ("sécret", 2),
        ("\u200bsecret", 1),
        ("secret\u2028secret", 7),
        ("Bearer secret", 7),
        ("secret\x7f", 7),
    ],
)
def test_a_pasted_one_is_refused_with_the_place_and_never_the_text(text, place):
    def hand_over(pieces):
        return ApiKey("".join(pieces))

    with pytest.raises(SettingsError, match=f"character {place} of {len(text)}") as caught:
        hand_over([*text])
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    own = shown[shown.index("core/key.py") :]
    assert "secret" not in own
    assert "cret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_equal_keys_are_one_account():
    assert ApiKey(TEXT) == ApiKey(TEXT)
    assert len({ApiKey(TEXT), ApiKey(TEXT), ApiKey(TEXT + "x")}) == 2
    assert ApiKey(TEXT) != TEXT
    assert ApiKey(TEXT) != ApiKey(TEXT + "x")
    assert ApiKey(TEXT).fingerprint == ApiKey(f" {TEXT}\n").fingerprint != ApiKey(TEXT + "x").fingerprint
    assert ApiKey(TEXT).fingerprint not in TEXT


def test_it_can_be_looked_for():
    assert ApiKey(TEXT).inside(f"… {TEXT} …")
    assert not ApiKey(TEXT).inside("…")
