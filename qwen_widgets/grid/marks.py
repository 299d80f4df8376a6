"""What differs between two prompts, word by word, for the row headers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import takewhile

from qwen_widgets.grid.view import Mark

Parts = tuple[tuple[Mark, str], ...]

#: Below this share of common words two prompts are different prompts, and marking nearly everything says nothing.
ALIKE = 0.3

# SequenceMatcher is quadratic in the pairs of equal words (all-alike Chinese prompts are the worst); beyond
# this many pairs what lies between the common beginning and end counts as replaced.
_MOST_PAIRS = 20_000

_CJK = r"\u3040-\u30ff\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
# What follows a character and belongs to it: voicing marks and variation selectors.
_FOLLOWS = r"[\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]*"
_STOPS = r",.;:!?()\[\]{}<>\"“”„«»…、。，．！？；：（）【】「」『』《》"
# A word is whatever isn't blank, a stop or CJK, so that combining marks and joined emoji stay whole.
_TOKEN = re.compile(rf"([{_CJK}]{_FOLLOWS}|[^\s{_CJK}{_STOPS}]+|.)(\s*)", re.DOTALL)
_LEAD = re.compile(r"\s*")


def _tokens(text: str) -> list[tuple[str, str]]:
    """Cut a text into words and the blanks after each; blanks at its very beginning are not in the list."""
    return [(found[1], found[2]) for found in _TOKEN.finditer(text, _lead(text))]


def _lead(text: str) -> int:
    found = _LEAD.match(text)
    return found.end() if found else 0


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _steps(old: list[str], new: list[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """Yield (same?, from and to in `old`, from and to in `new`), in order and without gaps."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    end_old, end_new = len(old) - tail, len(new) - tail
    if head:
        yield True, 0, head, 0, head
    middle_old, middle_new = old[head:end_old], new[head:end_new]
    count = Counter(middle_old)
    if sum(count[word] for word in middle_new) > _MOST_PAIRS:
        yield False, head, end_old, head, end_new
    else:
        matcher = SequenceMatcher(None, middle_old, middle_new, autojunk=False)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            yield tag == "equal", i1 + head, i2 + head, j1 + head, j2 + head
    if tail:
        yield True, end_old, len(old), end_new, len(new)


def _dropped(tokens: list[tuple[str, str]], first: int, last: int, before: str, *, more: bool) -> str:
    """Return the dropped words with the blanks that set them off from what stands before and behind."""
    text = "".join(word + blank for word, blank in tokens[first:last]).strip()
    apart = not before or before[-1].isspace()
    lead = "" if apart or first == 0 or not tokens[first - 1][1] else " "
    return lead + text + (" " if more and tokens[last - 1][1] else "")


@lru_cache(maxsize=1024)
def mark(prompt: str, against: str, *, alike: float = ALIKE) -> Parts:
    """Mark how `prompt` differs from `against`, word by word; Chinese and Japanese go character by character.

    Joining the ``same`` and ``added`` runs gives `prompt` exactly. ``dropped`` runs are words of `against` that
    `prompt` hasn't; they stand behind what was added in their place. Prompts that share less than
    `alike` of their words come back unmarked.
    """
    if not prompt:
        return ()
    unmarked: Parts = (("same", prompt),)
    old, new = _tokens(against), _tokens(prompt)
    if prompt == against or not old or not new:
        return unmarked
    steps = list(_steps([word for word, _ in old], [word for word, _ in new]))
    common = sum(i2 - i1 for same, i1, i2, _, _ in steps if same)
    if 2 * common < alike * (len(old) + len(new)):
        return unmarked
    runs: list[tuple[Mark, str]] = []
    before = prompt[: _lead(prompt)]
    for same, i1, i2, j1, j2 in steps:
        text = "".join(word + blank for word, blank in new[j1:j2])
        if text:
            text = prompt[: _lead(prompt)] * (j1 == 0) + text
            runs.append(("same" if same else "added", text))
            before = text
        if not same and i2 > i1:
            dropped = _dropped(old, i1, i2, before, more=j2 < len(new))
            runs.append(("dropped", dropped))
            before = dropped
    return tuple(runs)


def brief(parts: Parts, room: int = 150) -> Parts:
    """Shorten what is the same in a long prompt, so that its marks are seen in three lines.

    Parameters
    ----------
    parts : tuple of (mark, text)
        As `mark` returns them.
    room : int
        Characters up to which nothing is left out.
    """
    if sum(len(text) for _, text in parts) <= room:
        return parts
    if all(kind == "same" for kind, _ in parts):
        return (("same", _middle("".join(text for _, text in parts), room, 0)),)
    each = max(12, room // (2 * len(parts)))
    last = len(parts) - 1
    return tuple(
        (kind, _middle(text, each, 0 if at == last else each) if kind == "same" else text)
        for at, (kind, text) in enumerate(parts)
    )


def _middle(text: str, head: int, tail: int) -> str:
    """Leave out the middle of a text, at blanks where there are any near."""
    if len(text) <= head + tail + 3:
        return text
    start, end = text[:head], text[len(text) - tail :] if tail else ""
    start = start[: start.rfind(" ") + 1].rstrip() or start
    end = end[end.find(" ", 0, -1) :] if " " in end[:-1] else end
    return f"{start}…{end}"
