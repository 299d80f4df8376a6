"""Cells that edit pictures, and cells of each model, in a real kernel against the contract on a port."""

from __future__ import annotations

import re
from collections.abc import Callable

from contract import ContractServer
from kernels import Kernel

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.max_cost = 5"
#: Each model with its options in a cell, and the inputs of its schema in the API reference.
MODELS = {
    "qwen-image-2.0": ("--seeds 3", {"prompt", "size", "seed"}),
    "qwen-image-2.0-pro": ("--seeds 3 --size 16:9", {"prompt", "size", "seed"}),
    "qwen-image-2.0-edit": ("--seeds 3 -i photo.png", {"prompt", "images", "seed"}),
    "qwen-image-2.0-pro-edit": ("--seeds 3 -i photo.png -i photo", {"prompt", "images", "seed"}),
    "qwen-image-edit-plus": (
        "--seeds 3 -i photo -f png",
        {"prompt", "images", "seed", "output_format"},
    ),
    "seedream-5-lite": ("--size 16:9", {"prompt", "size", "output_format"}),
    "seedream-5-lite-edit": ("-i photo.png", {"prompt", "size", "output_format", "images"}),
}
PHOTO = """
from PIL import Image
photo = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
photo.save("photo.png")
"""


def started(start_kernel: Callable[..., Kernel], server: ContractServer) -> Kernel:
    kernel = start_kernel(env=server.env())
    for line in LOAD.splitlines():
        kernel.run(line).check()
    kernel.run(PHOTO).check()
    return kernel


