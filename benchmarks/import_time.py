"""What `import qwen_widgets` and `%load_ext qwen_widgets` cost, beside what the three main dependencies cost alone.

    python benchmarks/import_time.py [ROUNDS]

The import is timed in fresh interpreters, the extension in fresh kernels where nothing else was imported.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

ROUNDS = 9
TARGETS = {"import qwen_widgets": 60.0, "%load_ext qwen_widgets": 700.0}
# In the process itself: what starting and ending an interpreter takes is no part of it.
IMPORT = "import time; t = time.perf_counter(); import {}; print(1e3 * (time.perf_counter() - t))"
LOAD = "get_ipython().run_line_magic('load_ext', 'qwen_widgets')"
BOUND = "import ipywidgets, httpx, PIL.Image"


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which everything is compiled, as pip leaves a package, and kept below a folder."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return env | {
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "QWEN_WIDGETS_HOME": str(folder / "qwen"),
        "IPYTHONDIR": str(folder / "ipython"),
    }


def time_import(module: str, env: dict[str, str]) -> float:
    """Return the milliseconds that an import takes in a fresh interpreter, beyond the bare interpreter."""
    command = [sys.executable, "-c", IMPORT.format(module)]
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def time_in_kernel(code: str, env: dict[str, str], folder: Path) -> float:
    """Return the milliseconds that some code takes as the first cell of a fresh kernel."""
    manager = KernelManager()
    argv = [
        sys.executable,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
        "--IPKernelApp.log_level=ERROR",
    ]
    # The kernelspecs of the machine may name another Python.
    manager._kernel_spec = KernelSpec(argv=argv, display_name="benchmark", language="python")
    manager.start_kernel(env=env, cwd=str(folder))
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    said: list[str] = []

    def hear(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        said.append(str(content.get("text", "")))

    try:
        client.wait_for_ready(timeout=60)
        timed = f"import time; t = time.perf_counter(); {code}; print(1e3 * (time.perf_counter() - t))"
        reply = client.execute_interactive(timed, output_hook=hear, timeout=60)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(reply["content"]["evalue"])
        return float("".join(said))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main() -> None:
    """Measure the three by turns, so that a busy moment meets them all, and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    times: dict[str, list[float]] = {what: [] for what in (*TARGETS, BOUND)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = environment(folder)
        for number in range(rounds + 1):
            round_times = {
                "import qwen_widgets": time_import("qwen_widgets", env),
                "%load_ext qwen_widgets": time_in_kernel(LOAD, env, folder),
                BOUND: time_in_kernel(BOUND, env, folder),
            }
            if number:  # the first round compiles, and warms the disk
                for what, value in round_times.items():
                    times[what].append(value)
    bound = statistics.median(times[BOUND])
    print(f"{rounds} fresh processes each, Python {sys.version.split()[0]}, milliseconds\n")
    print(f"{'':<38}{'best':>8}{'median':>8}{'ratio':>8}  target")
    for what, values in times.items():
        median = statistics.median(values)
        target = f"< {TARGETS[what]:.0f}" if what in TARGETS else "the bound"
        print(f"{what:<38}{min(values):>8.1f}{median:>8.1f}{median / bound:>8.2f}  {target}")


if __name__ == "__main__":
    main()
