"""What the ledger's rows hold: a row as a value, an error as text and back. No SQL is run here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qwen_widgets.core import errors
from qwen_widgets.core.enhancer import TextRequest, makes_text
from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.model_schema import Extra
from qwen_widgets.core.models import Size, remembered_model
from qwen_widgets.core.request import ImageRequest, InputPicture
from qwen_widgets.core.states import State

MICRO = Decimal(1_000_000)
#: How the content key of an unassigned row begins.
UNASSIGNED = "unassigned "
#: What stands in the seed's column where the model takes none.
NO_SEED = -1


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
        if self.state in ("planned", "rejected"):
            return Decimal(0)
        if self.state == "failed" and (self.error is None or self.error.paid == "no"):
            return Decimal(0)
        return self.price


def read_record(row: Mapping[str, Any]) -> Record:
    """Return a row of the table `purchase` as a value."""
    return Record(
        id=row["id"],
        provider=row["provider"],
        key=row["key"],
        state=row["state"],
        model=row["model"],
        prompt=row["prompt"],
        size=Size(row["width"], row["height"]),
        seed=None if row["seed"] == NO_SEED else row["seed"],
        run_id=row["run_id"],
        price=Decimal(row["price"]) / MICRO,
        prediction_id=row["prediction_id"],
        outputs=tuple(json.loads(row["outputs"] or "[]")),
        flagged=bool(row["flagged"]),
        seconds=row["seconds"],
        sha256=row["sha256"],
        suffix=row["suffix"],
        got=Size(row["got_width"], row["got_height"]) if row["got_width"] else None,
        error=load_error(row["error"]),
        owner=row["owner"],
        lease_until=row["lease_until"] or 0.0,
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        server_at=row["server_at"],
        missed_at=row["missed_at"],
        inputs=row["inputs"],
        text=row["text"],
    )


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
    """Return the error of such a text, None of none."""
    if not text:
        return None
    values = json.loads(text)
    kind = getattr(errors, values["kind"], QwenError)
    error: QwenError = kind(
        values["message"],
        paid=values["paid"],
        next_step=values["next_step"],
        prediction_id=values["prediction_id"],
    )
    return error