def test_each_model_runs_in_a_cell_with_exactly_its_inputs(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = started(start_kernel, contract_server)
    for name, (options, inputs) in MODELS.items():
        result = kernel.run(f"%%qwenimage -m {name} {options} -o g\na fox at night").check()
        assert kernel.run("print([cell.state for cell in g])").check().stdout == "['stored']\n", name
        assert set(contract_server.submits[-1].body) == inputs
        assert ("takes no seed: one picture a prompt" in result.stdout) is ("seed" not in inputs)
    assert len(contract_server.submits) == len(MODELS)
    assert len(contract_server.submits[3].body["images"]) == 2
    assert contract_server.submits[1].body["size"] == "1280*720"
    assert contract_server.submits[5].body["size"] == "2560*1440"
    assert all(prediction.ignored == () for prediction in contract_server.service.predictions.values())


def test_models_are_an_axis(start_kernel: Callable[..., Kernel], contract_server: ContractServer) -> None:
    kernel = started(start_kernel, contract_server)
    cell = "%%qwenimage -m qwen-image-2.0,qwen-image-2.0-pro --seeds 1-2 --size 256x256 -o g\na fox"
    result = kernel.run(cell).check()
    assert "1 prompt × 2 seeds × 2 models = 4 images" in result.stdout
    assert "$0.20" in result.stdout
    shown = kernel.run("print(g.shape, [row.model.name for row in g.sweep.rows])").check().stdout
    assert shown == "(2, 2) ['qwen-image-2.0', 'qwen-image-2.0-pro']\n"
    html = "".join(data["data"].get("text/html", "") for data in (*result.displays, *result.updates))
    assert "Qwen Image 2.0 Pro" in html


def test_a_cell_of_a_grid_is_edited_and_the_result_again(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = started(start_kernel, contract_server)
    kernel.run("%%qwenimage --seeds 1-3 --size 512x512 -o fox\na red fox").check()
    result = kernel.run("%%qwenimage --seeds 1,2 -i fox[0, 2] -o night\nmake it night").check()
    html = [data["data"].get("text/html", "") for data in (*result.displays, *result.updates)]
    assert ">before<" in re.sub(r"\s+", "", html[-1])
    # Two edits and what was there before them.
    assert html[-1].count("data:image/webp;base64,") == 3
    kernel.run("%qwenimage -s 1 -i night[0,1] -o dawn make it dawn").check()
    shown = kernel.run(
        "made = dawn[0, 0].made_from; print(made.prompt, made.seed, made.row, made.column, made.run_id == night.run_id)\n"
        "print(night[0, 0].made_from.prompt, night[0, 0].made_from.seed)"
    ).check()
    assert shown.stdout == "make it night 2 0 1 True\na red fox 3\n"
    # Each picture is uploaded once: the third fox and the second night.
    assert len(contract_server.uploads) == 2
    assert len(contract_server.submits) == 6


def test_the_cell_to_edit_with_is_run_as_it_is_and_buys_nothing(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = started(start_kernel, contract_server)
    kernel.run("%%qwenimage --seeds 5 --size 512x512 -o fox\na red fox").check()
    told = kernel.run(
        "from qwen_widgets.grid.describe import cell_actions\n"
        "[edit] = [one for one in cell_actions(fox, 0, 0) if one.label == 'edit this']\n"
        "print(edit.price); print(edit.text)"
    ).check()
    price, _, cell = told.stdout.partition("\n")
    assert price == "$0.03 a picture"
    untouched = kernel.run(cell.strip())
    assert untouched.status == "error"
    assert "only comments" in untouched.stderr
    assert len(contract_server.submits) == 1
    assert contract_server.uploads == []
    # In a new kernel, without the variable: the ledger knows the run.
    other = started(start_kernel, contract_server)
    first, _, rest = cell.strip().partition("\n")
    other.run(f"{first} -o night\n{rest}\nmake it night").check()
    shown = other.run("print(night[0, 0].state, night[0, 0].request.seed, night[0, 0].made_from.prompt)")
    assert shown.check().stdout == "stored 5 a red fox\n"


def test_what_cannot_be_edited_is_one_sentence_in_the_cell(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel = started(start_kernel, contract_server)
    kernel.run("%%qwenimage --seeds 1 --size 256x256 -o fox\na red fox").check()
    kernel.run("small, count = photo.resize((300, 300)), 7").check()
    for options, words in {
        "-i fox[0,2]": "the grid has 1 row and 1 column",
        "-i fox[0,0]": "it is 256×256, and qwen-image-2.0-edit takes pictures with sides of 384 to 3072 pixels",
        "-i small": "image 'small': it is 300×300",
        "-i count": "image 'count': it is of the type int",
        "-i nobody": "there is no variable and no file of that name",
        "-i nobody[0,1]": "there is no such file, and no variable with such a place",
        "-i fox.kept[0]": "there is no such file, and no variable with such a place",
        "-i file:///etc/passwd": "file: is not opened",
        "-i https://10.1.2.3/a.png": "leads into a private network",
        "-i photo " * 7: "7 were given",
        "--fit": "there is no picture to scale",
        "-m qwen-image-2.0 -i photo": "qwen-image-2.0-edit takes pictures",
        "-m qwen-image-2.0-edit": "give one with -i",
        "-f png": "qwen-image-2.0 has no choice of format",
        "-i photo -i": "expected at least one argument",
    }.items():
        result = kernel.run(f"%%qwenimage {options}\nmake it night")
        assert result.status == "error", options
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith("UsageError: "), options
        assert words in line, options
    assert len(contract_server.submits) == 1
    assert contract_server.uploads == []
    done = kernel.run("%%qwenimage -i small --fit --seeds 1 -o night\nmake it night").check()
    assert "1 new" in done.stdout


def test_without_a_key_everything_works_on_the_embedded_service(kernel_one: Kernel) -> None:
    kernel_one.run("%load_ext qwen_widgets").check()
    kernel_one.run("%config QwenMagics.offline_seconds = 0.1").check()
    kernel_one.run(PHOTO).check()
    kernel_one.run("%%qwenimage -i photo --seeds 1-2 -o night\nmake it night").check()
    kernel_one.run("%%qwenimage -m seedream-5-lite-edit -i night[0,1] -o dawn\nmake it dawn").check()
    shown = kernel_one.run("print([cell.state for grid in (night, dawn) for cell in grid], dawn.seeds)")
    assert shown.check().stdout == "['stored', 'stored', 'stored'] (None,)\n"
