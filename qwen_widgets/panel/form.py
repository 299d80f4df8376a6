"""The panel's controls: ipywidgets in the order of thought, without any knowledge of what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as w
from traitlets import HasTraits

from qwen_widgets.core.enhancer import STYLES, optimizer
from qwen_widgets.core.errors import InputError, StoppedError
from qwen_widgets.core.models import HIGHEST_SEED, Model
from qwen_widgets.grid.describe import money
from qwen_widgets.panel.controls import CUSTOM, NO_PROMPT, STEP
from qwen_widgets.panel.words import as_html, in_words

#: Buttons: what is pressed, its text, its tooltip. Those without a text are drawn by the style sheet.
_BUTTONS = {
    "run": ("Generate", "Run what the controls say (Control+Enter in the prompt)"),
    "stop": ("Stop", "Buy nothing more; what is paid for still arrives"),
    "die": ("", "Draw a new seed"),
    "enhance": ("Enhance", "Have the Prompt Enhancer reword the prompt"),
    "accept": ("Accept", "Put these words into the prompt; Undo brings the old ones back"),
    "dismiss": ("Dismiss", "Leave the prompt as it is"),
    "clear": ("Remove", "Make pictures of words alone again"),
    "last": ("use last", "Take the seeds of the last run"),
    "magic": ("Copy as magic", "Copy the %%qwenimage cell of these controls"),
    "python": ("Copy as Python", "Copy the Python line of these controls"),
    "insert": ("Insert cell below", "Put the %%qwenimage cell below this one"),
    "undo": ("Undo", "The prompt before this one"),
    "redo": ("Redo", "The prompt after this one"),
    "reset": ("Reset", "All controls as they were at first, and an empty grid"),
}
_CHOSEN = ("ratio", "model", "style")
#: Texts of a place of their own, and what a page reads them out as.
_PLACES = {"length": "", "prompt-error": "alert", "size-error": "alert", "seed-error": "alert",
           "model-error": "alert", "changes": "", "image-error": "alert", "pictures": "", "remarks": "", "sides": "", "seeds": "", "line": "status", "progress": "", "note": "status", "message": "alert"}  # fmt: skip


#: The first word of an error's sentence, and where it is shown.
_BELONGS = {
    word: f"{place}-error"
    for place, words in {
        "prompt": (
            "prompt",
            "prompts",
            "enhance",
            "--ar",
            "--seed",
            "--size",
            "--seeds",
            NO_PROMPT.partition(" ")[0],
        ),
        "image": ("image", "images"),
        "size": ("size", "sizes", "width", "height", "ratio"),
        "seed": ("seed", "seeds", "count"),
        "model": ("model", "models"),
    }.items()
    for word in words
}


class Form:
    """The controls of one panel.

    Parameters
    ----------
    press : callable
        ``(what)``: a button was pressed.
    """

    def __init__(self, press: Callable[[str], None]) -> None:
        self.buttons: dict[str, w.Button] = {}
        for name, (text, tip) in _BUTTONS.items():
            button = w.Button(description=text, tooltip=tip)
            button.add_class(f"qw-p-{name}")
            button.on_click(lambda _, name=name: press(name))
            self.buttons[name] = button
        self.buttons["stop"].disabled = True
        self.places = {name: w.HTML() for name in _PLACES}
        for name, place in self.places.items():
            place.add_class(f"qw-p-{name}")
        # Live regions, which a page must know before they say anything.
        self.roles = {f"qw-p-{name}": role for name, role in _PLACES.items() if role}
        self.controls: dict[str, Any] = {
            "prompt": w.Textarea(description="Prompt", placeholder="what the picture should show", rows=3),
            "style": w.Dropdown(description="Enhance as", options=STYLES),
            "suggestion": w.Textarea(description="Enhanced", rows=3),
            "files": w.FileUpload(
                description="Edit a picture", accept=".png,.jpg,.jpeg,.webp", multiple=True
            ),
            "title": w.Text(description="Title", placeholder="heading of the grid"),
            "ratio": w.Dropdown(description="Ratio"),
            "model": w.Dropdown(description="Model"),
            # Not the bounded kind, which makes of a number another one and says nothing.
            "width": w.IntText(description="Width", step=STEP),
            "height": w.IntText(description="Height", step=STEP),
            "linked": w.ToggleButton(description="", tooltip="Keep width to height"),
            "slider": w.IntSlider(
                description="Seed", min=0, max=HIGHEST_SEED, readout=False, continuous_update=False
            ),
            "seed": w.IntText(description="Seed"),
            "seed_locked": w.ToggleButton(description="", tooltip="Keep the seeds from run to run"),
            "count": w.IntText(description="Seeds"),
        }
        for name, control in self.controls.items():
            control.add_class(f"qw-p-{name}")
        # ipywidgets gives these no name that a page could read out.
        self.names = {"qw-p-slider": "Seed", "qw-p-seed": "Seed, as a number", "qw-p-linked": "Keep width to height",
                      "qw-p-seed_locked": "Keep the seeds from run to run", "qw-p-die": "Draw a new seed", "qw-p-files": "Edit a picture"}  # fmt: skip
        self._seen = ""
        self._offering = False
        #: Rows that are there only at times.
        self.hidden: dict[str, Any] = {"custom": None, "suggested": None}
        self._together: tuple[Model, ...] = ()

    def offer(self, models: Sequence[Model], together: Sequence[Model] = ()) -> None:
        """Fill the model dropdown; `together` are models that a run takes side by side."""
        if len(together) > 1 or not set(together) <= set(models):
            # Run side by side, or not built in.
            self._together = tuple(together)
        choices = [*filter(None, [self._together]), *((model,) for model in models)]
        options = []
        for chosen in choices:
            # What nearly all of them begin with tells nothing, and the field is narrow.
            titles = " + ".join(model.title.removeprefix("Qwen Image ") for model in chosen)
            price = money(sum(float(model.price) for model in chosen))
            options.append((f"{titles} · {price}", ",".join(model.name for model in chosen)))
        self._options("model", options)

    def price_enhancer(self, *, free: bool) -> None:
        """Put on the enhancer's button what a press costs."""
        price = "no cost" if free else money(float(optimizer().price))
        self.write(self.buttons["enhance"], description=f"Enhance · {price}")

    def offer_sizes(self, presets: Iterable[str]) -> None:
        """Fill the ratio dropdown."""
        self._options("ratio", [*((ratio, ratio) for ratio in presets), (CUSTOM, CUSTOM)])

    def _options(self, name: str, options: list[tuple[str, str]]) -> None:
        control: Any = self.controls[name]
        if list(control.options) != options:
            kept = control.value
            # Other options put the first of them in; nobody has chosen it.
            self._offering = True
            try:
                control.options = options
                if kept in [value for _, value in options]:
                    control.value = kept
            finally:
                self._offering = False

    def say(self, place: str, text: str, kind: str = "") -> None:
        """Put a text where it belongs."""
        html = as_html(text, kind)
        if self.places[place].value != html:
            self.places[place].value = html

    def tell(self, error: Exception | None) -> str:
        """Show an error where it belongs, and return its words; None takes the last one away."""
        for place in {*_BELONGS.values(), "message", "note"}:
            self.say(place, "")
        text = "" if error is None else in_words(error)
        # That something was stopped is no failure.
        place = "note" if isinstance(error, StoppedError) else "message"
        if isinstance(error, InputError):
            # A sentence about a field begins with the field's name.
            place = _BELONGS.get(text.split(" ", 1)[0].rstrip(":"), place)
        self.say(place, text)
        return text

    def bind(self, name: str, panel: HasTraits, take: Callable[[str, Any], None]) -> None:
        """Keep a control and the panel's trait of that name as one; `take` checks what comes from the page."""
        control: Any = self.controls[name]
        control.value = getattr(panel, name)

        def taken(change: Any) -> None:
            if not self._offering:
                take(name, change["new"])

        control.observe(taken, names="value")

        def shown(change: Any) -> None:
            if name != self._seen:
                self.show(name, change["new"])

        panel.observe(shown, names=name)

    def show(self, name: str, value: Any, *, again: bool = False) -> None:
        """Show a value in its control; `again` where the page may show another one than is known here."""
        control: Any = self.controls[name]
        if control.value != value:
            control.value = value
        elif again:
            control.send_state("value")

    @contextmanager
    def seen(self, name: str) -> Iterator[None]:
        """Take a value that the page shows already: sent back, it would overwrite what is typed meanwhile."""
        self._seen = name
        try:
            yield
        finally:
            self._seen = ""

    def unfold(self, row: str, yes: bool) -> None:
        """Show or hide a row that is there only at times."""
        display = None if yes else "none"
        if self.hidden[row].layout.display != display:
            self.hidden[row].layout.display = display

    def disable(self, name: str, no: bool) -> None:
        """Say whether a control or a button can't be used now."""
        control: Any = self.controls.get(name) or self.buttons[name]
        if control.disabled != no:
            control.disabled = no

    def fields(self, panel: HasTraits) -> dict[str, Any]:
        """Return the fields as the page reads them off its own controls."""
        names = ("prompt", "title", "suggestion", "width", "height", "seed", "count")
        found = {name: getattr(panel, name) for name in names}
        return found | {name: all_.index(getattr(panel, name)) for name, all_ in self.options().items()}

    def options(self) -> dict[str, list[str]]:
        """Return the values of the dropdowns."""
        found = {name: self.controls[name].options for name in _CHOSEN}
        return {name: [one if isinstance(one, str) else one[1] for one in found[name]] for name in found}

    @staticmethod
    def write(widget: Any, **values: Any) -> None:
        """Set those of a widget's traits that have changed."""
        for name, value in values.items():
            if getattr(widget, name) != value:
                setattr(widget, name, value)

    def layout(self, results: w.Widget, bridge: w.Widget) -> w.Box:
        """Return the panel as one widget: the controls in the order of thought, the results beside them."""
        c, b, p = self.controls, self.buttons, self.places
        rows: list[tuple[str, list[w.Widget]]] = [
            ("prompts", [c["prompt"], p["length"], p["prompt-error"]]),
            ("error", [p["remarks"]]),
            ("words", [c["style"], b["enhance"]]),
            ("suggested", [c["suggestion"], p["changes"], b["accept"], b["dismiss"]]),
            ("pictures", [p["pictures"], c["files"], b["clear"]]),
            ("error", [p["image-error"]]),
            ("model", [c["model"]]),
            ("pair", [c["ratio"], c["count"]]),
            ("custom", [c["width"], c["height"], c["linked"], p["sides"]]),
            ("error", [p["size-error"], p["model-error"]]),
            ("seedline", [c["slider"], c["seed"], b["die"], c["seed_locked"], b["last"]]),
            ("error", [p["seeds"], p["seed-error"]]),
            ("titles", [c["title"]]),
            ("go", [b["run"], b["stop"]]),
            ("error", [p["line"]]),
            ("error", [p["progress"]]),
            ("error", [p["message"], p["note"]]),
            ("ways", [b["undo"], b["redo"], b["magic"], b["python"], b["insert"], b["reset"]]),
        ]
        boxes = []
        for kind, children in rows:
            box = w.Box(children)
            box.add_class(f"qw-p-row-{kind}")
            boxes.append(box)
            if kind in self.hidden:
                self.hidden[kind] = box
        left = w.VBox([*boxes, bridge])
        left.add_class("qw-p-controls")
        whole = Whole([left, results])
        whole.add_class("qw-panel")
        return whole


class Whole(w.Box):  # type: ignore[misc]  # ipywidgets has no types
    """The panel as a widget: where widgets are not shown, the snapshot in the next output speaks."""

    def __repr__(self) -> str:
        # Not the hundred traits of what is inside.
        return "Panel()"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": "", "text/html": "<span></span>"}, metadata
