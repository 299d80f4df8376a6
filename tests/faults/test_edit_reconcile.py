"""A lost answer to an edit: whose prediction it is, the addresses of the pictures say."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from contract import ContractServer, settings
from PIL import Image
from starlette.responses import JSONResponse

import qwen_widgets as qw
from qwen_widgets import account, archive
from qwen_widgets.core.ledger import Ledger
from qwen_widgets.core.models import find_model
from qwen_widgets.core.reconcile import likeness
from qwen_widgets.core.records import Record
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import plan_sweep
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio

PHOTO = InputPicture("ab" * 32, 640, 480, ".png")
HERE, THERE = "https://cdn.example/here.png", "https://cdn.example/there.png"


def sent(ledger: Ledger, model: str, **options: Any) -> Record:
    """A row as it is after its order was sent."""
    images = (PHOTO,) if find_model(model).takes_images else ()
    (request,) = plan_sweep("a fox", seeds=7, models=model, images=images, **options).unique

    def work(db: Any) -> Record:
        record, _ = db.claim("https://api.example", request, "run", Decimal("0.03"))
        db.send(record.id, midnight=0.0, addresses=(HERE,) * len(images))
        return db.get(record.id)  # type: ignore[no-any-return]

    return ledger.wait(work)


@pytest.mark.parametrize(
    ("model", "echoed", "expected"),
    [
        ("qwen-image-2.0-edit", {"prompt": "a fox", "seed": 7, "images": [HERE]}, "same"),
        ("qwen-image-2.0-edit", {"prompt": "a fox", "seed": 7, "images": [THERE]}, "perhaps"),
        ("qwen-image-2.0-edit", {"prompt": "a fox", "seed": 7, "images": [HERE, THERE]}, "perhaps"),
        ("qwen-image-2.0-edit", {"prompt": "a fox", "seed": 7}, "perhaps"),
        ("qwen-image-2.0-edit", {"prompt": "a fox", "seed": 8, "images": [HERE]}, "other"),
        ("qwen-image-2.0-edit", {"prompt": "a cat", "images": [HERE]}, "other"),
        ("seedream-5-lite", {"prompt": "a fox", "size": "2048*2048", "output_format": "jpeg"}, "same"),
        ("seedream-5-lite", {"prompt": "a fox", "size": "2048*2048"}, "same"),
        ("seedream-5-lite", {"prompt": "a fox", "size": "2048*2048", "output_format": "png"}, "other"),
        ("seedream-5-lite", {"prompt": "a fox"}, "perhaps"),
    ],
)
def test_what_an_echoed_edit_proves(model: str, echoed: dict[str, Any], expected: str, tmp_path: Any) -> None:
    ledger = Ledger(tmp_path / "home")
    try:
        record = sent(ledger, model)
        assert likeness(echoed, record) == expected
        # What is resumed stands for the very request that was bought.
        assert record.request().key == record.key
        assert record.seed == (None if model == "seedream-5-lite" else 7)
        assert record.addresses == (() if model == "seedream-5-lite" else (HERE,))
    finally:
        ledger.close()


async def test_two_lost_edits_of_two_pictures_each_find_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ContractServer(settings(duration=0.05))
    inner = server.service.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith("/edit"):
            await inner(scope, receive, send)
            return

        async def nothing(_message: Any) -> None:
            """The order is taken and its answer is lost."""

        await inner(scope, receive, nothing)
        await JSONResponse({"code": 500, "message": "gateway"}, 500)(scope, receive, send)

    server.service.app = app  # type: ignore[assignment]
    try:
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings()))
        photos = [Image.new("RGB", (512, 512), colour) for colour in ("teal", "brown")]
        grids = await asyncio.gather(*(qw.agenerate("make it night", seeds=1, images=one) for one in photos))
        assert [grid[0, 0].state for grid in grids] == ["stored", "stored"]
        assert len(server.submits) == 2
        for grid in grids:
            cell = grid[0, 0]
            prediction = server.service.predictions[cell.prediction_id or ""]
            (name,) = prediction.sources
            upload = server.service.uploads.find(name)
            assert upload is not None
            assert upload.filename.startswith(cell.request.images[0].sha256[:20])
    finally:
        server.stop()


def test_a_lost_edit_that_was_adopted_meanwhile_is_in_the_ledger_once(contract: ContractServer) -> None:
    inner, lost, down = contract.service.app, [True], [True]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def nothing(_message: Any) -> None:
            """The order is taken and its answer is lost."""

        if scope["path"].endswith("/edit") and lost:
            lost.clear()
            await inner(scope, receive, nothing)
            await JSONResponse({}, 500)(scope, receive, send)
        elif scope["path"].endswith("/predictions") and down:
            await JSONResponse({}, 500)(scope, receive, send)
        else:
            await inner(scope, receive, send)

    contract.service.app = app  # type: ignore[assignment]
    engine, _ = archive.studio().engine()
    engine.time_scale = 0.001
    picture = Image.new("RGB", (512, 512), "teal")
    assert qw.generate("make it night", seeds=1, images=picture)[0, 0].state == "unknown"
    (made,) = contract.service.predictions
    (adopted,) = account.adopt(made)
    assert (adopted.state, adopted.unassigned) == ("stored", True)
    down.clear()
    cell = qw.generate("make it night", seeds=1, images=picture)[0, 0]
    assert (cell.state, cell.prediction_id) == ("stored", made)
    found = [(row["state"], row["cost"]) for row in archive.history().to_dict("records")]
    assert sorted(found) == [("expired", 0.0), ("stored", 0.03)]
    assert len(contract.submits) == 1
