"""%%qwenimage in a real kernel of each ipykernel: Run All, live updates, interrupts, errors of typing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from contract import KEY, ContractServer, settings
from kernels import VERSIONS, Kernel, Result

LOAD = "%load_ext qwen_widgets"
FAST = "%config QwenMagics.offline_seconds = 0.2"
FOXES = "%%qwenimage --seeds 1-4 --size 256x256 -o fox\na red fox in {fresh snow|autumn leaves}"


def snapshots(result: Result) -> list[str]:
    """The HTML of every snapshot shown or updated by a cell, in order."""
    found = []
    for data in (*result.displays, *result.updates):
        html = data["data"].get("text/html", "")
        if "qw-snapshot" in html:
            found.append(html)
    return found


def viewers(result: Result) -> list[str]:
    """The comm ids of the viewers that a cell opened."""
    return [
        message.content["comm_id"]
        for message in result.comms
        if message.type == "comm_open" and "head" in message.content["data"].get("state", {})
    ]


def test_run_all_runs_every_cell_behind_the_magic(kernel: Kernel) -> None:
    behind = [f"print('cell', {n})" for n in range(5)]
    results = kernel.run_all([LOAD, FAST, FOXES, *behind, "print(fox)"])
    assert [result.status for result in results] == ["ok"] * len(results)
    assert [result.stdout for result in results[3:8]] == [f"cell {n}\n" for n in range(5)]
    assert results[-1].stdout == "<Grid 'fox' 2 × 4, 8 of 8 stored>\n"


def test_pictures_reach_the_page_while_the_cell_runs(kernel: Kernel) -> None:
    kernel.run(LOAD).check()
    kernel.run("%config QwenMagics.offline_seconds = 0.5\n%config QwenMagics.at_once = 2").check()
    result = kernel.run(FOXES).check()
    (viewer,) = viewers(result)
    arrived = [
        message
        for message in result.comms
        if message.type == "comm_msg" and message.content["comm_id"] == viewer and message.buffers
    ]
    assert sum(len(message.buffers) for message in arrived) == 8
    assert all(bytes(buffer[:3]) == b"\xff\xd8\xff" for message in arrived for buffer in message.buffers)
    # The first picture is there while others are still being made, not all of them at the end.
    assert len(arrived) >= 2
    assert arrived[0].time < result.ended - 0.2
    assert snapshots(result)[-1].count("data:image/webp;base64,") == 8


def test_the_line_comes_before_anything_is_bought(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel_one = start_kernel(env=contract_server.env())
    kernel_one.run(LOAD).check()
    result = kernel_one.run(FOXES).check()
    assert "2 prompts × 4 seeds = 8 images · 8 new · $0.24 · about " in result.stdout
    printed = next(message for message in result.messages if message.type == "stream")
    # What the service tells of it is cut to whole milliseconds.
    assert printed.time < min(p.created for p in contract_server.service.predictions.values()) + 0.001
    again = kernel_one.run(FOXES).check()
    assert "8 images · 8 already here · nothing new · $0.00" in again.stdout
    assert len(contract_server.submits) == 8


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interrupt_gives_the_prompt_back_and_what_is_paid_for_still_arrives(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer, version: str
) -> None:
    contract_server.service.settings = settings(duration=2.0)
    kernel = start_kernel(version=version, env=contract_server.env())
    kernel.run(LOAD).check()
    kernel.run("%config QwenMagics.at_once = 2").check()

    def interrupted(msg_id: str) -> float:
        """Seconds until the prompt is back."""
        before = time.monotonic()
        kernel.interrupt()
        result = kernel.wait(msg_id)
        assert result.error is not None
        assert result.error.ename == "KeyboardInterrupt"
        return time.monotonic() - before

    def usually() -> float:
        """What an interrupt takes on this machine, busy as it may be."""
        # In short sleeps: a signal that comes just before a long one doesn't end it. Without flushing: one that comes while
        # the cell waits for that is a RuntimeError (a lock that isn't held is let go).
        asleep = kernel.send("import time\nprint('asleep')\nwhile True: time.sleep(0.01)")
        kernel.iopub_until(lambda m: m.type == "stream" and m.parent == asleep)
        return interrupted(asleep)

    usual = max(usually() for _ in range(3))

    running = kernel.send("%%qwenimage --seeds 1-12 --size 256x256 -o fox\na red fox")
    kernel.until(lambda: len(contract_server.submits) >= 3, what="the third submit")
    took = interrupted(running)
    sent = len(contract_server.submits)
    assert took < 1.0 + 10 * usual
    after = kernel.run("fox.wait(60); print([cell.state for cell in fox])").check()
    states = eval(after.stdout)
    # One may have been on its way.
    bought = len(contract_server.submits)
    assert bought <= sent + 1
    assert states.count("stored") == bought < 12
    assert states.count("stopped") == 12 - bought
    # What arrived after the interrupt went into the output of the cell that asked for it.
    result = kernel.result(running)
    (shown,) = (d for d in result.displays if "qw-snapshot" in d["data"].get("text/html", ""))

    def pictures_shown() -> int:
        mine = [u for r in (result, after) for u in r.updates if u["display_id"] == shown["display_id"]]
        return mine[-1]["data"]["text/html"].count("data:image/webp;base64,") if mine else 0

    kernel.until(lambda: pictures_shown() == bought, what="the last picture in the snapshot")


def test_asyncio_and_the_kernels_loop_stay_as_they_were(kernel: Kernel) -> None:
    before = (
        "import asyncio, tornado.ioloop\n"
        "loop = asyncio.get_event_loop()\n"
        "def look():\n"
        "    return [asyncio.run, asyncio.Task, asyncio.Future, asyncio.get_event_loop, asyncio.sleep,\n"
        "        type(loop).run_until_complete, type(loop).run_forever, type(loop)._run_once,\n"
        "        type(loop)._check_running, asyncio.SelectorEventLoop.run_forever,\n"
        "        asyncio.SelectorEventLoop._run_once, hasattr(loop, '_nest_patched')]\n"
        "first = look()"
    )
    kernel.run(before).check()
    kernel.run(LOAD).check()
    assert kernel.run("print(look() == first)").check().stdout == "True\n"
    kernel.run(FAST).check()
    kernel.run(FOXES).check()
    kernel.run("import qwen_widgets as qw; g = await qw.agenerate('a cat', seeds=1, sizes='256x256')").check()
    assert kernel.run("print(look() == first, g)").check().stdout == "True <Grid 1 × 1, 1 of 1 stored>\n"


def test_loading_prints_nothing(kernel_one: Kernel) -> None:
    result = kernel_one.run(LOAD).check()
    assert (result.stdout, result.stderr, result.displays) == ("", "", [])


def test_a_typing_error_is_one_sentence_and_buys_nothing(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel_one = start_kernel(env=contract_server.env())
    kernel_one.run(LOAD).check()
    for cell, words in [
        ("%%qwenimage --sedes 1-4\na fox", "unrecognized arguments: --sedes"),
        ("%%qwenimage --seeds 1-x\na fox", "seeds"),
        ("%%qwenimage --seeds 1-1000000000\na fox", "1,000"),
        ("%%qwenimage --size 17:0\na fox", "size"),
        ("%%qwenimage --size 5000x5000\na fox", "1536"),
        ("%%qwenimage -m qwen-image-3\na fox", "did you mean"),
        ("%%qwenimage --count many\na fox", "--count 'many'"),
        ("%%qwenimage --seeds 1 --count 2\na fox", "not both"),
        ("%%qwenimage --out 7up\na fox", "--out '7up'"),
        ("%%qwenimage --title 'open\na fox", "a quote is open"),
        ("%%qwenimage --vars nobody\na {{nobody}}", "--vars nobody"),
        ("%%qwenimage\n\n", "empty"),
        ("%%qwenimage\n" + "x" * 801, "801"),
        ("%%qwenimage --max-cost much\na fox", "--max-cost 'much'"),
        ("%qwen nonsense", "status"),
    ]:
        result = kernel_one.run(cell)
        assert result.status == "error", cell
        # One sentence on the error stream, no traceback.
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith("UsageError: "), cell
        assert words in line, cell
        assert result.error is None, cell
    assert contract_server.asked == []


def test_over_the_price_limit_nothing_is_bought(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel_one = start_kernel(env=contract_server.env())
    kernel_one.run(LOAD).check()
    many = "%%qwenimage --seeds 1-40 --size 256x256{}\na fox"
    result = kernel_one.run(many.format(""))
    assert result.status == "error"
    assert "this would cost $1.20 and a run may cost $1.00" in result.stderr
    assert "--max-cost 1.20" in result.stderr
    assert contract_server.submits == []
    dry = kernel_one.run(many.format(" --max-cost 2 --dry-run")).check()
    assert "40 new · $1.20" in dry.stdout
    assert contract_server.submits == []


def test_the_key_goes_to_the_api_alone_and_the_body_is_exact(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer
) -> None:
    kernel_one = start_kernel(env=contract_server.env())
    kernel_one.run(LOAD).check()
    kernel_one.run("%%qwenimage --seeds random*3 --size 16:9 -o fox\na red fox").check()
    assert len(contract_server.submits) == 3
    for asked in contract_server.submits:
        assert asked.path == "/api/v3/wavespeed-ai/qwen-image-2.0/text-to-image"
        assert set(asked.body) == {"prompt", "size", "seed"}
        assert (asked.body["prompt"], asked.body["size"]) == ("a red fox", "1280*720")
        assert 0 <= asked.body["seed"] <= 2**31 - 1
        assert asked.headers["authorization"].startswith("Bearer ")
    pictures = [asked for asked in contract_server.asked if asked.path.startswith("/pictures/")]
    assert len(pictures) == 3
    assert all("authorization" not in asked.headers for asked in pictures)


def test_the_line_magic_takes_a_prompt_as_it_is(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run(FAST).check()
    kernel_one.run('%qwenimage --seeds 3 --size 256x256 -o g a dog\'s life, $5 {x} "now"').check()
    shown = kernel_one.run("print(g[0, 0].request.prompt, g.seeds)").check().stdout
    assert shown == 'a dog\'s life, $5 {x} "now" (3,)\n'


def test_variables_go_in_only_when_asked(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run(FAST).check()
    kernel_one.run("animal = 'red fox'").check()
    kernel_one.run("%%qwenimage -s 1 -r 256x256 -v -o a\na {{animal}}").check()
    kernel_one.run("%%qwenimage -s 1 -r 256x256 -o b\na {{animal}}").check()
    assert kernel_one.run("print(a.prompts, b.prompts)").stdout == "('a red fox',) ('a {{animal}}',)\n"


def test_the_grid_is_not_shown_twice_by_its_own_cell(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run(FAST).check()
    magic = kernel_one.run("%%qwenimage -s 1 -r 256x256\na fox").check()
    assert len(viewers(magic)) == 1
    plain = "import qwen_widgets as qw\nqw.generate('a fox', seeds=1, sizes='256x256')"
    assert len(viewers(kernel_one.run(plain).check())) == 1
    assert len(viewers(kernel_one.run("_").check())) == 1


def test_a_blocking_call_on_the_portal_itself_works(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run(FAST).check()
    code = (
        "import qwen_widgets as qw\n"
        "from qwen_widgets.portal import portal\n"
        "async def callback():\n"
        "    return qw.generate('a fox', seeds='1-2', sizes='256x256')\n"
        "print(portal.submit(callback()).result(30))"
    )
    assert kernel_one.run(code).check().stdout.endswith("<Grid 1 × 2, 2 of 2 stored>\n")


def test_options_and_values_are_completed(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()

    def complete(text: str) -> list[str]:
        return kernel_one.complete(text)

    assert "--seeds" in complete("%%qwenimage --se")
    assert {"16:9", "1:1"} <= set(complete("%%qwenimage --size 1"))
    assert "qwen-image-2.0-pro" in complete("%%qwenimage -m qwen")
    assert "doctor" in complete("%qwen do")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("qw.generate('a fox', sizes='99:1')", "InputError: sizes '99:1'"),
        (
            "qw.generate('a fox', sedes='1')",
            "ArgumentError: generate() has no argument 'sedes'; did you mean seeds?",
        ),
        ("await qw.agenerate('a fox', seeds='x')", "InputError: seeds 'x'"),
        (
            "qw.generate('a fox', images='nowhere.png')",
            "InputError: image 'nowhere.png': there is no such file.",
        ),
        ("qw.enhance('', 'anime')", "InputError: enhance: give a prompt that is not empty."),
        ("qw.grid('nope')", "InputError: run 'nope'"),
    ],
)
def test_in_python_it_is_the_line_and_the_sentence(kernel_one: Kernel, line: str, sentence: str) -> None:
    result = kernel_one.run(f"import qwen_widgets as qw\n\n{line}")
    assert result.error is not None
    mine, said = result.error.traceback
    assert mine == f"line 3: {line}"
    assert said.startswith(sentence)


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Docs", "Minimal"])
def test_no_traceback_shows_the_key(
    start_kernel: Callable[..., Kernel], contract_server: ContractServer, mode: str
) -> None:
    pasted = f"{KEY}\n{KEY}"
    kernel = start_kernel(env=contract_server.env())
    kernel.run(LOAD).check()
    kernel.run(f"%xmode {mode}").check()
    kernel.run("import os, pickle, qwen_widgets as qw\nfrom qwen_widgets.studio import studio").check()
    faults = [
        "qw.generate('a fox offline:fail', seeds=1, sizes='256x256')[0, 0].image",
        "qw.generate('a fox', seeds=1, models='nobody')",
        "qw.generate('a fox', seeds='1-60')",
        "studio().engine()[0].client.nothing",
        "from qwen_widgets.portal import portal\nportal.run(studio().engine()[0].client.result('../x'))",
        "pickle.dumps(studio().find_key()[0])",
        "raise RuntimeError(repr(studio().find_key()) + str(vars(studio())) + str(studio().engine()[0].client))",
        "os.environ['QWEN_WIDGETS_BASE_URL'] = 'ftp://nowhere'\nqw.generate('a fox')",
        "os.environ['QWEN_WIDGETS_BASE_URL'] = 'https://user:pw@nowhere'\nqw.generate('a fox')",
        "del os.environ['QWEN_WIDGETS_BASE_URL']\nos.environ['WAVESPEED_API_KEY'] += '\\n' * 2 + 'x'\nqw.generate('a fox')",
    ]
    for code in faults:
        result = kernel.run(code)
        assert result.error is not None, code
        shown = result.stdout + result.stderr + str(result.error) + "".join(result.error.traceback)
        assert KEY not in shown, code
    login = kernel.run("%qwen login", answers=[pasted])
    assert KEY not in login.stdout + login.stderr + str(login.error)


def test_unloading_takes_the_magics_and_nothing_else(kernel_one: Kernel) -> None:
    kernel_one.run(LOAD).check()
    kernel_one.run("%unload_ext qwen_widgets").check()
    names = (
        "m = get_ipython().magics_manager.magics\n"
        "print('qwenimage' in m['cell'], 'qwen' in m['line'], 'timeit' in m['cell'])"
    )
    assert kernel_one.run(names).check().stdout == "False False True\n"


def test_login_keeps_the_key_out_of_sight(kernel_one: Kernel, contract_server: ContractServer) -> None:
    kernel_one.run(f"import os; os.environ['QWEN_WIDGETS_BASE_URL'] = {contract_server.base_url!r}").check()
    kernel_one.run(LOAD).check()
    assert "none found" in kernel_one.run("%qwen status").check().stdout
    login = kernel_one.run("%qwen login", answers=[KEY]).check()
    assert [prompt["password"] for prompt in login.prompts] == [True]
    seen = kernel_one.run("%qwen doctor").check().stdout + kernel_one.run("%qwen status").check().stdout
    assert "found (%qwen login)" in seen
    assert KEY not in seen + login.stdout + login.stderr
    kernel_one.run("%%qwenimage -s 1 -r 256x256\na fox").check()
    assert len(contract_server.submits) == 1


def test_what_is_clicked_in_the_viewer_is_in_python_at_once(kernel: Kernel) -> None:
    kernel.run(LOAD).check()
    kernel.run(FAST).check()
    (viewer,) = viewers(kernel.run(FOXES).check())

    def click(content: object) -> None:
        kernel.wait(kernel.comm_msg(viewer, {"method": "custom", "content": content}))

    click({"type": "stars", "row": 0, "column": 1, "value": 4})
    click({"type": "mark", "row": 1, "column": 2, "value": "keep"})
    click({"type": "vote", "id": 7, "column": 0, "one": 0, "other": 1, "winner": 1})
    seen = kernel.run("print(fox[0, 1].rating, fox.kept[0].request.seed, [w.row for w in fox.wins])").check()
    assert seen.stdout == "4 3 [1, 0]\n"
    for forged in (
        {"type": "stars", "row": 0, "column": 1, "value": 9},
        {"type": "stars", "row": 9, "column": 1, "value": 1},
        {"type": "mark", "row": 0, "column": 0, "value": "<b>"},
        {"type": "buy", "row": 0, "column": 0},
        ["stop"],
        None,
    ):
        click(forged)
    assert kernel.run("print(fox[0, 1].rating, len(fox.kept))").check().stdout == "4 1\n"
    before = len(kernel.log)
    click({"type": "original", "row": 0, "column": 0})
    answer = kernel.iopub_until(lambda m: m.type == "comm_msg" and m.buffers, since=before)
    assert bytes(answer.buffers[0][:4]) == b"\x89PNG"
