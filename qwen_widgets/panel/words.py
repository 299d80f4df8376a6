"""What a panel says, and what it is written as: lines of HTML, a `%%qwenimage` cell, a line of Python."""

from __future__ import annotations

from markupsafe import Markup

from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.models import DEFAULT_MODEL, DEFAULT_RATIO
from qwen_widgets.core.request import KEPT, InputPicture
from qwen_widgets.grid.marks import mark
from qwen_widgets.grid.recipe import quoted, write_source


def sentence(error: QwenError) -> str:
    """Return an error and what to do about it."""
    return " ".join(text for text in (error.message, error.next_step) if text)


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


def as_magic(
    prompt: str,
    *,
    seeds: str,
    size: str,
    models: tuple[str, ...],
    images: tuple[InputPicture, ...],
    title: str,
    max_cost: float | None,
) -> str:
    """Return the `%%qwenimage` cell of what the controls say; the prompt stays as it was typed."""
    options = [*(f"--image {write_source(image)}" for image in images), f"--seeds {seeds}"]
    if size and (images or size != DEFAULT_RATIO):
        options.append(f"--size {size}")
    if models != (DEFAULT_MODEL.name,):
        options.append("--model " + ",".join(models))
    if title:
        options.append(f"--title {quoted(title)}")
    if max_cost is not None:
        options.append(f"--max-cost {max_cost:g}")
    return f"%%qwenimage {' '.join(options)}\n{prompt}"


def as_python(
    prompt: str,
    *,
    seeds: str,
    size: str,
    models: tuple[str, ...],
    images: tuple[InputPicture, ...],
    title: str,
    max_cost: float | None,
) -> str:
    """Return the Python lines of what the controls say."""
    arguments = [repr(prompt), f"seeds={seeds!r}"]
    if images:
        arguments.append(f"images={[name_again(image) for image in images]!r}")
    if size and (images or size != DEFAULT_RATIO):
        arguments.append(f"sizes={size!r}")
    if models != (DEFAULT_MODEL.name,):
        arguments.append(f"models={','.join(models)!r}")
    if title:
        arguments.append(f"title={title!r}")
    if max_cost is not None:
        arguments.append(f"max_cost={max_cost:g}")
    return f"import qwen_widgets as qw\n\nqw.generate({', '.join(arguments)})"
