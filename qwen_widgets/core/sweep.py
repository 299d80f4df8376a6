"""Sweep: prompts × seeds × sizes × models, as a matrix of requests with rows and columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeGuard, cast

from qwen_widgets.core import syntax
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import DEFAULT_MODEL, DEFAULT_RATIO, Model, Size, find_model
from qwen_widgets.core.request import ImageRequest

#: Pictures that one sweep may hold unless the cap is raised.
CAP = 1000

PromptsLike = str | Sequence[str]
SeedsLike = str | int | Iterable[int]
SizesLike = str | Size | tuple[int, int] | Sequence[str | Size | tuple[int, int]]
ModelsLike = str | Model | Sequence[str | Model]


@dataclass(frozen=True, slots=True)
class Row:
    """What all pictures of one row share."""

    prompt: str
    size: Size
    model: Model


@dataclass(frozen=True)
class Sweep:
    """A matrix of requests: rows are prompts (× models × sizes), columns are seeds.

    Attributes
    ----------
    requests : mapping of (row, column) to ImageRequest
        Places that were not asked for (a prompt with a seed of its own has only that) are missing.
    notes : tuple of str
        What was understood otherwise than typed: duplicates dropped, ratios computed.
    """

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
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
        rows = tuple(dict.fromkeys(Row(request.prompt, request.size, request.model) for request in found))
        seeds = tuple(sorted({request.seed for request in found}))
        places = {
            (rows.index(Row(request.prompt, request.size, request.model)), seeds.index(request.seed)): request
            for request in found
        }
        return cls(rows, seeds, places)

    def to_json(self) -> str:
        """Return the sweep as JSON, as the ledger keeps it."""
        rows = [[row.prompt, *row.size, row.model.id] for row in self.rows]
        return json.dumps({"rows": rows, "seeds": self.seeds, "places": sorted(self.requests)})

    @classmethod
    def from_json(cls, text: str) -> Sweep:
        """Return the sweep of such a text."""
        values = json.loads(text)
        rows = tuple(
            Row(prompt, Size(width, height), find_model(model))
            for prompt, width, height, model in values["rows"]
        )
        seeds = tuple(values["seeds"])
        requests = {
            (r, c): ImageRequest(rows[r].prompt, seeds[c], rows[r].size, rows[r].model)
            for r, c in values["places"]
        }
        return cls(rows, seeds, requests)

    def extended(self, rows: Iterable[Row] = (), seeds: Iterable[int] = ()) -> Sweep:
        """Return a sweep with further rows and columns; what is here already keeps its place.

        New seeds are asked for in every row, new rows for every seed.
        """
        new_rows = tuple(dict.fromkeys(row for row in rows if row not in self.rows))
        new_seeds = tuple(dict.fromkeys(seed for seed in seeds if seed not in self.seeds))
        all_rows, all_seeds = self.rows + new_rows, self.seeds + new_seeds
        requests = dict(self.requests)
        for r, row in enumerate(all_rows):
            for c, seed in enumerate(all_seeds):
                if r >= len(self.rows) or c >= len(self.seeds):
                    requests[r, c] = ImageRequest(row.prompt, seed, row.size, row.model)
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


def plan_sweep(
    prompts: PromptsLike,
    *,
    seeds: SeedsLike | None = None,
    count: int | None = None,
    sizes: SizesLike | None = None,
    models: ModelsLike | None = None,
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
        ``"16:9"``, ``"1280x720"``; pixels. Default 1:1.
    models : str or a sequence of str, optional
        Short names or full ids. Default ``qwen-image-2.0``.
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
    chosen = read_models(models)
    # The narrowest limits of the models decide what may be typed.
    narrow = min(chosen, key=lambda model: (model.max_side, model.max_prompt))
    size_values, size_notes = read_sizes(sizes, narrow)
    seed_values, seed_notes = read_seeds(seeds, count)
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError("prompts: give a text or a list of texts.")
    parsed: list[syntax.PromptText] = []
    notes: list[str] = [*size_notes, *seed_notes]
    for text in texts:
        found = syntax.parse_prompts(text, lines=lines, variables=variables, cap=cap, model=narrow)
        parsed += found.values
        notes += found.notes

    # A prompt's own seeds come after the common ones, which are then no column unless another row wants them.
    common = any(prompt.seeds is None for prompt in parsed)
    columns = tuple(
        dict.fromkeys(
            [
                *(seed_values if common else ()),
                *(seed for prompt in parsed for seed in prompt.seeds or ()),
            ]
        )
    )
    asked: dict[Row, dict[int, None]] = {}
    for prompt in parsed:
        for model in chosen:
            for size in [prompt.size] if prompt.size else size_values:
                row = Row(prompt.text, size, model)
                asked.setdefault(row, {}).update(dict.fromkeys(prompt.seeds or seed_values))
        _check_count(sum(map(len, asked.values())), cap)
    place = {seed: column for column, seed in enumerate(columns)}
    requests = {
        (r, place[seed]): ImageRequest(row.prompt, seed, row.size, row.model)
        for r, (row, row_seeds) in enumerate(asked.items())
        for seed in row_seeds
    }
    return Sweep(tuple(asked), columns, requests, tuple(dict.fromkeys(notes)))


def _check_count(count: int, cap: int) -> None:
    if count > cap:
        raise InputError(
            f"sweep: {count:,} images are more than the {cap:,} that one sweep may hold; ask for fewer."
        )


def read_models(models: ModelsLike | None) -> tuple[Model, ...]:
    """Return the models of a comma list, a name, or a sequence."""
    if models is None:
        return (DEFAULT_MODEL,)
    items: Sequence[str | Model]
    if isinstance(models, Model):
        items = [models]
    elif isinstance(models, str):
        items = [part for part in (text.strip() for text in models.split(",")) if part]
    else:
        items = list(models)
    if not items:
        raise InputError("models: name at least one, such as qwen-image-2.0.")
    return tuple(dict.fromkeys(find_model(item) for item in items))


def read_sizes(sizes: SizesLike | None, model: Model) -> tuple[tuple[Size, ...], tuple[str, ...]]:
    """Return sizes in pixels and notes."""
    if sizes is None:
        sizes = DEFAULT_RATIO
    items: list[str | Size | tuple[int, int]]
    if isinstance(sizes, str) or _is_pair(sizes):
        items = [sizes]
    else:
        items = list(cast("Sequence[str | Size | tuple[int, int]]", sizes))
    values: list[Size] = []
    notes: list[str] = []
    for item in items:
        text = item if isinstance(item, str) else f"{item[0]}x{item[1]}"
        found = syntax.parse_sizes(text, model=model)
        values += found.values
        notes += found.notes
    if not values:
        raise InputError("sizes: give at least one, such as 16:9.")
    return tuple(dict.fromkeys(values)), tuple(notes)


def _is_pair(value: object) -> TypeGuard[tuple[int, int]]:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(side, int) for side in value)


def read_seeds(
    seeds: SeedsLike | None, count: int | None, *, cap: int = CAP
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return seeds and notes; none given, one is drawn."""
    if seeds is not None and count is not None:
        raise InputError("seeds: give seeds or a count, not both.")
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= cap:
            raise InputError(f"count {count!r}: give a whole number from 1 to {cap}.")
        seeds = f"random*{count}"
    if seeds is None:
        seeds = "random"
    if isinstance(seeds, bool):
        raise InputError(f"seeds {seeds!r}: give a number or a text such as 1-4.")
    if isinstance(seeds, int):
        seeds = str(seeds)
    if isinstance(seeds, str):
        found = syntax.parse_seeds(seeds, cap=cap)
        return found.values, found.notes
    values: list[int] = []
    for seed in seeds:
        whole = _whole(seed)
        if whole is None:
            raise InputError(f"seeds: {seed!r} is not a whole number.")
        values.append(syntax.draw_seed() if whole == -1 else whole)
        if len(values) > cap:
            raise InputError(f"seeds: more than {cap:,} were given; ask for fewer.")
    if not values:
        raise InputError("seeds: give at least one, such as 1-4.")
    return tuple(dict.fromkeys(values)), ()


def _whole(value: object) -> int | None:
    """Return an int of an int or a numpy integer, else None."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return None
    return int(value.__index__())
