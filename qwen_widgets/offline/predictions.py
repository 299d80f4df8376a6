"""One prediction, as the service knows it, and how it is told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from qwen_widgets.core.models import Size
from qwen_widgets.offline.catalogue import Offer
from qwen_widgets.offline.orders import Order

Status = Literal["created", "processing", "completed", "failed"]
#: How the answer of a model that makes text comes: as itself, as the address of a text file, as an object.
TextForm = Literal["text", "address", "object"]

#: The marks in a prompt that make its prediction fail, with the inner code and the text of the failure.
FAILURES: dict[str, tuple[int, str]] = {
    "offline:moderated": (
        1200,
        "Content flagged as potentially sensitive. Please change the wording and try again.",
    ),
    "offline:fail": (1403, "The task failed. Please try again."),
}
#: The suffix and the media type of each `output_format`.
FORMATS: dict[str, tuple[str, str]] = {
    "png": ("png", "image/png"),
    "jpeg": ("jpg", "image/jpeg"),
    "webp": ("webp", "image/webp"),
}

_SPREAD = 0.35  # of the duration, each way
_WAITING = 0.15  # of the duration is spent as `created`


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One prediction; most of it is never told to a client.

    Attributes
    ----------
    id : str
        32 hex digits.
    order : Order
        What was asked for.
    seed : int
        The seed that the picture is drawn with.
    sources : tuple of str
        The names of its input pictures in the service's memory.
    created, ends : float
        Seconds since the epoch.
    failure : tuple of (int, str) or None
        The inner code and the text that it ends with, where it fails.
    """

    id: str
    order: Order
    seed: int
    created: float
    ends: float
    sources: tuple[str, ...] = ()
    failure: tuple[int, str] | None = None

    @property
    def model(self) -> Offer:
        """The model."""
        return self.order.model

    @property
    def prompt(self) -> str:
        """The words."""
        return self.order.prompt

    @property
    def size(self) -> Size | None:
        """The size in pixels that was asked for, if one was."""
        return self.order.size

    @property
    def asked_seed(self) -> int | None:
        """The seed of the request, maybe -1; None where the model takes none."""
        return self.order.asked_seed

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names in the request that the model has no use for."""
        return self.order.ignored

    @property
    def input(self) -> dict[str, Any]:
        """The resolved input, which some answers echo; a drawn seed is not in it."""
        return dict(self.order.input)

    @property
    def is_text(self) -> bool:
        """Whether its answer is a text."""
        return self.model.kind == "text-to-text"

    @property
    def file(self) -> str:
        """The name of its output as a file."""
        return f"{self.id}.{FORMATS[self.order.output_format][0]}"

    def status(self, now: float) -> Status:
        """Return the state at a time; nothing runs in the background, so the clock alone decides."""
        if now >= self.ends:
            return "failed" if self.failure else "completed"
        return "processing" if now - self.created >= _WAITING * (self.ends - self.created) else "created"

    def told(self, status: Status, origin: str, path: str, outputs: list[object]) -> dict[str, object]:
        """Return the `data` of the prediction's envelope."""
        completed = status == "completed"
        milliseconds = round((self.ends - self.created) * 1000) if completed else 0
        created = datetime.fromtimestamp(self.created, UTC).isoformat(timespec="milliseconds")
        data: dict[str, object] = {
            "id": self.id,
            "model": self.model.id,
            "status": status,
            "outputs": outputs if completed else [],
            "urls": {"get": f"{origin}{path}/predictions/{self.id}/result"},
            "has_nsfw_contents": [False] if completed else [],
            "created_at": created.replace("+00:00", "Z"),
            "error": "",
            "executionTime": milliseconds,
            "timings": {"inference": milliseconds},
        }
        if status == "failed" and self.failure:
            data["code"], data["error"] = self.failure
        return data


def pace(order: Order, seed: int) -> float:
    """Return the factor on the duration, 0.65 to 1.35, always the same for the same request."""
    size = order.size.wire if order.size else ""
    digest = hashlib.sha256(f"{order.model.id}\n{size}\n{seed}\n{order.prompt}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return 1 - _SPREAD + 2 * _SPREAD * share
