"""The Prompt Enhancer in the panel: asked, looked at, accepted, undone."""

from __future__ import annotations

import pytest
from panel_kit import forge, look

from qwen_widgets.core.errors import InputError


def test_an_enhanced_prompt_is_looked_at_edited_accepted_and_undone(panel):
    panel.enhance()
    panel.wait(30)
    assert panel.suggestion.startswith("a red fox")
    assert panel.suggestion != "a red fox"
    assert panel.prompt == "a red fox"
    look(panel)
    assert "<ins>" in panel._form.places["changes"].value
    panel.suggestion += ", in the rain"
    forge(panel, {"type": "accept", "fields": {}})
    assert panel.prompt.endswith(", in the rain")
    assert panel.suggestion == ""
    panel.run()
    panel.wait(30)
    (row,) = panel.grid.sweep.rows
    assert (row.original, row.style) == ("a red fox", "default")
    panel.undo()
    assert panel.prompt == "a red fox"


def test_what_is_dismissed_leaves_the_prompt_and_is_not_asked_for_twice(new_panel, hosted):
    panel = new_panel("a red fox", seeds="1")
    for _ in range(2):
        panel.style = "anime"
        panel.enhance()
        panel.wait(30)
        assert panel.message == ""
        assert panel.suggestion
        panel.dismiss()
        assert (panel.prompt, panel.suggestion) == ("a red fox", "")
    assert len(hosted.submits) == 1


def test_several_prompts_are_not_enhanced_at_once(panel):
    panel.prompt = "a {red|blue} fox"
    with pytest.raises(InputError, match="2 prompts"):
        panel.enhance()
    forge(panel, {"type": "enhance", "fields": {}})
    assert "2 prompts" in panel._form.places["prompt-error"].value


def test_the_enhancer_is_held_to_the_panels_limit(new_panel, hosted):
    panel = new_panel("a fox", seeds="1", max_cost=0.0)
    panel.enhance()
    panel.wait(20)
    assert "$0.001" in panel.message
    assert hosted.submits == []


@pytest.mark.parametrize(
    "text", ["a fox in snow --seed 1-30", "# a fox", "a fox --ar 16:9", "a fox", "two\n\nfoxes"]
)
def test_words_that_would_be_read_as_options_are_not_accepted(panel, text):
    panel.enhance()
    panel.wait(20)
    panel.suggestion = text
    forge(panel, {"type": "accept", "fields": {}})
    if text in ("a fox", "two\n\nfoxes"):
        assert panel.prompt == " ".join(text.split())
    else:
        assert panel.prompt == "a red fox"
        assert "edit them first" in panel.message
