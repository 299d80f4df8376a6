"""From the words of a prompt to a Scene: what is to be drawn, before anything is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from qwen_widgets.offline.painting.words import COLOURS, HOMES, SHADES, WORDS, Word

RGB = tuple[float, float, float]

#: Places that leave no room for others, the one that goes before first.
_SETTINGS = ("room", "moonland", "space", "deep", "street")
_MOST_SUBJECTS = 4
_MOST_STRANGE = 10
_LONGEST_PROMPT = 4000

# A run of Latin letters and digits (with inner hyphens), a run of Chinese, or a break between phrases.
_TOKEN = re.compile(r"[a-z0-9&]+(?:-[a-z0-9]+)*|[\u4e00-\u9fff]+|[^\W_]+|[,.;:!?，。；：！？、\n]")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_LONGEST_PHRASE = max(len(surface.split()) for surface in WORDS)
_LONGEST_HAN = max(len(surface) for surface in WORDS if _HAN.fullmatch(surface))


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that the prompt names.

    Attributes
    ----------
    kind : str
        What it is, one of the painter's subjects.
    count : int
        How many, 1 to 5.
    colours : tuple of RGB
        The colours that the prompt gives it, the main one first; empty where it gives none.
    word : str
        The word that named it.
    spot : str
        The stream that its place comes from, where it isn't its kind's own.
    """

    kind: str
    count: int = 1
    colours: tuple[RGB, ...] = ()
    word: str = ""
    spot: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a prompt asks for, as far as the painter understands it.

    Attributes
    ----------
    places : frozenset of str
        Where: mountain, lake, city, room …; never empty.
    time, season : str
        When; the season is empty where none is named.
    weather : frozenset of str
        Rain, fog, stars …
    subjects : tuple of Subject
        Who and what, in the prompt's order.
    styles : tuple of str
        How it is painted.
    tints : tuple of (str, RGB)
        Colours of a place, of the sky or of the leaves.
    ambience : RGB or None
        A colour that belongs to nothing in particular.
    riding : bool
        Whether the first who can ride rides the first that can be ridden.
    strange : tuple of str
        Words that the painter doesn't know; each leaves a small mark.
    residue : str
        A digest of everything that shows nowhere else, or nothing.
    deserted : bool
        Whether a street is empty where nobody is named.
    """

    places: frozenset[str]
    time: str = "day"
    season: str = ""
    weather: frozenset[str] = frozenset()
    subjects: tuple[Subject, ...] = ()
    styles: tuple[str, ...] = ()
    tints: tuple[tuple[str, RGB], ...] = ()
    ambience: RGB | None = None
    riding: bool = False
    strange: tuple[str, ...] = ()
    residue: str = ""
    deserted: bool = False

    def tint(self, name: str) -> RGB | None:
        """Give the colour that the prompt binds to a place, or None."""
        return dict(self.tints).get(name)

    @property
    def setting(self) -> str:
        """The place that the whole picture is of; nothing where it is the land, with all its places together."""
        return next((name for name in _SETTINGS if name in self.places), "")

    def has(self, kind: str) -> bool:
        """Tell whether a subject of this kind is named."""
        return any(subject.kind == kind for subject in self.subjects)


def _singulars(word: str) -> list[str]:
    forms = [word]
    if word.endswith("ies") and len(word) > 4:
        forms.append(word[:-3] + "y")
    if word.endswith("ves") and len(word) > 4:
        forms += [word[:-3] + "f", word[:-3] + "fe"]
    if word.endswith("es") and len(word) > 3:
        forms.append(word[:-2])
    if word.endswith("s") and len(word) > 2:
        forms.append(word[:-1])
    return forms


def _latin(tokens: list[str], start: int) -> tuple[int, str, Word | None]:
    """Find the longest phrase that starts here: how many tokens, its text, its meaning."""
    for length in range(min(_LONGEST_PHRASE, len(tokens) - start), 0, -1):
        parts = tokens[start : start + length]
        head = " ".join(parts[:-1])
        for last in _singulars(parts[-1]):
            surface = f"{head} {last}" if head else last
            if surface in WORDS:
                known = WORDS[surface]
                plural = last != parts[-1] and known.kind == "subject"
                return length, surface, known._replace(plural=True) if plural else known
    word = tokens[start]
    if "-" in word:
        for part in word.split("-"):
            inner = WORDS.get(part)
            if inner is not None and inner.kind != "stop":
                return 1, word, inner
    return 1, word, None


def _han(run: str) -> list[tuple[str, Word | None]]:
    """Cut a run of Chinese into the longest words that are known; what lies between stays together."""
    found: list[tuple[str, Word | None]] = []
    unknown, at = "", 0
    while at < len(run):
        for length in range(min(_LONGEST_HAN, len(run) - at), 0, -1):
            surface = run[at : at + length]
            if surface in WORDS:
                if unknown:
                    found.append((unknown, None))
                    unknown = ""
                found.append((surface, WORDS[surface]))
                at += length
                break
        else:
            unknown += run[at]
            at += 1
    if unknown:
        found.append((unknown, None))
    return found


class Token(NamedTuple):
    """A word or a phrase of the prompt: its text, its meaning, and from where to where it goes."""

    surface: str
    word: Word | None
    start: int
    end: int


def words_of(text: str) -> list[Token]:
    """Cut a text in lower case into words and phrases, with their meaning where they have one."""
    matches = list(_TOKEN.finditer(text))
    tokens = [match.group() for match in matches]
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        token, start = tokens[at], matches[at].start()
        if _HAN.fullmatch(token):
            for surface, word in _han(token):
                found.append(Token(surface, word, start, start + len(surface)))
                start += len(surface)
            at += 1
        elif not token[0].isalnum():
            found.append(Token(",", Word("stop", ","), start, start + 1))
            at += 1
        else:
            length, surface, word = _latin(tokens, at)
            found.append(Token(surface, word, start, matches[at + length - 1].end()))
            at += length
    return found


def _skeleton(prompt: str, text: str, tokens: list[Token]) -> str:
    """Give the prompt with the kinds of its words in their places, which no edit that is seen changes."""
    parts, last = [], 0
    for token in tokens:
        parts.append(text[last : token.start])
        seen = token.word is not None and token.word.kind != "stop"
        parts.append(
            f"<{token.word.kind}>" if seen and token.word is not None else text[token.start : token.end]
        )
        last = token.end
    parts.append(text[last:])
    # Capitals by their places in the words, as "Red" and "Blue" are the same edit as "red" and "blue".
    capitals = [[k for k, letter in enumerate(word) if letter.isupper()] for word in prompt.split()]
    return "".join(parts) + str(capitals) + prompt[_LONGEST_PROMPT:]


class _Reader:
    """Reads the words one after the other and keeps what is waiting for its noun."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.times: list[str] = []
        self.seasons: list[str] = []
        self.weather: list[str] = []
        self.subjects: list[Subject] = []
        self.styles: list[str] = []
        self.tints: dict[str, RGB] = {}
        self.bare: list[RGB] = []
        self.riding = False
        self.strange: list[str] = []
        self.unseen: list[str] = []
        self._colours: list[RGB] = []
        self._count = 1
        self._since = 0

    def read(self, surface: str, word: Word | None, following: Word | None) -> None:
        """Take one word in."""
        if word is None:
            self.strange.append(surface)
            self._wait()
            return
        kind, name = word.kind, word.name
        # An orange on a table is a fruit; an orange cat is a cat. Gold and silver are colours either way.
        if surface == "orange" and not self._before_noun(following):
            word, kind, name = Word("subject", "fruit"), "subject", "fruit"
            self._colours.append(COLOURS["orange"])
        if kind == "colour":
            self._colours.append(COLOURS[name])
            self._since = 0
        elif kind == "count":
            self._count = int(name)
            self._since = 0
        elif kind == "subject":
            if word.plural and self._count == 1:
                self._count = 3
            self._subject(name, surface)
        elif kind in {"place", "tint"}:
            self._bind(name)
            if kind == "place":
                self.places.append(name)
        elif kind == "time":
            self._bind("light")
            self.times.append(name)
        elif kind == "season":
            self._bind("leaves")
            self.seasons.append(name)
            if "樱花" in surface or "blossom" in surface or "sakura" in surface:
                self.tints.setdefault("leaves", (246, 176, 200))
        elif kind == "weather":
            self._bind("sky" if name != "moon" else "moon")
            self.weather.append(name)
        elif kind == "style":
            self._release()
            self.styles.append(name)
        elif kind == "bond":
            self.riding = True
            self._release()
        elif name == ",":
            self._release()
            return
        else:
            self._wait()
        if surface != name and kind not in {"colour", "count"}:
            self.unseen.append(surface)

    def finish(self) -> None:
        """Let go of the last colour."""
        self._release()

    @staticmethod
    def _before_noun(following: Word | None) -> bool:
        return following is not None and following.kind not in {"stop", "style", "bond", "count"}

    def _wait(self) -> None:
        self._since += 1
        if self._since > 2:
            self._release()

    def _release(self) -> None:
        self.bare += self._colours
        self._colours, self._count, self._since = [], 1, 0

    def _bind(self, name: str) -> None:
        if self._colours:
            self.tints[name] = self._colours[0]
        self._colours, self._count, self._since = [], 1, 0

    def _subject(self, kind: str, surface: str) -> None:
        colours = tuple(self._colours)
        if not colours and surface in SHADES:
            colours = (SHADES[surface],)
        for at, known in enumerate(self.subjects):
            if known.kind == kind:  # "a boat … the boat": one boat, and what is said of it adds up
                merged = Subject(kind, max(known.count, self._count), known.colours or colours, known.word)
                self.subjects[at] = merged
                break
        else:
            self.subjects.append(Subject(kind, self._count, colours, surface))
        self._colours, self._count, self._since = [], 1, 0


