"""The panel in real kernels: a cell that computes stops neither its run nor its clicks, on each ipykernel."""

from __future__ import annotations

import pytest
from kernels import Kernel, Message, Result

LOAD = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.3\nimport qwen_widgets as qw"
PANEL = "panel = qw.Panel('a red fox', seeds='1-8', size='256x256')\npanel"
#: A cell that computes for at least 10 s: until the test, which puts a file there, has seen what it waits for.
COMPUTES = """
import pathlib, time
begun = looked = time.monotonic()
while True:
    {does}
    now = time.monotonic()
    if now - looked > 0.5:
        looked = now
        if now - begun > 10 and (pathlib.Path('seen').exists() or now - begun > 240):
            break
print('computed')
"""
#: What it does all the time. In one call of `sum` no other thread gets the interpreter: of the pauses there is one
#: after some 20 ms. Without any, there are those that the interpreter makes by itself, every 5 ms.
PAUSES = "sum(range(1_000_000)); time.sleep(0.001)"
NONE = "sum(range(10_000))"


def bridge(result: Result) -> str:
    """The comm of the panel's bridge, which takes what is pressed."""
    (found,) = [
        message.content["comm_id"]
        for message in result.comms
        if message.type == "comm_open" and "magic" in message.content["data"].get("state", {})
    ]
    return found


def press(kernel: Kernel, comm: str, what: str, subshell: bool = True, **fields: object) -> str:
    return kernel.comm_msg(
        comm, {"method": "custom", "content": {"type": what, "fields": fields}}, subshell=subshell
    )


def pictures(message: Message) -> int:
    """How many pictures a message brings to the page."""
    return sum(bytes(buffer[:3]) == b"\xff\xd8\xff" for buffer in message.buffers)


@pytest.mark.parametrize(
    ("subshell", "does"), [(False, PAUSES), (True, NONE)], ids=["shell, pauses", "subshell, no pause"]
)
def test_a_panel_runs_on_while_a_cell_computes_and_no_click_is_lost(
    kernel: Kernel, subshell: bool, does: str
) -> None:
    kernel.run(LOAD).check()
    comm = bridge(kernel.run(PANEL).check())
    kernel.run("%config QwenMagics.at_once = 2").check()
    kernel.wait(press(kernel, comm, "run", subshell))
    before = len(kernel.log)
    busy = kernel.send(COMPUTES.format(does=does))

    def arrived() -> list[Message]:
        return [
            m for m in kernel.log[before:] if m.channel == "iopub" and m.type == "comm_msg" and pictures(m)
        ]

    # While it computes two more presses are made, and all eight pictures of the first run arrive.
    kernel.until(arrived, timeout=240, what="the first picture")
    clicks = [
        press(kernel, comm, "run", subshell, prompt="a blue fox"),
        press(kernel, comm, "run", subshell, prompt="a green fox"),
    ]
    kernel.until(lambda: sum(map(pictures, arrived())) >= 8, timeout=240, what="the eighth picture")
    (kernel.cwd / "seen").touch()
    result = kernel.wait(busy, timeout=300).check()
    assert result.stdout == "computed\n"
    assert sum(pictures(m) for m in arrived() if m.time < result.ended) >= 8
    for click in clicks:
        kernel.wait(click)
    kernel.run("_ = panel.wait(120)").check()
    seen = kernel.run("print(panel.grid.prompts, {c.state for c in panel.grid}, panel.message)").check()
    assert seen.stdout == "('a red fox', 'a blue fox', 'a green fox') {'stored'} \n"


def test_pressing_and_running_leave_the_kernels_loop_alone(kernel: Kernel) -> None:
    kernel.run(LOAD).check()
    comm = bridge(kernel.run(PANEL).check())
    kernel.run(
        "import asyncio\nloop = asyncio.get_running_loop()\nbefore = (len(asyncio.all_tasks(loop)), asyncio.Task, asyncio.run)"
    ).check()
    for what in ("run", "die", "stop", "undo", "run"):
        kernel.wait(press(kernel, comm, what))
    kernel.run("_ = panel.wait(120)").check()
    same = "print(loop is asyncio.get_running_loop(), before == (len(asyncio.all_tasks(loop)), asyncio.Task, asyncio.run))"
    assert kernel.run(same).check().stdout == "True True\n"


