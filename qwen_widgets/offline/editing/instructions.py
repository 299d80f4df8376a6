"""From the words of an edit to an Edit: what is to be changed, before anything is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from qwen_widgets.offline.painting.scene import Subject, Token, words_of
from qwen_widgets.offline.painting.words import COLOURS, SHADES

RGB = tuple[float, float, float]

_LONGEST = 4000
_MOST_STRANGE = 10
_TONES: dict[str, str] = {
    "warm": r"warmer|\bwarm(?:th)?\b|暖",
    "cold": r"colder|cooler|\bcold\b|\bcool\b|冷",
    "bright": r"brighter|lighter|brighten|more light|well[- ]lit|更亮|亮一点|提亮|明亮",
    "dark": r"darker|darken|dimmer|underexposed|更暗|暗一点|变暗|压暗",
    "contrast": r"contrast|dramatic|punchy|对比",
    "vivid": r"vivid|vibrant|saturat|colou?rful|鲜艳|饱和",
    "muted": r"muted|faded|desaturat|pastel|washed[- ]out|淡雅|褪色|柔和",
    "sharp": r"sharpe[nr]|sharp\b|crisper|锐化|清晰",
    "soft": r"softer|blurr(?:y|ed)|\bblur (?:it|the (?:picture|image|photo))|dreamy|模糊",
    "mirror": r"\bmirror(?:ed)?\b(?! lake)|\bflip|镜像|翻转",
    "close": r"zoom in|close[- ]?up|closer|crop|放大|特写|拉近",
}
_BACKGROUND = re.compile(r"background|backdrop|背景")
_REMOVE_BACKGROUND = re.compile(
    r"remove|without|\bno\b|erase|delete|transparent|plain|cut ?out|去掉|去除|移除|删除|抠"
)
_BLUR_BACKGROUND = re.compile(r"blur|bokeh|soft|shallow|out of focus|虚化|模糊")
#: Words by which another picture gives only its colours, not what it shows.
_LIKE_OTHER = re.compile(
    r"(?:colou?rs?|palette|tones?|style|mood|look|light(?:ing)?|grading?) (?:of|from|in|as in) "
    r"(?:the )?(?:second|other|third|last|image|picture|photo|reference)"
    r"|(?:second|other|reference)(?: image| picture| photo)?'s (?:colou?rs?|palette|style|mood|look)"
    r"|图\s*[二2三3]?的?(?:色调|颜色|风格)|参考.*?(?:色调|颜色|风格)"
)
# What the words after a verb are for; a comma or a full stop ends it.
_VERBS: dict[str, frozenset[str]] = {
    "replace": frozenset(["replace", "replacing", "swap", "exchange", "substitute"]),
    "remove": frozenset(["remove", "removing", "erase", "delete", "without", "rid", "no"]),
    "add": frozenset(
        ["add", "adding", "put", "place", "insert", "include", "draw", "plus", "wearing", "holding"]
    ),
    "change": frozenset(
        ["make", "turn", "change", "paint", "color", "colour", "dye", "recolor", "recolour", "give"]
    ),
}
_HAN_VERBS: tuple[tuple[str, str], ...] = (
    ("become", "换成 变成 改成 替换为 替换成 改为 变为 染成 涂成"),
    ("remove", "去掉 去除 移除 删除 删掉 拿走 没有"),
    ("add", "添加 加上 加入 增加 放 画上 加"),
)
#: Behind a thing and before what it becomes.
_INTO = frozenset(["into", "to", "by", "with", "for", "as"])
#: Behind a thing that is put somewhere, and before where that is.
_BESIDE = frozenset(
    [
        "on",
        "onto",
        "upon",
        "in",
        "into",
        "inside",
        "at",
        "beside",
        "behind",
        "under",
        "near",
        "next",
        "over",
        "above",
        "below",
        "around",
        "by",
        "to",
        "front",
        "between",
        "against",
    ]
)
_FILLERS = frozenset(
    [
        "same",
        "picture",
        "image",
        "photo",
        "scene",
        "now",
        "please",
        "so",
        "look",
        "looks",
        "like",
        "keep",
        "keeping",
        "everything",
        "else",
        "be",
        "more",
        "less",
        "bit",
        "little",
        "lot",
        "much",
        "slightly",
        "style",
        "version",
        "but",
        "not",
        "all",
        "whole",
        "only",
        "just",
        "tone",
        "tones",
        "mood",
        "very",
        "background",
        "backdrop",
        "and",
        "or",
        "of",
        "hour",
        "time",
        "day",
        "edit",
        "first",
        "second",
        "third",
        "other",
        "reference",
        "use",
        "using",
        "take",
        "out",
        "get",
        "away",
        "set",
        "them",
        "it's",
        "i",
        "you",
        "want",
        "would",
        "warmer",
        "warm",
        "colder",
        "cooler",
        "cool",
        "cold",
        "brighter",
        "lighter",
        "darker",
        "contrast",
        "vivid",
        "vibrant",
        "colorful",
        "colourful",
        "muted",
        "faded",
        "pastel",
        "sharper",
        "sharpen",
        "softer",
        "blur",
        "blurred",
        "blurry",
        "bokeh",
        "mirror",
        "flip",
        "mirrored",
        "zoom",
        "closer",
        "close-up",
        "close",
        "crop",
    ]
)
_HAN_FILLERS = re.compile(
    "把|将|让|请|变|改|成|为|这|张|图|片|里|中的|换|画|加|风格|更|一点|些|同样|保持|其他|不变|照片|场景|颜色|全部|给|它|他|她|背景"
)
_PLACES = {
    "lake": "water",
    "river": "water",
    "sea": "water",
    "beach": "ground",
    "field": "ground",
    "forest": "leaves",
}
#: Weather that leaves a clear sky where it is taken out.
NOT_CLEAR = frozenset({"rain", "storm", "clouds", "fog", "snowfall", "wind"})


@dataclass(frozen=True, slots=True)
class Recolour:
    """A colour for something in the picture.

    Attributes
    ----------
    target : str
        A subject, ``sky``, ``leaves``, ``water``, ``ground``, or nothing for what stands out most.
    colour : RGB
    source : RGB or None
        The colour that it has, where the words say so.
    place : str
        The place that the target is part of, by its own name.
    """

    target: str
    colour: RGB
    source: RGB | None = None
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit asks for, as far as it is understood.

    Attributes
    ----------
    hour, season : str
        The new hour and season, or nothing.
    weather : frozenset of str
        The new weather.
    styles : tuple of str
        How it is painted over.
    tones : frozenset of str
        Warmer, darker, sharper, mirrored …
    recolours : tuple of Recolour
    added : tuple of Subject
        What is put into the picture.
    removed : tuple of str
        What is taken out; ``""`` is what stands out most.
    background : str
        ``remove``, ``blur``, or nothing.
    backdrop : RGB or None
        The colour of the new background.
    like_other : bool
        Whether the other pictures give their colours rather than what they show.
    strange : tuple of str
        Words that are not understood.
    residue : str
        A digest of the words.
    """

    hour: str = ""
    season: str = ""
    weather: frozenset[str] = frozenset()
    styles: tuple[str, ...] = ()
    tones: frozenset[str] = frozenset()
    recolours: tuple[Recolour, ...] = ()
    added: tuple[Subject, ...] = ()
    removed: tuple[str, ...] = ()
    background: str = ""
    backdrop: RGB | None = None
    like_other: bool = False
    strange: tuple[str, ...] = ()
    residue: str = ""

    @property
    def repaints_the_air(self) -> bool:
        """Whether light, season or weather change."""
        return bool(self.hour or self.season or self.weather)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it was understood."""
        return not (
            self.repaints_the_air
            or self.styles
            or self.tones
            or self.recolours
            or self.added
            or self.removed
            or self.background
            or self.like_other
        )


class _Reader:
    """Reads the words one after the other, with the verb that they stand behind."""

    def __init__(self) -> None:
        self.hours: list[str] = []
        self.season = ""
        self.weather: list[str] = []
        self.styles: list[str] = []
        self.tones: list[str] = []
        self.recolours: dict[str, Recolour] = {}
        self.added: list[Subject] = []
        self.removed: list[str] = []
        self.named: list[Subject] = []
        self.strange: list[str] = []
        self.backdrop: RGB | None = None
        self._verb = ""
        self._colours: list[RGB] = []
        self._count = 1
        self._since = 0
        self._last = ""
        self._places: dict[str, str] = {}
        self._put = False
        #: The things of this clause that no verb stands before.
        self._clause: list[Subject] = []
        self._and = self._swapped = False
        #: Whether any verb says what is to be done.
        self.told = False

    def read(self, token: Token) -> None:
        """Take one word in."""
        word, surface = token.word, token.surface
        if surface == ",":
            self.flush()
            # "Instead of the fox, a bird": what was taken out waits for what is put in.
            self._verb = "add" if self._swapped else ""
            self._last, self._clause = "", []
        elif word is None or word.kind in {"stop", "bond"}:
            self._plain(surface, known=word is not None)
        elif word.kind == "colour":
            self._colours.append(COLOURS[word.name])
            self._since = 0
        elif word.kind == "count":
            self._count = int(word.name)
            self._another()
        elif word.kind == "subject":
            count = 3 if word.plural and self._count == 1 else self._count
            self._subject(Subject(word.name, count, tuple(self._colours), surface))
            self._colours, self._count = [], 1
        elif word.kind in {"place", "tint"}:
            self._place(word.name, _PLACES.get(word.name, "ground") if word.kind == "place" else word.name)
        elif word.kind == "style":
            self.styles.append(word.name)
        else:
            self._air(word.kind, word.name, surface)

    def _plain(self, surface: str, *, known: bool) -> None:
        verb = next((verb for verb, words in _VERBS.items() if surface in words), "")
        if not verb and not surface.isascii():
            verb = next((verb for verb, words in _HAN_VERBS if any(w in surface for w in words.split())), "")
        if "background" in surface or "背景" in surface:
            if self._colours:
                self.backdrop = self._colours[-1]
            self._colours = []
        if surface == "instead":
            self._instead()
        elif verb == "become" or (surface in _INTO and self._last and self._verb in {"change", "replace"}):
            # A colour before the thing is the one that it has: "change the red boat to blue".
            self._verb = "become"
        elif verb:
            self.told = True
            self.flush()
            self._verb, self._last, self._put = verb, "", False
        elif self._verb == "add" and self._put and surface in _BESIDE:
            # What follows is where it goes: "put a hat on the fox".
            self.flush()
            self._verb = "beside"
        elif self._verb == "beside" and surface in {"and", "&"}:
            self._and = True
        elif surface in {"a", "an", "another", "some"}:
            self._another()
        elif not known and surface not in _FILLERS and _HAN_FILLERS.sub("", surface):
            self.strange.append(surface)
            self._put = True
        self._since += 1
        if self._since > 3:
            self.flush()

    def _another(self) -> None:
        """Read "a boat on the lake and a bird": behind the place, another thing is put in."""
        if self._verb == "beside" and self._and:
            self.flush()
            self._verb = "add"
        self._and = False

    def _instead(self) -> None:
        """Read "a bird instead of the fox": what was named is put in, and what follows is taken out."""
        self.flush()
        if self._verb in {"change", "become"}:
            # "Make the fox blue instead of red": what follows is how it is now.
            self._verb, self._last = "was", ""
            return
        for subject in self._clause:
            self.recolours.pop(subject.kind, None)
        self.added += self._clause
        self.named = [one for one in self.named if one not in self._clause]
        # "Instead of the fox a bird" has them the other way round.
        told = bool(self._clause) or self._verb == "add"
        self._verb, self._last, self._clause = "remove" if told else "instead", "", []

    def flush(self) -> None:
        """Give a colour that has found no thing behind it to the thing before it, or to what stands out most."""
        if self._colours and self._verb != "was":
            # "Add a person in a red coat": the red is the person's.
            last = self.added[-1] if self.added else None
            if last and (self._verb == "add" or (self._verb == "beside" and self._last == last.kind)):
                self.added[-1] = replace(last, colours=tuple(self._colours))
            else:
                self._recolour(self._last, self._colours[-1])
        self._colours, self._count, self._since = [], 1, 0

    def _recolour(self, target: str, colour: RGB) -> None:
        before = self.recolours.get(target)
        place = self._places.get(target, "")
        self.recolours[target] = Recolour(target, colour, before.colour if before else None, place)

    def _subject(self, subject: Subject) -> None:
        if self._verb == "add" or (self._verb == "become" and subject.kind != self._last):
            if self._verb == "become":
                self.removed.append(self._last)
                self.recolours.pop(self._last, None)
            colours = subject.colours or ((SHADES[subject.word],) if subject.word in SHADES else ())
            self.added.append(Subject(subject.kind, subject.count, colours, subject.word))
            self._put, self._swapped = True, False
        elif self._verb in {"remove", "replace"}:
            if self._verb == "remove":
                self.removed.append(subject.kind)
        elif self._verb == "instead":
            self.removed.append(subject.kind)
            self._verb, self._swapped = "add", True
        elif self._verb not in {"beside", "was"}:
            if not self._verb:
                self._clause.append(subject)
            if subject.colours:
                self._recolour(subject.kind, subject.colours[-1])
            else:
                self.named.append(subject)
        self._last = subject.kind

    def _place(self, name: str, target: str) -> None:
        self._places[target] = name
        if self._colours and self._verb != "was":
            self._recolour(target, self._colours[-1])
        self._colours = []
        self._last = target

    def _air(self, kind: str, name: str, surface: str) -> None:
        self.flush()
        if self._verb == "remove":
            if kind == "season" and name == "winter":
                self.season = "summer"
            elif name in NOT_CLEAR:
                self.weather.append("clear")
        elif surface == "bright":
            self.tones.append("bright")
        elif kind == "time":
            self.hours.append(name)
        elif kind == "season":
            self.season = name
        else:
            self.weather.append(name)


def read_edit(prompt: str) -> Edit:
    """Read the words of an edit.

    Parameters
    ----------
    prompt : str
        Any text, English or Chinese; what isn't understood is kept as a strange word.

    Returns
    -------
    Edit
        What is to be changed. The same text always gives the same edit.
    """
    text = prompt[:_LONGEST].lower()
    reader = _Reader()
    for token in words_of(text):
        reader.read(token)
    reader.flush()
    background = ""
    if _BACKGROUND.search(text):
        if _BLUR_BACKGROUND.search(text):
            background = "blur"
        elif reader.backdrop is not None or _REMOVE_BACKGROUND.search(text):
            background = "remove"
    tones = {name for name, pattern in _TONES.items() if re.search(pattern, text)} | set(reader.tones)
    if background == "blur":
        tones -= {"soft"}
    hour = "golden" if "golden" in reader.hours else reader.hours[-1] if reader.hours else ""
    if not hour and set(reader.weather) & {"stars", "moon", "aurora", "meteor"}:
        hour = "night"
    digest = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:16] if prompt else ""
    found = Edit(
        hour=hour,
        season=reader.season,
        weather=frozenset(reader.weather),
        styles=tuple(dict.fromkeys(reader.styles)),
        tones=frozenset(tones),
        recolours=tuple(reader.recolours.values()),
        added=tuple(reader.added[:3]),
        removed=tuple(dict.fromkeys(reader.removed)),
        background=background,
        backdrop=reader.backdrop,
        like_other=bool(_LIKE_OTHER.search(text)),
        strange=tuple(dict.fromkeys(reader.strange))[:_MOST_STRANGE],
        residue=digest,
    )
    if found.is_empty and reader.named and not reader.told:
        # Nothing but the name of a thing: it is wanted in the picture.
        return replace(found, added=tuple(reader.named[:2]))
    return found