def _places(reader: _Reader) -> frozenset[str]:
    places = set(reader.places)
    # The sky alone is no place while there is ground to stand on.
    if places - {"heights"}:
        places.discard("heights")
    if "moonland" in places:
        places.discard("space")
    if not places - {"heights"}:
        for subject in reader.subjects:
            home = HOMES.get(subject.kind)
            if home is not None:
                places.add(home)
                break
    floats = {"boat", "whale", "duck"} & {subject.kind for subject in reader.subjects}
    if floats and not places & {
        "lake",
        "river",
        "sea",
        "beach",
        "deep",
        "space",
        "moonland",
        "room",
        "street",
    }:
        places.add("lake")
    return frozenset(places or {"field"})


@lru_cache(maxsize=256)
def read_scene(prompt: str) -> Scene:
    """Read a prompt.

    Parameters
    ----------
    prompt : str
        Any text, English or Chinese; what isn't understood is kept as a strange word.

    Returns
    -------
    Scene
        What is to be drawn. The same text always gives the same scene.
    """
    reader = _Reader()
    text = prompt[:_LONGEST_PROMPT].lower()
    words = words_of(text)
    for at, token in enumerate(words):
        reader.read(token.surface, token.word, words[at + 1].word if at + 1 < len(words) else None)
    reader.finish()
    places = _places(reader)
    weather = set(reader.weather)
    night = bool(weather & {"stars", "moon", "aurora", "meteor"}) or "neon" in reader.styles
    # A named hour outdoes the one that a style or the stars suggest.
    time = reader.times[0] if reader.times else "night" if night else "day"
    if "golden" in reader.times:
        time = "golden"
    unseen = [
        _skeleton(prompt, text, words),
        *reader.unseen,
        *reader.times[1:],
        *reader.seasons[:-1],
        *reader.strange,
    ]
    unseen += [subject.word for subject in reader.subjects[_MOST_SUBJECTS:]]
    digest = hashlib.sha256("\n".join(unseen).encode("utf-8", "replace")).hexdigest()[:16] if prompt else ""
    ambience = None
    if reader.bare:
        share = 1.0 / len(reader.bare)
        ambience = (
            sum(c[0] for c in reader.bare) * share,
            sum(c[1] for c in reader.bare) * share,
            sum(c[2] for c in reader.bare) * share,
        )
    return Scene(
        places=places,
        time=time,
        season=_last(reader.seasons),
        weather=frozenset(weather),
        subjects=tuple(reader.subjects[:_MOST_SUBJECTS]),
        styles=tuple(dict.fromkeys(reader.styles)),
        tints=tuple(sorted(reader.tints.items())),
        ambience=ambience,
        riding=reader.riding,
        strange=tuple(dict.fromkeys(reader.strange))[:_MOST_STRANGE],
        residue=digest,
    )


def _last(names: list[str]) -> str:
    return names[-1] if names else ""
