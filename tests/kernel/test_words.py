"""The enhancer, the catalogue and the account as a person types them, in a real kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contract import ContractServer
from kernels import Kernel

LOAD = "%load_ext qwen_widgets"
FAST = "%config QwenMagics.offline_seconds = 0.2"
OPTIMIZER = "/api/v3/wavespeed-ai/prompt-optimizer"


def test_a_cell_with_enhanced_prompts(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = start_kernel(env=contract_server.env())
    kernel.run(LOAD).check()
    cell = "%%qwenimage -e anime --seeds 1-2 --size 256x256 -o fox{}\na red fox"
    dry = kernel.run(cell.format(" --dry-run")).check()
    assert "1 prompt × 2 seeds = 2 images · enhancing 1 prompt $0.001 · 2 new · $0.061 · about " in dry.stdout
    assert contract_server.submits == []
    result = kernel.run(cell.format("")).check()
    assert "1 prompt enhanced (anime) · $0.001" in result.stdout
    printed = next(message for message in result.messages if message.type == "stream")
    # What the service tells of it is cut to whole milliseconds.
    assert printed.time < min(p.created for p in contract_server.service.predictions.values()) + 0.001
    asked = [submit.path for submit in contract_server.submits]
    assert asked[0] == OPTIMIZER
    assert asked.count(OPTIMIZER) == 1
    assert contract_server.submits[0].body == {"text": "a red fox", "mode": "image", "style": "anime"}
    shown = kernel.run(
        "row = fox.sweep.rows[0]; print(fox.shape, row.original, row.style, row.prompt != row.original)"
    )
    assert shown.check().stdout == "(1, 2) a red fox anime True\n"
    # Run again, nothing is asked.
    again = kernel.run(cell.format("")).check()
    assert "1 prompt enhanced before · 2 already here · nothing new · $0.00" in again.stdout
    assert len(contract_server.submits) == 3


def test_both_and_the_line_magic(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run(FAST).check()
    both = kernel_one.run("%%qwenimage --enhance both --seeds 1-2 --size 256x256 -o g\na red fox").check()
    assert "1 prompt × original and enhanced × 2 seeds = 4 images · enhancing 1 prompt · 4 new" in both.stdout
    snapshot = both.displays[-1]["data"]["text/html"]
    assert "enhanced (default)" in snapshot
    # The next word is a style, or the prompt's first.
    for line in ("-e a red fox", "-e default a red fox", "--enhance=default a red fox"):
        kernel_one.run(f"%qwenimage --seeds 3 --size 256x256 -o h {line}").check()
        assert kernel_one.run("print(h.sweep.rows[0].original)").check().stdout == "a red fox\n"
    kernel_one.run("import qwen_widgets as qw").check()
    assert kernel_one.run("print(qw.enhance('a red fox').cached)").check().stdout == "True\n"


def test_a_style_that_is_none_is_one_sentence(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = start_kernel(env=contract_server.env())
    kernel.run(LOAD).check()
    for options, words in [
        ("-e anmie", "enhance 'anmie': there is no such style; did you mean anime?"),
        ("--enhance both:pretty", "enhance 'pretty': there is no such style; it is default, artistic,"),
    ]:
        result = kernel.run(f"%%qwenimage {options}\na red fox")
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith(f"UsageError: {words}")
    assert contract_server.asked == []
    matches = kernel.complete("%%qwenimage --enhance an")
    assert "anime" in matches


def test_the_models_are_listed_and_refreshed_in_short_lines(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = start_kernel(env=contract_server.env())
    kernel.run(LOAD).check()
    assert "Limits and prices as built in" in kernel.run("%qwen models").check().stdout
    assert "seedream-5-lite" in kernel.run("%qwen models seedream").check().stdout
    assert contract_server.asked == []
    result = kernel.run("%qwen models --refresh").check()
    assert "The built-in models have the limits and prices they had." in result.stdout
    assert len(result.stdout) < 2000
    assert [asked.path for asked in contract_server.asked] == ["/api/v3/models"]
    assert "Catalogue of 20" in kernel.run("%qwen models").check().stdout
    for option, words in [("steps", "write NAME=VALUE"), ("steps=3", "qwen-image-2.0 has none of that name")]:
        assert words in kernel.run(f"%%qwenimage --input {option}\na red fox").stderr
    wrong = kernel.run("%qwen models --all")
    assert wrong.stderr.startswith("UsageError: %qwen models --all: it takes --refresh")


def test_the_account_is_looked_at_and_adopted_from(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer, tmp_path: Path
) -> None:
    there = start_kernel(env=contract_server.env() | {"QWEN_WIDGETS_HOME": str(tmp_path / "elsewhere")})
    there.run(LOAD).check()
    there.run("%%qwenimage --seeds 5 --size 256x256\na red fox").check()
    kernel = start_kernel(env=contract_server.env())
    kernel.run(LOAD).check()
    assert "$999.97 left" in kernel.run("%qwen balance").check().stdout
    assert kernel.run("%qwen usage").check().stdout == "This ledger has spent nothing.\n"
    remote = kernel.run("%qwen history --remote").check().stdout
    (made,) = contract_server.service.predictions
    assert remote.startswith(made)
    assert "seed 5  a red fox" in remote
    assert "1 of 1 are here now" in kernel.run(f"%qwen adopt {made}").check().stdout
    again = kernel.run("%%qwenimage --seeds 5 --size 256x256\na red fox").check()
    assert "1 already here · nothing new · $0.00" in again.stdout
    assert len(contract_server.submits) == 1
    for line, words in [
        ("adopt", "say what"),
        ("adopt ../x", "no prediction's id"),
        ("balance now", "nothing more"),
        ("history --remot", "it takes --remote"),
    ]:
        result = kernel.run(f"%qwen {line}")
        (sentence,) = result.stderr.strip().splitlines()
        assert sentence.startswith("UsageError: ")
        assert words in sentence
