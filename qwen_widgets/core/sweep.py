"""Sweep: prompts × seeds × sizes × models, as a matrix of requests with rows and columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any

from qwen_widgets.core import arguments, reading, syntax, syntax_faults
from qwen_widgets.core.arguments import ModelsLike, PromptsLike, SeedsLike, SizesLike
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.model_schema import Extra, read_extra
from qwen_widgets.core.models import (
    DEFAULT_EDIT_MODEL,
    DEFAULT_MODEL,
    HIGHEST_SEED,
    LOWEST_SEED,
    Model,
    Size,
    find_model,
    remembered_model,
)
from qwen_widgets.core.request import ImageRequest, InputPicture, check_images, formats_text, read_pictures

#: Pictures that one sweep may hold unless the cap is raised.
CAP = arguments.MOST


@dataclass(frozen=True, slots=True)
class Row:
    """What all pictures of one row share."""

    prompt: str
    size: Size
    model: Model
    images: tuple[InputPicture, ...] = ()
    output_format: str = ""
    extra: Extra = ()
    #: The words that the enhancer was given, and the style, where it wrote this prompt; empty where not.
    original: str = field(default="", compare=False, kw_only=True)
    style: str = field(default="", compare=False, kw_only=True)

    @classmethod
    def of(cls, request: ImageRequest) -> Row:
        """Return the row of a request: all of it but the seed."""
        asked = request.images, request.output_format, request.extra
        return cls(request.prompt, request.size, request.model, *asked)

    def request(self, seed: int | None, *, check: bool = True) -> ImageRequest:
        """Return the request of this row in the column of a seed."""
        return ImageRequest(
            self.prompt, seed, self.size, self.model, self.images, self.output_format, self.extra, check=check
        )

    def wants(self, seed: int | None) -> bool:
        """Whether a column is one of this row's: a model without a seed has the column None alone."""
        return (seed is not None) == self.model.takes_seed


