"""What stood in the prompt box at each step, to go back to and forward again. No widgets here."""

from __future__ import annotations


class Steps:
    """A line of texts and a place in it; a text that was never recorded is kept when one goes back from it."""

    def __init__(self, first: str = "") -> None:
        self._texts = [first]
        self._at = 0

    def record(self, text: str) -> None:
        """Make a text the newest step; what was undone before it is gone."""
        if text != self._texts[self._at]:
            self._texts = [*self._texts[: self._at + 1], text]
            self._at += 1

    def undo(self, now: str) -> str:
        """Return the text one step before what stands in the box now."""
        self.record(now)
        self._at = max(0, self._at - 1)
        return self._texts[self._at]

    def redo(self, now: str) -> str:
        """Return the text one step after it; a text that was edited since has none."""
        if now == self._texts[self._at] and self._at + 1 < len(self._texts):
            self._at += 1
            return self._texts[self._at]
        return now

    def can_undo(self, now: str) -> bool:
        """Whether there is a step before what stands in the box now."""
        return self._at > 0 or now != self._texts[0]

    def can_redo(self, now: str) -> bool:
        """Whether there is a step after it."""
        return now == self._texts[self._at] and self._at + 1 < len(self._texts)