def test_two_panels_do_not_mix(kernel: Kernel) -> None:
    kernel.run(LOAD).check()
    comms = [
        bridge(kernel.run(f"{name} = qw.Panel('{name}', seeds='1-{count}', size='256x256')\n{name}").check())
        for name, count in (("fox", 3), ("owl", 4))
    ]
    clicks = [press(kernel, comm, "run") for comm in comms]
    for click in clicks:
        kernel.wait(click)
    kernel.run("_ = fox.wait(120), owl.wait(120)").check()
    seen = kernel.run("print(fox.grid.prompts, len(fox.grid), owl.grid.prompts, len(owl.grid))").check()
    assert seen.stdout == "('fox',) 3 ('owl',) 4\n"


def test_the_magic_opens_a_panel_with_a_prompt(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    result = kernel_one.run("%qwen panel a {red|blue} fox").check()
    (shown, snapshot) = result.displays
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    assert "qw-snapshot" in snapshot["data"]["text/html"]
    states = [m.content["data"].get("state", {}) for m in result.comms]
    assert "a {red|blue} fox" in [state.get("value") for state in states]


def test_a_notebook_without_a_page_gets_the_snapshot_of_a_panels_run(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run(
        "panel = qw.Panel('a red fox', seeds='1-2', size='256x256')\npanel.run()\npanel.wait()",
        allow_stdin=False,
    ).check()
    result = kernel_one.run("panel", allow_stdin=False).check()
    (shown,) = result.displays
    assert shown["data"]["text/html"].count("data:image/webp;base64,") == 2


COPIES = """
import qwen_widgets as qw
from PIL import Image
boat = "my boat.png"
Image.new("RGB", (640, 480), "red").save(boat)
CASES = [
    dict(prompt="a {red|blue} fox\\n\\nan owl", seeds="1-2"),
    dict(prompt="# a note\\n50% off #1 {x} $y {{z}} --ar 4:3 --seed 5,6", seeds="3"),
    dict(prompt="a fox", seeds="5,1,9", models=["qwen-image-2.0", "qwen-image-2.0-pro"], size="1000x777"),
    dict(prompt="a fox", seeds="5", models=["qwen-image-2.0", "seedream-5-lite"], size="16:9"),
    dict(prompt="a fox", seeds="5", title="-o the \\"best\\" fox", max_cost=0.25),
    dict(prompt="make it night", seeds="5", images=[boat, Image.new("RGB", (500, 500), "green")], models="qwen-image-edit-plus"),
    dict(prompt="make it night", seeds="5", images=[boat], models="seedream-5-lite-edit", size="2:3"),
]
def seen(grid):
    return [(c.request.prompt, str(c.request.seed), str(c.path)) for c in grid], grid.title
for case in CASES:
    panel = qw.Panel(**case)
    panel.run()
    panel.wait(60)
    assert not panel.message, panel.message
    head, _, body = panel.magic().partition("\\n")
    get_ipython().run_cell_magic("qwenimage", head.removeprefix("%%qwenimage ") + " -o copied", body)
    names = {}
    exec(panel.python().replace("qw.generate(", "copied_too = qw.generate("), names)
    for found in (copied, names["copied_too"]):
        assert sorted(seen(found)[0]) == sorted(seen(panel.grid)[0]), panel.magic()
        assert all(cell.cached for cell in found), panel.magic()
    assert not case.get("title") or copied.title == names["copied_too"].title == case["title"]
print("the same,", len(CASES))
"""


def test_what_is_copied_makes_the_very_same_pictures_for_nothing(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    assert kernel_one.run(COPIES).check().stdout.endswith("the same, 7\n")


def test_a_panel_brings_the_magics_that_its_cells_need(kernel_one: Kernel) -> None:
    kernel_one.run("import qwen_widgets as qw\nqw.Panel('a red fox', seeds='1', size='256x256')").check()
    kernel_one.run("%%qwenimage --seeds 1 --size 256x256 -o fox\na red fox").check()
    assert kernel_one.run("print(fox.shape)").check().stdout == "(1, 1)\n"


def test_a_key_that_a_cell_sets_is_seen_at_once(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD + "\n%config QwenMagics.provider = 'wavespeed'").check()
    kernel_one.run(PANEL).check()
    look = "import time\nwhile panel.looked != panel._looks: time.sleep(0.01)\nprint(panel.line)"
    assert "no API key" in kernel_one.run(look).check().stdout
    kernel_one.run("%config QwenMagics.provider = 'offline'").check()
    assert kernel_one.run(look).check().stdout.startswith("1 × 8 = 8")


def test_a_wrong_argument_is_short_to_read(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run("panel = qw.Panel('', seeds='1')").check()
    for wrong in ("qw.Panel('a fox', title=5)", "qw.Panel(seed=4)", "panel.seeds = '1-99'", "panel.run()"):
        error = kernel_one.run(wrong).error
        assert error is not None
        assert len(str(error).splitlines()) < 30
