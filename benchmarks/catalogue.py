"""The live catalogue: how long 1,000 models take to be read and taken up, and how little is kept of them.

    python benchmarks/catalogue.py

Prints the sizes and times, and ends with an error where a bound does not hold.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

from qwen_widgets.core import answers
from qwen_widgets.core.catalogue import Catalogue, changes, read_catalogue
from qwen_widgets.core.models import SHELF

MODELS = 1000
#: Milliseconds for the whole of a refresh behind the network: bytes in, what is kept out, and the models on the shelf.
BOUND = 200.0
ROUNDS = 15
_KINDS = ("text-to-image", "image-to-image", "text-to-video", "image-to-video", "text-to-audio")


def make_entry(number: int) -> dict[str, Any]:
    """Return a model as the hosted service lists one: its words are most of it."""
    kind = _KINDS[number % len(_KINDS)]
    said = (
        "One of the inputs of the model, with a sentence or two about what it does and what to give it. " * 2
    )
    properties: dict[str, Any] = {
        "prompt": {"type": "string", "description": said, "maxLength": 2000},
        "size": {
            "type": "string", "description": said, "default": "1024*1024", "minimum": 256, "maximum": 1536,
        },
        "seed": {"type": "integer", "description": said, "default": -1, "minimum": -1, "maximum": 2**31 - 1},
        "output_format": {"type": "string", "description": said, "enum": ["jpeg", "png"], "default": "jpeg"},
        "guidance_scale": {"type": "number", "description": said, "default": 3.5, "minimum": 1, "maximum": 20},
        "num_inference_steps": {"type": "integer", "description": said, "default": 28, "minimum": 1},
        "enable_sync_mode": {"type": "boolean", "description": said, "default": False},
    }  # fmt: skip
    run = {
        "type": "model_run",
        "method": "POST",
        "api_path": f"/api/v3/maker-{number % 40}/model-{number}/{kind}",
        "request_schema": {
            "type": "object",
            "properties": properties,
            "required": ["prompt"],
            "x-order-properties": list(properties),
        },
    }
    return {
        "model_id": f"maker-{number % 40}/model-{number}/{kind}",
        "name": f"maker-{number % 40}/model-{number}/{kind}",
        "description": said * 2,
        "type": kind,
        "base_price": 0.01 + number % 7 / 100,
        "api_schema": {"type": "object", "api_schemas": [run]},
    }


def main() -> int:
    entries = [make_entry(number) for number in range(MODELS)]
    body = json.dumps({"code": 200, "message": "success", "data": entries}).encode()
    times, again, walls = [], [], []
    kept, known = "", SHELF.models
    for _ in range(ROUNDS):
        # CPU time: nothing here waits, so that it is the time on a machine with nothing else to do.
        began, wall = time.process_time(), time.perf_counter()
        found = read_catalogue(answers.read_envelope(body).data)
        kept = found.to_json()
        models = found.models()
        SHELF.learn(models, prices=found.prices)
        changes(known, SHELF.models)
        times.append((time.process_time() - began) * 1000)
        walls.append((time.perf_counter() - wall) * 1000)
        began = time.process_time()
        told = Catalogue.from_json(kept)
        SHELF.learn(told.models(), prices=told.prices)
        again.append((time.process_time() - began) * 1000)
    took, wall = statistics.median(times), statistics.median(walls)
    print(f"an answer of {len(body) / 1e6:.1f} MB with {MODELS} models, {len(models)} of them usable")
    print(f"read, kept and taken up   {took:6.1f} ms of CPU, {wall:.1f} ms by the clock  (bound {BOUND:.0f})")
    print(f"taken up by a new kernel  {statistics.median(again):6.1f} ms of CPU")
    print(f"kept in the ledger        {len(kept.encode()) / 1e3:6.0f} kB")
    return 0 if took < BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
