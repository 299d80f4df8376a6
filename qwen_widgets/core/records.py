"""What the ledger's rows hold: a row as a value, an error as text and back. No SQL is run here.

A disk can damage any column of any row, and one bad row must not take the others along: each column is checked, what
can't be read is named in `Record.damaged`, and what the row is needed for tells whether it is still `usable`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, get_args

from qwen_widgets.core import errors
from qwen_widgets.core.answers import check_prediction_id
from qwen_widgets.core.enhancer import STYLES, TextRequest, makes_text, optimizer
from qwen_widgets.core.errors import DamagedRowError, QwenError
from qwen_widgets.core.model_schema import Extra
from qwen_widgets.core.models import HIGHEST_SEED, Size, remembered_model
from qwen_widgets.core.owner import LEASE, lease_holds
from qwen_widgets.core.request import ImageRequest, InputPicture
from qwen_widgets.core.states import State

MICRO = Decimal(1_000_000)
#: How the content key of an unassigned row begins.
UNASSIGNED = "unassigned "
#: What stands in the seed's column where the model takes none.
NO_SEED = -1
_STATES: tuple[str, ...] = get_args(State)
#: The kinds of errors that a row can name; a name out of a file is looked up nowhere else.
_KINDS: dict[str, type[QwenError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, QwenError)
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = (".png", ".jpg", ".webp")
#: Seconds since the epoch up to which a date can be a date: the year 3000.
LATEST = 32_503_680_000.0
_MOST_PRICE = 10**12
_MOST_SIDE = 100_000
#: What was asked with, and when: without these a row can't be told from another, nor found in the account's history.
_ASKED = ("key", "model", "prompt", "width", "height", "seed", "inputs", "created_at", "sent_at")
#: What a row in a state is needed for. What isn't named here can be damaged and the row is still of use.
_NEEDED: dict[str, tuple[str, ...]] = {
    "planned": _ASKED,
    "sending": _ASKED,
    "unknown": _ASKED,
    "submitted": ("model", "prediction_id", "created_at", "sent_at"),
    "completed": ("model", "prediction_id", "created_at", "sent_at"),
    "stored": ("sha256", "suffix", "text"),
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """One row: a purchase, and what has become of it.

    Attributes
    ----------
    price : Decimal
        US dollars it costs where it comes to be charged.
    sent_at, created_at : float
        Seconds since the epoch.
    got : Size or None
        Pixel size of the stored picture.
    seed : int or None
        None where the model takes none.
    """

    id: int
    provider: str
    key: str
    state: State
    model: str
    prompt: str
    size: Size
    seed: int | None
    run_id: str
    price: Decimal
    prediction_id: str | None
    outputs: tuple[str, ...]
    flagged: bool
    seconds: float | None
    sha256: str | None
    suffix: str | None
    got: Size | None
    error: QwenError | None
    owner: str | None
    lease_until: float
    created_at: float
    sent_at: float | None
    #: When it was sent by the service's own clock; None where no answer has told its time.
    server_at: float | None = None
    #: When the service first said that it has no such prediction, by its own clock; None where it has.
    missed_at: float | None = None
    #: JSON of what was asked for beside prompt, size and seed.
    inputs: str = ""
    #: What a model that makes text has answered.
    text: str | None = None
    #: Columns that can't be read; what stands for them here is a guess.
    damaged: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether all that a row in its state is needed for can be read; otherwise `error` says that it can't."""
        return not isinstance(self.error, DamagedRowError)

    def held(self, now: float) -> bool:
        """Whether somebody may be working on it; a lease that ends in days is damage, or of a clock that was wrong."""
        return self.owner is not None and lease_holds(self.lease_until, now, LEASE)

    @property
    def images(self) -> tuple[InputPicture, ...]:
        """The input pictures."""
        return tuple(map(InputPicture.from_json, self._inputs.get("images", ())))

    @property
    def output_format(self) -> str:
        """The format that was asked for; empty where the model has no choice."""
        return str(self._inputs.get("output_format", ""))

    @property
    def extra(self) -> Extra:
        """Further inputs of a model that is not built in."""
        return tuple(sorted(self._inputs.get("extra", {}).items()))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the input pictures were when it was sent."""
        return tuple(self._inputs.get("addresses", ()))

    @property
    def _inputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.inputs or "{}")
        return found

    @property
    def makes_text(self) -> bool:
        """Whether it is an enhanced prompt and no picture."""
        return makes_text(self.model)

    @property
    def unassigned(self) -> bool:
        """Whether the picture was found in the account's history and belongs to no request that is known."""
        return self.key.startswith(UNASSIGNED)

    def request(self) -> ImageRequest:
        """Return what it was asked with, whatever the limits are today; an unassigned row says nothing of it."""
        return ImageRequest(
            self.prompt,
            self.seed,
            self.size,
            remembered_model(self.model),
            self.images,
            self.output_format,
            self.extra,
            check=False,
        )

    def text_request(self) -> TextRequest:
        """Return what an enhanced prompt was asked with."""
        return TextRequest.remembered(self.prompt, self.inputs)

    @property
    def spent(self) -> Decimal:
        """US dollars that this purchase has cost, an unknown outcome counted as spent."""
        return _spent(self.state, self.price, self.error)


