"""The kernel harness itself, on plain IPython and ipywidgets: what the other tests here rely on."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kernels
import pytest


def test_the_kernel_runs_this_checkout_at_home_and_without_a_key(kernel, qwen_home, tmp_path, monkeypatch):
    asked = kernel.run(
        "import importlib.util, ipykernel, os\n"
        "print(ipykernel.__version__)\n"
        "print(*importlib.util.find_spec('qwen_widgets').submodule_search_locations)\n"
        "print(os.environ['QWEN_WIDGETS_HOME'], os.environ.get('WAVESPEED_API_KEY'), os.getcwd())\n"
        "print(get_ipython().ipython_dir)"
    ).check()
    version, package, home, ipython_dir = asked.stdout.splitlines()
    assert version == kernel.version
    assert home == f"{qwen_home} None {tmp_path / 'notebooks'}"
    assert ipython_dir.startswith(str(tmp_path))
    import qwen_widgets

    assert Path(package).samefile(next(iter(qwen_widgets.__path__)))


def test_streams_errors_and_results_are_told_apart(kernel):
    result = kernel.run("import sys; print('out'); print('err', file=sys.stderr); 6 * 7")
    assert (result.stdout, result.stderr, result.status) == ("out\n", "err\n", "ok")
    assert [d["data"]["text/plain"] for d in result.displays] == ["42"]
    assert result.reply["execution_count"] == 1
    assert result.started <= result.ended

    failed = kernel.run("1 / 0")
    assert (failed.status, failed.error.ename) == ("error", "ZeroDivisionError")
    assert "1 / 0" in str(failed.error)
    with pytest.raises(AssertionError, match="division by zero"):
        failed.check()


def test_displays_and_their_updates_carry_the_display_id(kernel):
    shown = kernel.run(
        "from IPython.display import HTML, display\n"
        "handle = display(HTML('<b>one</b>'), display_id='here')\n"
        "handle.update(HTML('<b>two</b>'))"
    ).check()
    (first,) = shown.displays
    (second,) = shown.updates
    assert (first["display_id"], second["display_id"]) == ("here", "here")
    assert (first["data"]["text/html"], second["data"]["text/html"]) == ("<b>one</b>", "<b>two</b>")
    types = [m.type for m in shown.order]
    assert types.index("display_data") < types.index("update_display_data") < len(types) - 1
    assert {m.parent for m in shown.messages} == {shown.msg_id}


def test_a_result_grows_with_what_a_task_says_after_its_cell(kernel):
    cell = kernel.run(
        "import asyncio\n"
        "from IPython.display import display\n"
        "handle = display('before', display_id='late')\n"
        "loop = asyncio.get_running_loop()\n"
        "task = asyncio.ensure_future(asyncio.sleep(0.2))\n"
        "task.add_done_callback(lambda _: handle.update('after'))"
    ).check()
    kernel.iopub_until(lambda m: m.type == "update_display_data", since=cell)
    types = [m.type for m in cell.messages]
    assert types.index("update_display_data") > len(types) - 1 - types[::-1].index("status")
    assert [u["data"]["text/plain"] for u in cell.updates] == ["'after'"]


def test_a_widget_opens_its_comm_with_buffers_and_hears_the_front_end(kernel):
    made = kernel.run(
        "import ipywidgets\n"
        "image = ipywidgets.Image(value=b'\\x89PNG' * 3)\n"
        "slider = ipywidgets.IntSlider(value=3)\n"
        "slider.observe(lambda change: print('now', change['new']), names='value')\n"
        "display(slider)"
    ).check()
    opened = {m.content["data"]["state"].get("_model_name"): m for m in made.comms if m.type == "comm_open"}
    assert opened["ImageModel"].buffers == [b"\x89PNG" * 3]
    assert any("application/vnd.jupyter.widget-view+json" in d["data"] for d in made.displays)

    update = {"method": "update", "state": {"value": 5}, "buffer_paths": []}
    for subshell, value in ((False, 5), (True, 6)):
        update["state"]["value"] = value
        msg_id = kernel.comm_msg(opened["IntSliderModel"].comm_id, update, subshell=subshell)
        assert kernel.wait(msg_id).stdout == f"now {value}\n"


def test_an_interrupt_is_answered_at_once(kernel):
    msg_id = kernel.send("import time\nprint('sleeping', flush=True)\nwhile True: time.sleep(0.01)")
    kernel.iopub_until(lambda m: m.type == "stream" and m.parent == msg_id)
    before = time.time()
    kernel.interrupt()
    result = kernel.wait(msg_id)
    assert result.error.ename == "KeyboardInterrupt"
    assert result.ended - before < 30
    assert kernel.run("print('alive')").stdout == "alive\n"


def test_run_all_runs_all_and_stops_at_an_error(kernel):
    results = kernel.run_all([f"print({i})" for i in range(5)])
    assert [r.stdout for r in results] == [f"{i}\n" for i in range(5)]
    assert all(r.ok for r in results)
    assert [r.reply["execution_count"] for r in results] == [1, 2, 3, 4, 5]

    results = kernel.run_all(["import time; time.sleep(0.3); print('a')", "1 / 0", "print('c')"])
    assert [r.status for r in results] == ["ok", "error", "aborted"]
    assert results[2].stdout == ""


def test_what_a_cell_asks_is_answered_and_a_front_end_may_forbid_it(kernel):
    asked = kernel.run(
        "import getpass; print(getpass.getpass('key: ') + input('name: '))", answers=["k", "n"]
    )
    assert asked.stdout == "kn\n"
    assert asked.prompts == [{"prompt": "key: ", "password": True}, {"prompt": "name: ", "password": False}]
    assert kernel.run("print(repr(input()))").stdout == "''\n"
    assert kernel.run("input()", allow_stdin=False).error.ename == "StdinNotImplementedError"


def test_a_flood_of_output_is_read_to_its_end(kernel_one):
    result = kernel_one.run(
        "from IPython.display import display\nfor i in range(3000): display({'text/plain': str(i)}, raw=True)"
    ).check()
    assert [d["data"]["text/plain"] for d in result.displays] == [str(i) for i in range(3000)]


def test_a_kernel_that_dies_is_told_and_not_waited_for(kernel_one):
    before = time.monotonic()
    with pytest.raises(kernels.KernelDied):
        kernel_one.run("import os, sys; print('last words', file=sys.__stderr__); os._exit(1)", timeout=300)
    assert time.monotonic() - before < 120


def test_nothing_is_left_behind(start_kernel):
    threads = threading.active_count()
    kernel = start_kernel(env={"QWEN_WIDGETS_PROVIDER": "offline"})
    assert kernel.run("import os; print(os.environ['QWEN_WIDGETS_PROVIDER'])").stdout == "offline\n"
    kernel.close()
    kernel.close()
    with pytest.raises(ProcessLookupError):
        os.kill(kernel.pid, 0)
    assert threading.active_count() <= threads


def test_kernels_of_a_test_share_the_home_and_can_be_killed(start_kernel, qwen_home):
    first = start_kernel()
    first.run(
        "import os, pathlib; home = pathlib.Path(os.environ['QWEN_WIDGETS_HOME']); home.mkdir()"
    ).check()
    first.run("(home / 'note').write_text('kept')").check()
    first.kill()
    assert not first.alive
    assert (qwen_home / "note").read_text() == "kept"
    second = start_kernel()
    assert second.run("import os; print(os.listdir(os.environ['QWEN_WIDGETS_HOME']))").stdout == "['note']\n"


def test_an_overlay_is_made_once_and_complete(tmp_path, monkeypatch):
    monkeypatch.setenv("QWEN_TEST_CACHE", str(tmp_path / "cache"))
    try:
        with ThreadPoolExecutor(3) as pool:
            made = list(pool.map(kernels.overlay, [kernels.NEWEST] * 3))
    except kernels.NoOverlay as reason:
        pytest.skip(f"{reason}.")
    assert len(set(made)) == 1
    assert (made[0] / "ipykernel" / "__init__.py").is_file()
    assert [p.name for p in made[0].parent.iterdir()] == [f"ipykernel-{kernels.NEWEST}"]


def test_an_overlay_that_cannot_be_had_is_a_plain_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("QWEN_TEST_CACHE", str(tmp_path / "cache"))
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(kernels.NoOverlay, match=r"^ipykernel 7\.4\.0 can't be installed into .*: ERROR"):
        kernels.overlay("7.4.0")
    assert list((tmp_path / "cache").iterdir()) == []
