"""The panel's side of the Prompt Enhancer: what it has suggested, and what was accepted of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from qwen_widgets.core import syntax
from qwen_widgets.core.enhancing import Enhanced
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.pacing import Stop
from qwen_widgets.core.sweep import Sweep
from qwen_widgets.grid.recipe import literal
from qwen_widgets.panel.controls import Controls
from qwen_widgets.panel.words import as_marks
from qwen_widgets.studio import studio


class Rewording:
    """Other words for the prompt of some controls."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._found: Enhanced | None = None
        #: Texts that were accepted: what each was made of, and the style.
        self._accepted: dict[str, tuple[str, str]] = {}
        self.asking = False
        self._stop = Stop()

    def stop(self) -> None:
        """Ask for nothing more; what is paid for still arrives."""
        self._stop.set()

    def one_prompt(self) -> str:
        """Return the prompt that is in the box.

        Raises
        ------
        InputError
            There are several, or none.
        """
        texts = [prompt.text for prompt in syntax.parse_prompts(self._controls.prompt).values]
        if len(texts) != 1:
            raise InputError(
                f"prompt: the box holds {len(texts)} prompts, and one at a time can be enhanced."
            )
        return texts[0]

    async def ask(self, text: str) -> None:
        """Ask the enhancer; its words are the controls' `suggestion`."""
        self.asking, self._stop = True, Stop()
        limit = self._controls.max_cost
        try:
            self._found = await studio().aenhance(text, self._controls.style, max_cost=limit, stop=self._stop)
            # A blank line would begin another prompt.
            self._controls.suggestion = " ".join(self._found.text.split())
        finally:
            self.asking = False

    def accept(self) -> str:
        """Return the suggestion as it is now, for the box, and drop it; empty where there is none.

        Raises
        ------
        InputError
            The box would read it otherwise.
        """
        text, found = " ".join(self._controls.suggestion.split()), self._found
        if not text or found is None:
            return ""
        read: tuple[syntax.PromptText, ...] = ()
        with suppress(InputError):
            read = syntax.parse_prompts(literal(text)).values
        if read != (syntax.PromptText(text),):
            raise InputError("enhance: these words would be read as options or a comment; edit them first.")
        self._accepted[text] = (found.original, found.style)
        self.dismiss()
        return literal(text)

    def dismiss(self) -> None:
        """Drop the suggestion."""
        self._controls.suggestion, self._found = "", None

    def changes(self) -> str:
        """Return the suggestion as HTML, with what it changes marked."""
        return "" if self._found is None else as_marks(self._controls.suggestion, self._found.original)

    def noted(self, sweep: Sweep) -> Sweep:
        """Return a sweep that says of its enhanced prompts what they were made of."""
        rows = []
        for row in sweep.rows:
            original, style = self._accepted.get(row.prompt, ("", ""))
            rows.append(replace(row, original=original, style=style) if original else row)
        return replace(sweep, rows=tuple(rows))