def _spent(state: str, price: Decimal, error: QwenError | None) -> Decimal:
    if state in ("planned", "rejected"):
        return Decimal(0)
    if state == "failed" and (error is None or error.paid == "no"):
        return Decimal(0)
    return price


def spent_by(row: Mapping[str, Any]) -> Decimal:
    """Return US dollars that a row has cost, from its columns `state`, `price`, `model` and `error` alone."""
    column = _Columns(row)
    return _spent(_state(column), _price(column), column.read("error", load_error, None))


class _Columns:
    """The columns of one row, each read by itself; what can't be read is noted."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.damaged: list[str] = []

    def text(self, name: str) -> str:
        value = self.row[name]
        if isinstance(value, str):
            return value
        self.damaged.append(name)
        return ""

    def number(self, name: str, low: int, high: int) -> int:
        value = self.row[name]
        if isinstance(value, int) and low <= value <= high:
            return value
        self.damaged.append(name)
        return 0

    def moment(self, name: str, latest: float = LATEST) -> float | None:
        value = self.row[name]
        if value is None or (isinstance(value, int | float) and 0 <= value <= latest):
            return value
        self.damaged.append(name)
        return None

    def read(self, name: str, how: Callable[[Any], T], otherwise: T) -> T:
        value = self.row[name]
        try:
            return otherwise if value is None else how(value)
        # A list in place of an object, a number in place of a text: each reader fails in its own way.
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            self.damaged.append(name)
            return otherwise


def _state(column: _Columns) -> State:
    state: Any = column.row["state"]
    if state not in _STATES:
        # What became of it isn't known any more.
        column.damaged.append("state")
        return "unknown"
    known: State = state
    return known


def _price(column: _Columns) -> Decimal:
    micro = column.row["price"]
    if isinstance(micro, int) and 0 <= micro <= _MOST_PRICE:
        return Decimal(micro) / MICRO
    column.damaged.append("price")
    model = column.row["model"]
    # What it costs today is nearer to the truth than nothing.
    if not isinstance(model, str):
        return Decimal(0)
    return (optimizer() if makes_text(model) else remembered_model(model)).price


def read_record(row: Mapping[str, Any]) -> Record:
    """Return a row of the table `purchase` as a value, whatever is in it."""
    column = _Columns(row)
    state, model = _state(column), column.text("model")
    width, height = column.number("width", 0, _MOST_SIDE), column.number("height", 0, _MOST_SIDE)
    seed = column.number("seed", NO_SEED, HIGHEST_SEED)
    nothing: tuple[str, ...] = ()
    outputs = column.read("outputs", _outputs, nothing)
    prediction_id = column.read("prediction_id", check_prediction_id, None)
    if state == "completed" and not outputs and prediction_id is not None:
        # Where the picture is can be asked again.
        state = "submitted"
    text = column.read("text", _text, None)
    sha256 = column.read("sha256", _sha256, None)
    suffix = column.read("suffix", _suffix, None)
    needed = set(_NEEDED.get(state, ()))
    if state == "stored":
        for name, value in (
            (("text", text),) if makes_text(model) else (("sha256", sha256), ("suffix", suffix))
        ):
            if value is None:
                column.damaged.append(name)
    elif state in ("submitted", "completed") and prediction_id is None:
        column.damaged.append("prediction_id")
    got_width, got_height = (
        column.read(name, _side, None) if row[name] else None for name in ("got_width", "got_height")
    )
    created_at, lease_until = column.moment("created_at"), column.moment("lease_until")
    error = column.read("error", load_error, None)
    record = Record(
        id=row["id"],
        provider=column.text("provider"),
        key=column.text("key"),
        state=state,
        model=model,
        prompt=column.text("prompt"),
        size=Size(width, height),
        seed=None if seed == NO_SEED else seed,
        run_id=column.text("run_id"),
        price=_price(column),
        prediction_id=prediction_id,
        outputs=outputs,
        # Blurred without need is better than shown without leave.
        flagged=row["flagged"] != 0,
        seconds=column.moment("seconds"),
        sha256=sha256,
        suffix=suffix,
        got=Size(got_width, got_height) if got_width and got_height else None,
        error=error,
        owner=column.read("owner", _text, None),
        lease_until=lease_until or 0.0,
        created_at=created_at or 0.0,
        sent_at=column.moment("sent_at"),
        server_at=column.moment("server_at"),
        missed_at=column.moment("missed_at"),
        inputs=column.read("inputs", partial(_inputs, model), ""),
        text=text,
    )
    if not column.damaged:
        return record
    names = tuple(dict.fromkeys(column.damaged))
    if needed & set(names) or "state" in names:
        error = DamagedRowError.of(record.id, names)
    return replace(record, damaged=names, error=error)


def _outputs(text: str) -> tuple[str, ...]:
    outputs = json.loads(text or "[]")
    if not isinstance(outputs, list) or not all(isinstance(one, str) for one in outputs):
        raise ValueError
    return tuple(outputs)


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        raise TypeError
    return value


def _sha256(value: str) -> str | None:
    if not _SHA256.fullmatch(value):
        raise ValueError
    return value


def _suffix(value: str) -> str | None:
    if value not in _SUFFIXES:
        raise ValueError
    return value


def _side(value: int) -> int | None:
    if not isinstance(value, int) or not 0 < value <= _MOST_SIDE:
        raise ValueError
    return value


def _inputs(model: str, text: str) -> str:
    """Return the inputs' JSON as it is, where all that is asked of it can be read from it."""
    if not text:
        return _text(text) or ""
    values = json.loads(text)
    for picture in map(InputPicture.from_json, values.get("images", ())):
        _sha256(picture.sha256)
        _side(picture.width)
        _side(picture.height)
        _suffix(picture.suffix)
    given = (values.get("output_format", ""), *values.get("addresses", ()))
    if not all(isinstance(one, str) for one in given):
        raise ValueError
    if makes_text(model) and values.get("style") not in STYLES:
        raise ValueError
    sorted(values.get("extra", {}).items())
    return text


def with_addresses(inputs: str, addresses: Sequence[str]) -> str:
    """Return a row's inputs with where the pictures were when it was sent."""
    return json.dumps({**json.loads(inputs or "{}"), "addresses": list(addresses)})


def dump_error(error: QwenError) -> str:
    """Return an error as JSON."""
    return json.dumps(
        {
            "kind": type(error).__name__,
            "message": error.message,
            "paid": error.paid,
            "next_step": error.next_step,
            "prediction_id": error.prediction_id,
        }
    )


def load_error(text: str | None) -> QwenError | None:
    """Return the error of such a text, None of none.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        It is no such text.
    """
    if not text:
        return None
    values = json.loads(text)
    kind, paid = _KINDS[values["kind"]], values["paid"]
    said = (values["message"], values["next_step"])
    if paid not in get_args(errors.Paid) or not all(isinstance(one, str) for one in said):
        raise ValueError
    prediction_id = values["prediction_id"]
    return kind(
        values["message"],
        paid=paid,
        next_step=values["next_step"],
        prediction_id=None if prediction_id is None else check_prediction_id(prediction_id),
    )
