"""What a panel says, and what it is written as: lines of HTML, a `%%qwenimage` cell, a line of Python."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup
from traitlets import TraitError

from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.models import DEFAULT_MODEL, DEFAULT_RATIO, Model
from qwen_widgets.core.request import KEPT, InputPicture
from qwen_widgets.grid.describe import time_left
from qwen_widgets.grid.grid import Grid
from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.recipe import write_source, write_title
from qwen_widgets.panel.controls import STEP

#: Of a cell, and not of a prompt.
_OPTIONS = frozenset({"--model", "--title", "--image", "--max-cost", "--enhance", "--count"})
#: Prompts that are shown below the box.
_FEW = 4


def in_words(error: Exception) -> str:
    """Return any error in words; what isn't ours is told from what is."""
    if isinstance(error, QwenError):
        return for_panel(error.sentence)
    if isinstance(error, TraitError):
        return f"that can't be used: {error}"
    what = f"{type(error).__name__}: {error}"
    if _is_an_observers(error):
        return f"code that observes the panel has raised {what}"
    return f"A fault in qwen_widgets: {what}"


#: What a sentence tells the writer of a cell to do, and what does the same in a panel.
_IN_PANEL = tuple(
    (re.compile(said), instead)
    for said, instead in (
        (
            r"allow it with --max-cost (\S+) \(max_cost= in Python\)",
            r"allow it with max_cost=\1 (panel.max_cost in Python)",
        ),
        (
            r"A limit for this run accepts it: --max-cost (\S+) \(max_cost=\S+ in Python\)",
            r"max_cost=\1 accepts it (panel.max_cost in Python)",
        ),
        (r"give one with -i \(images= in Python\)", "choose one with Edit a picture"),
        (r"give it again with -i", "choose it again"),
        (r"; --fresh makes another", ""),
        (r"its further pictures would not be comparable", "Reset begins a new one, and this one is kept"),
        (r"([Rr])un the cell again", r"\1un it again"),
    )
)


def for_panel(text: str) -> str:
    """Return a sentence that was written for a cell as a panel says it."""
    for said, instead in _IN_PANEL:
        text = said.sub(instead, text)
    return text


def progress(grid: Grid) -> str:
    """Return how far a grid's run is: ``3 of 8 · 6 s left``; empty where nothing runs."""
    if grid.done:
        return ""
    ended = sum(cell.state == "stored" for cell in grid)
    return " · ".join([f"{ended} of {len(list(grid))}", *time_left(grid)])


def _is_an_observers(error: Exception) -> bool:
    """Whether an error comes from what traitlets has called outside of this package and its widgets."""
    names = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    last = max((at for at, name in enumerate(names) if name.startswith("traitlets.")), default=None)
    if last is None or last + 1 >= len(names):
        return False
    return names[last + 1].partition(".")[0] not in {"qwen_widgets", "ipywidgets", "anywidget"}


def limits(model: Model) -> str:
    """Return what a side may be."""
    return f"{model.min_side}–{model.max_side} pixels, in steps of {STEP}"


def remarks(typed: str, prompts: Sequence[str], notes: Sequence[str]) -> str:
    """Return as HTML the prompts that a text makes, the first few of them, and what is to be said of it."""
    notes = [*notes, *_lonely_brace(typed), *_options_of_a_cell(prompts)]
    lines = []
    if len(prompts) > 1:
        lines = [Markup("<li>{}</li>").format(text) for text in prompts[:_FEW]]
        if more := len(prompts) - _FEW:
            lines += [Markup("<li>and {} more</li>").format(more)] if more > 0 else []
    found = Markup("<ol>{}</ol>").format(Markup("").join(lines)) if lines else Markup("")
    return str(found + Markup("").join(Markup("<p>{}</p>").format(note) for note in notes))


def _lonely_brace(typed: str) -> list[str]:
    text = re.sub(r"\\[\\{}|]", "", typed)
    if "|" in text and text.count("{") != text.count("}"):
        return ["A brace has no partner, so it is a character of the prompt."]
    return []


def _options_of_a_cell(prompts: Sequence[str]) -> list[str]:
    found = dict.fromkeys(word for text in prompts for word in text.split(" ") if word in _OPTIONS)
    return [f"{word} is an option of a cell; here it is a word of the prompt." for word in found]


def as_html(text: str, kind: str = "") -> str:
    """Return a text as a piece of HTML, in a class of its own where it is one."""
    if not text:
        return ""
    return str(
        Markup('<span class="{}">{}</span>').format(f"qw-p-{kind}", text) if kind else Markup.escape(text)
    )


def name_again(picture: InputPicture) -> str:
    """Return a text that names an input picture in Python."""
    return picture.source or f"{KEPT}{picture.sha256[:20]}"


def as_marks(text: str, against: str) -> str:
    """Return a text as HTML, with what it adds to another one and what it drops marked."""
    tags = {"same": Markup("{}"), "added": Markup("<ins>{}</ins>"), "dropped": Markup("<del>{}</del>")}
    return str(Markup("").join(tags[kind].format(words) for kind, words in mark(text, against, alike=0.0)))


def _options(
    *,
    seeds: str,
    size: str,
    models: tuple[str, ...],
    images: tuple[InputPicture, ...],
    title: str,
    max_cost: float | None,
) -> dict[str, Any]:
    """Return what of the controls isn't the default, by the name that it has in Python."""
    found = {
        "images": images,
        "seeds": seeds,
        # Without a size, an edit follows its picture.
        "sizes": size if images or size != DEFAULT_RATIO else "",
        "models": ",".join(models) if models != (DEFAULT_MODEL.name,) else "",
        "title": title,
        "max_cost": max_cost,
    }
    return {name: value for name, value in found.items() if value not in ("", (), None)}


def as_magic(prompt: str, **said: Any) -> str:
    """Return the `%%qwenimage` cell of what the controls say; the prompt stays as it was typed."""
    write: dict[str, Callable[[Any], str]] = {
        "images": lambda images: " ".join(f"--image {write_source(image)}" for image in images),
        "seeds": "--seeds {}".format,
        "sizes": "--size {}".format,
        "models": "--model {}".format,
        "title": write_title,
        "max_cost": "--max-cost {:g}".format,
    }
    options = [write[name](value) for name, value in _options(**said).items()]
    return f"%%qwenimage {' '.join(options)}\n{prompt}"


def as_python(prompt: str, **said: Any) -> str:
    """Return the Python lines of what the controls say."""
    options = _options(**said)
    if "images" in options:
        options["images"] = [name_again(image) for image in options["images"]]
    arguments = [repr(prompt), *(f"{name}={value!r}" for name, value in options.items())]
    return f"import qwen_widgets as qw\n\nqw.generate({', '.join(arguments)})"
