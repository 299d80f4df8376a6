"""The catalogue of models, as the hosted service lists them."""

from __future__ import annotations

from qwen_widgets.core.models import DEFAULT_RATIO, HIGHEST_SEED, PRESETS, Model


def catalogue_entry(model: Model, origin: str, path: str) -> dict[str, object]:
    """Return a model in the shape of https://wavespeed.ai/docs/list-models."""
    sides = {"minimum": model.min_side, "maximum": model.max_side}
    schema = {
        "type": "object",
        "properties": {
            "prompt": {"type": "string", "maxLength": model.max_prompt},
            "size": {"type": "string", "default": PRESETS[DEFAULT_RATIO].wire, **sides},
            "seed": {"type": "integer", "default": -1, "minimum": -1, "maximum": HIGHEST_SEED},
        },
        "required": ["prompt"],
    }
    run = {
        "type": "model_run",
        "method": "POST",
        "server": origin,
        "api_path": f"{path}/{model.id}",
        "request_schema": schema,
    }
    return {
        "model_id": model.id,
        "name": model.id,
        "description": f"{model.title}, drawn by the embedded service",
        "type": "text-to-image",
        "base_price": float(model.price),
        "api_schema": {"api_schemas": [run]},
    }