@dataclass(frozen=True)
class Sweep:
    """A matrix of requests: rows are prompts (× models × sizes), columns are seeds.

    Attributes
    ----------
    seeds : tuple of int or None
        The columns. None is the one column of the models that take no seed; it is planned as the last.
    requests : mapping of (row, column) to ImageRequest
        Places that were not asked for (a prompt with a seed of its own has only that) are missing.
    notes : tuple of str
        What was understood otherwise than typed: duplicates dropped, ratios computed.
    """

    rows: tuple[Row, ...]
    seeds: tuple[int | None, ...]
    requests: Mapping[tuple[int, int], ImageRequest]
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.seeds)

    @property
    def unique(self) -> tuple[ImageRequest, ...]:
        """The different requests, in reading order: what a run has to have."""
        return tuple(
            {self.requests[place].key: self.requests[place] for place in sorted(self.requests)}.values()
        )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The different prompts, in order."""
        return tuple(dict.fromkeys(row.prompt for row in self.rows))

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The different sizes, in order."""
        return tuple(dict.fromkeys(row.size for row in self.rows))

    @property
    def models(self) -> tuple[Model, ...]:
        """The different models, in order."""
        return tuple(dict.fromkeys(row.model for row in self.rows))

    def cost(self) -> Decimal:
        """Return what the whole sweep costs by the built-in prices, US dollars."""
        return sum((request.model.price for request in self.unique), Decimal(0))

    @classmethod
    def of(cls, requests: Iterable[ImageRequest]) -> Sweep:
        """Lay out some requests: a row for each prompt, model and size, a column for each seed."""
        found = {request.key: request for request in requests}.values()
        rows = tuple(dict.fromkeys(Row.of(request) for request in found))
        seeds = tuple(sorted({request.seed for request in found}, key=_seed_order))
        places = {(rows.index(Row.of(request)), seeds.index(request.seed)): request for request in found}
        return cls(rows, seeds, places)

    def to_json(self) -> str:
        """Return the sweep as JSON, as the ledger keeps it."""
        rows: list[list[object]] = []
        for row in self.rows:
            rows.append([row.prompt, *row.size, row.model.id])
            if row.images or row.output_format or row.extra:
                images = [picture.to_json() for picture in row.images]
                more = {"images": images, "output_format": row.output_format}
                rows[-1].append(more | ({"extra": dict(row.extra)} if row.extra else {}))
        values = {"rows": rows, "seeds": self.seeds, "places": sorted(self.requests)}
        enhanced = {str(r): [row.original, row.style] for r, row in enumerate(self.rows) if row.original}
        return json.dumps(values | ({"enhanced": enhanced} if enhanced else {}))

    @classmethod
    def from_json(cls, text: str) -> Sweep:
        """Return the sweep of such a text; one of an earlier version, too, and whatever the limits are today.

        Raises
        ------
        InputError
            It is damaged.
        """
        try:
            return cls._from_values(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            pass
        raise InputError("what the ledger has of this run is damaged and can't be read.")

    @classmethod
    def _from_values(cls, values: Any) -> Sweep:
        rows = []
        for prompt, width, height, model, *more in values["rows"]:
            rest = more[0] if more else {}
            images = tuple(map(InputPicture.from_json, rest.get("images", ())))
            if not (isinstance(prompt, str) and isinstance(width, int) and isinstance(height, int)):
                raise TypeError
            size = Size(width, height)
            extra = tuple(sorted(rest.get("extra", {}).items()))
            kind = rest.get("output_format", "")
            rows.append(Row(prompt, size, remembered_model(model), images, kind, extra))
        for r, (original, style) in values.get("enhanced", {}).items():
            rows[int(r)] = replace(rows[int(r)], original=original, style=style)
        seeds = tuple(values["seeds"])
        if not all(seed is None or isinstance(seed, int) for seed in seeds):
            raise TypeError
        requests = {(r, c): rows[r].request(seeds[c], check=False) for r, c in values["places"]}
        return cls(tuple(rows), seeds, requests)

    def extended(self, rows: Iterable[Row] = (), seeds: Iterable[int | None] = ()) -> Sweep:
        """Return a sweep with further rows and columns; what is here already keeps its place.

        New seeds are asked for in every row, new rows for every seed.
        """
        new_rows = tuple(dict.fromkeys(row for row in rows if row not in self.rows))
        all_rows = self.rows + new_rows
        seedless = (None,) if any(not row.model.takes_seed for row in new_rows) else ()
        all_seeds = tuple(dict.fromkeys((*self.seeds, *seeds, *seedless)))
        requests = dict(self.requests)
        for r, row in enumerate(all_rows):
            for c, seed in enumerate(all_seeds):
                if (r >= len(self.rows) or c >= len(self.seeds)) and row.wants(seed):
                    requests[r, c] = row.request(seed)
        _check_count(len(requests), CAP)
        return Sweep(all_rows, all_seeds, requests)

    def joined(self, other: Sweep) -> Sweep:
        """Return a sweep with another one's rows and columns below and beside its own.

        Only what one of both asks for is asked for: a place that neither names stays empty.
        """
        rows = tuple(dict.fromkeys((*self.rows, *other.rows)))
        seeds = tuple(dict.fromkeys((*self.seeds, *other.seeds)))
        down = {row: r for r, row in enumerate(rows)}
        across = {seed: c for c, seed in enumerate(seeds)}
        requests = dict(self.requests)
        for (r, c), request in other.requests.items():
            requests.setdefault((down[other.rows[r]], across[other.seeds[c]]), request)
        _check_count(len(requests), CAP)
        return Sweep(rows, seeds, requests)

    def beside(self, kept: Sweep) -> Sweep:
        """Return the sweep with what another one of the same run holds beside it, each thing at its place in that one.

        Two grids of one run grow apart where each is extended: `kept` is what the ledger has. Its places stay what they
        are, because choices are kept by place; what only this one asks for comes behind.
        """
        known = {_row_key(row): row for row in self.rows}
        rows = tuple(known.get(_row_key(row), row) for row in kept.rows)
        begun_alike = rows == self.rows[: len(rows)] and kept.seeds == self.seeds[: len(kept.seeds)]
        if begun_alike and kept.requests.keys() <= self.requests.keys():
            return self
        return replace(replace(kept, rows=rows).joined(self), notes=self.notes)


def _row_key(row: Row) -> str:
    """Return what names a row whatever a catalogue says of its model meanwhile."""
    return row.request(0 if row.model.takes_seed else None, check=False).key


def _seed_order(seed: int | None) -> tuple[bool, int]:
    return seed is None, seed or 0


def plan_sweep(
    prompts: PromptsLike,
    *,
    seeds: SeedsLike | None = None,
    count: int | None = None,
    sizes: SizesLike | None = None,
    models: ModelsLike | None = None,
    images: Sequence[InputPicture] = (),
    output_format: str = "",
    inputs: Mapping[str, object] | None = None,
    lines: bool = False,
    variables: Mapping[str, object] | None = None,
    cap: int = CAP,
) -> Sweep:
    """Read what was typed and lay it out.

    Parameters
    ----------
    prompts : str or sequence of str
        In the syntax of the cell: a blank line starts the next prompt, ``{a|b}`` makes variants.
    seeds : str, int or iterable of int, optional
        ``"1-4"``, ``7``, ``range(4)``. Without seeds and count, one is drawn.
    count : int, optional
        So many drawn seeds.
    sizes : str, (width, height) or a sequence of these, optional
        ``"16:9"``, ``"1280x720"``; pixels. A ratio is each model's own size of it. Default 1:1, or with input
        pictures the shape of the first.
    models : str or a sequence of str, optional
        Short names or full ids. Default ``qwen-image-2.0``, and ``qwen-image-2.0-edit`` where pictures are given.
    images : sequence of InputPicture
        The pictures that every request is made with.
    output_format : str
        ``png``, ``jpeg`` or ``webp``, for models that have the choice.
    inputs : mapping, optional
        Further inputs of models that are not built in, by name.
    lines : bool
        Every line is a prompt.
    variables : mapping, optional
        Values for ``{{name}}``; without it, ``{{name}}`` is text.
    cap : int
        Pictures that the sweep may hold.

    Raises
    ------
    InputError
        One sentence that shows the text and the place.
    """
    cap = reading.whole("cap", cap, least=1, most=syntax_faults.MANY)
    texts = arguments.prompts("prompts", prompts)
    seeds, count = arguments.seeds("seeds", seeds, cap), arguments.count("count", count, cap)
    sizes, models = arguments.sizes("sizes", sizes), arguments.models("models", models)
    output_format, lines = (
        arguments.output_format("output_format", output_format),
        reading.flag("lines", lines),
    )
    inputs, variables = arguments.inputs("inputs", inputs), arguments.variables("variables", variables)
    pictures = read_pictures("images", images)
    chosen = read_models(models, editing=bool(pictures))
    formats, notes = _read_formats(output_format, chosen)
    extras = {model: read_extra(model.further, inputs or {}, model.name) for model in chosen}
    for model in chosen:
        check_images(pictures, model)
    sizes_of: dict[Model, tuple[Size, ...]] = {}
    for model in chosen:
        sizes_of[model], said = _sizes_for(model, sizes, pictures)
        notes += said
    draw = drawing(chosen)
    seed_values: tuple[int, ...] = ()
    if any(model.takes_seed for model in chosen) or seeds is not None or count is not None:
        seed_values, said = read_seeds(seeds, count, draw=draw)
        notes += said
    # The narrowest limit of the models decides how long a prompt may be.
    narrow = min(chosen, key=lambda model: (model.max_prompt, not model.takes_size))
    parsed: list[syntax.PromptText] = []
    for text in texts:
        found = syntax.parse_prompts(text, lines=lines, variables=variables, cap=cap, model=narrow, draw=draw)
        parsed += found.values
        notes += found.notes

    asked: dict[Row, dict[int | None, None]] = {}
    for prompt in parsed:
        for model in chosen:
            own: tuple[Size, ...] | None = None
            if prompt.size_asked:
                own, said = _sizes_for(model, prompt.size_asked, pictures)
                notes += said
            wanted: tuple[int | None, ...] = (prompt.seeds or seed_values) if model.takes_seed else (None,)
            for size in own or sizes_of[model]:
                row = Row(prompt.text, size, model, pictures, formats[model], extras[model])
                asked.setdefault(row, {}).update(dict.fromkeys(wanted))
        _check_count(sum(map(len, asked.values())), cap)
    for model in chosen:
        if not model.takes_seed:
            notes.append(f"{model.name} takes no seed: one picture a prompt; --fresh makes another.")

    # A prompt's own seeds come after the common ones, which are no column where no row wants them.
    used = {seed for row_seeds in asked.values() for seed in row_seeds}
    own_seeds = (seed for prompt in parsed for seed in prompt.seeds or ())
    columns = tuple(seed for seed in dict.fromkeys((*seed_values, *own_seeds, None)) if seed in used)
    place = {seed: column for column, seed in enumerate(columns)}
    requests = {
        (r, place[seed]): row.request(seed)
        for r, (row, row_seeds) in enumerate(asked.items())
        for seed in row_seeds
    }
    return Sweep(tuple(asked), columns, requests, tuple(dict.fromkeys(notes)))


def _read_formats(text: str, models: Sequence[Model]) -> tuple[dict[Model, str], list[str]]:
    """Return each model's format, and a note for those that have no choice."""
    wanted = {"jpg": "jpeg"}.get(text.strip().lower(), text.strip().lower())
    without = [model for model in models if not model.formats]
    if wanted and len(without) == len(models):
        raise InputError(f"format {syntax_faults.shown(text)}: {formats_text(models[0])}.")
    for model in models:
        if wanted and model.formats and wanted not in model.formats:
            raise InputError(f"format {syntax_faults.shown(text)}: {formats_text(model)}.")
    formats = {model: (wanted or model.formats[0]) if model.formats else "" for model in models}
    return formats, [f"{formats_text(model)}: --format is not for it." for model in without if wanted]


def _sizes_for(
    model: Model, sizes: SizesLike | None, images: Sequence[InputPicture]
) -> tuple[tuple[Size, ...], tuple[str, ...]]:
    """Return the sizes of a model's rows, and notes."""
    if not model.takes_size:
        if sizes is not None and model.named_sizes:
            names = model.named_sizes
            raise InputError(
                f"sizes: {model.name} takes no pixels but {', '.join(names[:12])}; write --input size={names[0]} "
                f"(inputs= in Python)."
            )
        size = images[0].size if images else model.default_size
        comes = "a picture comes as large as the first one that is given" if images else "it chooses its own"
        note = f"{model.name} takes no size: {comes}."
        return (size,), (note,) if sizes is not None else ()
    if sizes is None and images:
        size, said = _like(images[0].size, model)
        return (size,), said
    return read_sizes(sizes, model)


def seed_range(models: Iterable[Model]) -> tuple[int, int]:
    """Return the lowest and the highest seed that all of these models take; all that there are where they have none in common."""
    limits = [model.seeds for model in models if model.takes_seed]
    low, high = (
        max((LOWEST_SEED, *(low for low, _ in limits))),
        min((HIGHEST_SEED, *(high for _, high in limits))),
    )
    return (low, high) if low <= high else (LOWEST_SEED, HIGHEST_SEED)


def drawing(models: Iterable[Model]) -> Callable[[], int]:
    """Return what draws seeds that all of these models take, as far as there are such."""
    return partial(syntax.draw_seed, *seed_range(models))


def _like(size: Size, model: Model) -> tuple[Size, tuple[str, ...]]:
    """Return the model's size of a picture's shape, so that before and after can be compared."""
    try:
        found = syntax.size_for_ratio(*size, model=model)
    except InputError:
        return model.default_size, ()
    return found, (
        f"{model.name}: the size is {found}, in the shape of the picture; --size chooses another.",
    )


def _check_count(count: int, cap: int) -> None:
    if count > cap:
        raise InputError(
            f"sweep: {count:,} images are more than the {cap:,} that one sweep may hold; ask for fewer."
        )


def read_models(models: ModelsLike | None, *, editing: bool = False) -> tuple[Model, ...]:
    """Return the models of a comma list, a name, or a sequence; without any, the default one for the task."""
    if models is None:
        # By its name, so that what a catalogue said of it counts.
        return (find_model((DEFAULT_EDIT_MODEL if editing else DEFAULT_MODEL).id),)
    return tuple(dict.fromkeys(find_model(one) for one in arguments.models("models", models) or ()))


def read_sizes(sizes: SizesLike | None, model: Model) -> tuple[tuple[Size, ...], tuple[str, ...]]:
    """Return sizes in pixels and notes."""
    if sizes is None:
        return (model.default_size,), ()
    values: list[Size] = []
    notes: list[str] = []
    for text in arguments.sizes("sizes", sizes) or ():
        found = syntax.parse_sizes(text, model=model)
        values += found.values
        notes += found.notes
    return tuple(dict.fromkeys(values)), tuple(notes)


def read_seeds(
    seeds: SeedsLike | None,
    count: int | None,
    *,
    cap: int = CAP,
    draw: Callable[[], int] = syntax.draw_seed,
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return seeds and notes; none given, one is drawn."""
    if seeds is not None and count is not None:
        raise InputError("seeds: give seeds or a count, not both.")
    if count is not None:
        seeds = f"random*{arguments.count('count', count, cap)}"
    given = arguments.seeds("seeds", "random" if seeds is None else seeds, cap)
    if isinstance(given, str):
        found = syntax.parse_seeds(given, cap=cap, draw=draw)
        return found.values, found.notes
    return tuple(dict.fromkeys(draw() if seed == -1 else seed for seed in given or ())), ()
