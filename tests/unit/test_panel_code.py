"""The panel left with code: what is copied makes the same pictures for nothing."""

from __future__ import annotations

from panel_kit import look


def test_the_python_text_makes_the_same_pictures_for_nothing(panel):
    panel.prompt = 'a {red|blue} fox says "hi"'
    panel.run()
    panel.wait(30)
    found = {}
    exec(panel.python().replace("qw.generate", "found['grid'] = qw.generate"), {"found": found})
    assert [cell.path for cell in found["grid"]] == [cell.path for cell in panel.grid]
    assert all(cell.cached for cell in found["grid"])


def test_the_texts_name_only_what_is_not_the_default(new_panel):
    panel = new_panel("a fox", seeds="1-4")
    assert panel.magic() == "%%qwenimage --seeds 1-4\na fox"
    assert panel.python() == "import qwen_widgets as qw\n\nqw.generate('a fox', seeds='1-4')"
    panel.models = ["qwen-image-2.0", "qwen-image-2.0-pro"]
    panel.size, panel.title, panel.max_cost = "16:9", 'the "fox"', 2
    first, _, prompt = panel.magic().partition("\n")
    assert prompt == "a fox"
    assert first == (
        "%%qwenimage --seeds 1-4 --size 16:9 --model qwen-image-2.0,qwen-image-2.0-pro "
        "--title 'the \"fox\"' --max-cost 2"
    )


def test_a_copy_of_an_edit_names_the_size_that_the_panel_asks_for(panel, tmp_path):
    from PIL import Image

    Image.new("RGB", (1280, 720), "red").save(tmp_path / "boat.png")
    panel.model, panel.size, panel.images = "seedream-5-lite-edit", "1:1", (str(tmp_path / "boat.png"),)
    look(panel)
    assert "--size 1:1" in panel.magic()
    assert "sizes='1:1'" in panel.python()


def test_a_heading_is_written_so_that_a_cell_reads_it_back(panel):
    for title, written in (
        ("-o fox", '--title="-o fox"'),
        ('the "fox"', "--title 'the \"fox\"'"),
        ("a fox's", '--title "a fox\'s"'),
    ):
        panel.title = title
        assert panel.magic().partition("\n")[0].endswith(written)
