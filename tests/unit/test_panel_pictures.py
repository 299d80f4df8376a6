"""The panel's input pictures: from a cell, from a file of the page, from Python."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from panel_kit import forge, look

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import MODELS
from qwen_widgets.studio import studio


def test_a_cell_is_edited_and_its_picture_stands_beside_the_edit(panel):
    panel.size = "640x480"
    panel.run()
    panel.wait(30)
    panel._results._act(0, 1, "edit")
    assert panel.model == "qwen-image-2.0-edit"
    assert panel.prompt == ""
    panel.prompt = "make it night"
    panel.count = 1
    assert look(panel).startswith("1 picture · 1 new")
    run = panel.grid.run_id
    assert panel.magic().startswith(f"%%qwenimage --image {run}[0,1]")
    panel.run()
    panel.wait(60)
    assert panel.message == ""
    edit = panel.grid[1, 0]
    assert edit.state == "stored"
    assert (edit.made_from.row, edit.made_from.column) == (0, 1)
    panel.images = ()
    assert panel.model == "qwen-image-2.0"
    # The row of the edit brings its picture along, another row takes it away again.
    panel._results._take(1)
    assert (panel.prompt, panel.model) == ("make it night", "qwen-image-2.0-edit")
    assert look(panel).startswith("1 picture · 1 already here")
    panel._results._take(0)
    assert (panel.prompt, panel.model, panel.images) == ("a red fox", "qwen-image-2.0", ())
    panel.locked = ["model", "size"]
    panel._results._act(0, 0, "edit")
    panel._results._take(1)
    assert (panel.prompt, panel.model, panel.size) == ("make it night", "qwen-image-2.0", "640x480")


def test_a_file_that_the_page_gives_is_checked(panel, tmp_path):
    from PIL import Image

    def give(name, data):
        panel._form.controls["files"].value = (
            {
                "name": name,
                "type": "image/png",
                "size": len(data),
                "content": memoryview(data),
                "last_modified": datetime.now(UTC),
            },
        )
        return look(panel)

    Image.new("RGB", (500, 400), "red").save(tmp_path / "boat.png")
    give("boat.png", (tmp_path / "boat.png").read_bytes())
    assert "boat.png, 500×400" in panel._form.places["pictures"].value
    assert panel.runnable
    line = give("boat.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "boat.svg" in line
    assert not panel.runnable
    with pytest.raises(InputError):
        panel.run()
    forge(panel, {"type": "clear", "fields": {}})
    assert panel.images == ()


def test_the_page_cannot_name_a_file_of_this_machine(panel, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"")
    forge(panel, {"type": "fields", "fields": {"images": [str(tmp_path / "secret.png")], "files": ["x"]}})
    for content in (str(tmp_path / "secret.png"), 10**12, None, ["x"]):
        file = {
            "name": "x.png",
            "type": "image/png",
            "size": 1,
            "content": content,
            "lastModified": 0,
            "last_modified": 0,
        }
        panel._form.controls["files"].set_state({"value": [file]})
        assert panel.images == ()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_each_model_is_asked_with_exactly_the_inputs_of_its_schema(new_panel, hosted, tmp_path, model):
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(tmp_path / "boat.png")
    images = [str(tmp_path / "boat.png")] if model.min_images else []
    panel = new_panel("a red boat", seeds="7", models=model.name, images=images)
    look(panel)
    assert panel.runnable, panel.line
    panel.run()
    panel.wait(60)
    assert panel.message == ""
    assert [cell.state for cell in panel.grid] == ["stored"]
    (asked,) = hosted.submits
    assert asked.path.endswith(model.id)
    assert set(asked.body) == set(model.inputs)
    assert asked.body.get("seed", 7) == 7


def test_a_row_brings_the_very_picture_that_it_was_made_from(panel, tmp_path):
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(tmp_path / "boat.png")
    panel.images, panel.prompt = (str(tmp_path / "boat.png"),), "make it night"
    panel.run()
    panel.wait(30)
    Image.new("RGB", (640, 480), "blue").save(tmp_path / "boat.png")
    panel._results._take(0)
    assert "already here" in look(panel)


def test_a_run_whose_picture_is_still_read_waits_in_the_background(panel, tmp_path, monkeypatch):
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(tmp_path / "boat.png")
    take, reading = studio().take, threading.Event()

    async def slow(*args, **options):
        await asyncio.to_thread(reading.wait, 10)
        return await take(*args, **options)

    monkeypatch.setattr(studio(), "take", slow)
    panel.prompt = "make it night"
    panel.images = (str(tmp_path / "boat.png"),)
    panel.run()
    assert panel.busy
    panel.prompt = "changed since"
    reading.set()
    panel.wait(30)
    assert panel.message == ""
    assert panel.grid.prompts == ("make it night",)
