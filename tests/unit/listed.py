"""Models as the hosted service lists them, and what is learned of such a list."""

from __future__ import annotations

from typing import Any

from qwen_widgets.core.catalogue import Catalogue, read_catalogue
from qwen_widgets.core.models import Model

FULL = "maker/painter/text-to-image"


def entry(properties: Any, model_id: str = FULL, **more: Any) -> dict[str, Any]:
    """A model as the hosted service lists it."""
    schema = {"type": "object", "properties": properties, "required": more.pop("required", ["prompt"])}
    return {
        "model_id": model_id,
        "name": model_id,
        "type": "text-to-image",
        "base_price": 0.05,
        "api_schema": {"api_schemas": [{"type": "model_run", "request_schema": schema}]},
        **more,
    }


def learned(*entries: Any) -> dict[str, Model]:
    """The models that are learned of some entries, after they were kept and read again."""
    kept = Catalogue.from_json(read_catalogue(list(entries)).to_json())
    return {model.id: model for model in kept.models()}
