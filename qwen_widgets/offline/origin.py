"""Where a picture of the embedded service comes from, kept in its file: an edit of it can then be painted, not guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from PIL import Image

from qwen_widgets.core.metadata import add_texts, text_of

#: The keyword in a PNG's text, a JPEG's comment, and an open picture's notes.
_KEYWORD = "qwen_widgets offline preview"
_LOSS = f"{_KEYWORD} loss"
_LONGEST_PROMPT = 5000
_MOST_EDITS = 20
#: Bytes of all of it, so that a JPEG's comment holds it.
_LONGEST = 60_000
#: By how much the pixels of a file may differ from what was painted, 0 to 255, on average of any 8 × 8.
EXACT, LOSSY, SURE = 1.5, 8.0, float("inf")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a picture was painted from.

    Attributes
    ----------
    prompt : str
    size : tuple of int
        Width and height in pixels.
    seed : int
    edits : tuple of (str, int)
        The words and the seed of each edit since, the first one first.
    """

    prompt: str
    size: tuple[int, int]
    seed: int
    edits: tuple[tuple[str, int], ...] = ()

    def then(self, words: str, seed: int) -> Origin:
        """Return where the picture comes from after another edit."""
        return replace(self, edits=(*self.edits, (words, seed)))


def note(picture: Image.Image, origin: Origin, loss: float = EXACT) -> None:
    """Write down on an open picture where it comes from, and by how much it may differ from what was painted."""
    picture.info[_KEYWORD], picture.info[_LOSS] = origin, loss


def noted(picture: Image.Image) -> Origin | None:
    """Return what is written on an open picture, None where nothing is."""
    origin = picture.info.get(_KEYWORD)
    return origin if isinstance(origin, Origin) else None


def loss_of(picture: Image.Image) -> float:
    """Return by how much an open picture may differ from what was painted."""
    return float(picture.info.get(_LOSS, EXACT))


def embed(data: bytes, origin: Origin) -> bytes:
    """Return a PNG or JPEG with its origin in it, as far as it is short enough to be read again; others as they are."""
    kept = len(origin.edits) <= _MOST_EDITS and all(
        len(words) <= _LONGEST_PROMPT for words in (origin.prompt, *(words for words, _ in origin.edits))
    )
    if not kept:
        return data
    values = {"prompt": origin.prompt, "size": origin.size, "seed": origin.seed, "edits": origin.edits}
    text = json.dumps(values)
    return data if len(text) > _LONGEST else add_texts(data, {_KEYWORD: text})


def read(data: bytes) -> Origin | None:
    """Return where a file's picture comes from, None where it doesn't say or can't be understood.

    What it says is no more than a claim: whoever uses it has to compare the pixels.
    """
    text = text_of(data, _KEYWORD)
    if text is None:
        return None
    try:
        values = json.loads(text)
        width, height = values["size"]
        origin = Origin(
            str(values["prompt"])[:_LONGEST_PROMPT],
            (int(width), int(height)),
            int(values["seed"]),
            tuple((str(words)[:_LONGEST_PROMPT], int(seed)) for words, seed in values["edits"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    return origin if len(origin.edits) <= _MOST_EDITS else None
