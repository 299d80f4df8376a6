"""A grid of 20 × 20: its page in Chromium beside a plain table of 400 PNGs, and its viewer in a real kernel.

    python benchmarks/four_hundred.py [page|live]

The pictures are painted once at 1024², varied by mirroring and cropping (400 different files), and scaled to
thumbnails of 256 pixels. The plain table has the same pictures as PNG of 1024², as files beside it, and is what
``display(Image(png))`` of all of them comes to. Needs Chromium and Playwright; no key and no network.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from qwen_widgets.grid.page import render_viewer_page
from qwen_widgets.grid.view import CellView, ColumnView, GridView, RowView
from qwen_widgets.offline.painter import paint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIDE, PAGE_SIDE, ORIGINAL_SIDE = 20, 256, 1024
LOADS = 5
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROMPTS = (
    "a red fox in fresh snow, golden hour",
    "a lighthouse in a storm at night",
    "an astronaut riding a horse on the moon",
    "a forest in autumn, watercolour",
    "a street in the rain at night, neon",
    "a sailing boat on a calm sea at sunset",
    "a teapot and three apples on a table",
    "mountains in the mist, ink",
)
# A picture is painted in the frame after it is decoded; the script notes that frame's time for the first four on the
# screen, and when each of all the pictures has come.
WATCH = """
{
  const inView = (el) => {
    const box = el.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth && box.width > 0;
  };
  const look = () => {
    const ready = [...document.images].filter((img) => img.complete && img.naturalWidth && inView(img)).slice(0, 4);
    if (ready.length < 4) { requestAnimationFrame(look); return; }
    Promise.all(ready.map((img) => img.decode())).then(() =>
      requestAnimationFrame(() => requestAnimationFrame((now) => { window.painted = now; })));
  };
  requestAnimationFrame(look);
  const came = new Map();
  document.addEventListener("load", ({target}) => came.set(target, performance.now()), true);
  // Not what a scroller cuts off.
  const seen = (img) => {
    const box = img.getBoundingClientRect();
    const there = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return there !== null && img.parentElement.contains(there);
  };
  window.filled = () =>
    Math.max(...[...document.images].filter((img) => inView(img) && seen(img)).map((img) => came.get(img) ?? Infinity));
}
"""
# The kernel's side: messages are counted where they leave for the page.
LIVE = """
import json, time
import qwen_widgets as qw
from ipykernel.comm.comm import BaseComm
sent = []
say = BaseComm.publish_msg
def publish(self, msg_type, data=None, metadata=None, buffers=None, **keys):
    sent.append((time.monotonic(), msg_type, len(buffers or ()), sum(memoryview(b).nbytes for b in buffers or ())))
    return say(self, msg_type, data=data, metadata=metadata, buffers=buffers, **keys)
BaseComm.publish_msg = publish
studio = qw.Studio()
job = studio.prepare(PROMPTS, seeds="1-20", sizes="256x256")
began = time.monotonic()
grid = studio.run(job)
took = time.monotonic() - began
time.sleep(0.3)
viewer = grid._views[0].viewer
arrived = sum(1 for name in viewer.get_state() if name[0] == "p" and name[1:].isdigit() and viewer.get_state(name)[name])
times = [at for at, kind, *_ in sent if kind == "comm_msg"]
most = max((sum(1 for other in times if at <= other < at + 1) for at in times), default=0)
print("RESULT", json.dumps(dict(took=took, stored=sum(c.state == "stored" for c in grid), arrived=arrived,
    messages=len(times), a_second=most, buffers=sum(b for _, k, b, _ in sent), bytes=sum(s for *_, s in sent))))
"""


def pictures() -> tuple[dict[tuple[int, int], bytes], list[bytes]]:
    """Return 400 different thumbnails as JPEG, and the same pictures as PNG of 1024 × 1024."""
    painted = [paint(prompt, (1200, 1200), seed) for seed, prompt in enumerate(PROMPTS)]

    def vary(number: int) -> tuple[bytes, bytes]:
        image = painted[number % len(painted)]
        left, top = number * 37 % 170, number * 53 % 170
        image = image.crop((left, top, left + ORIGINAL_SIDE, top + ORIGINAL_SIDE))
        image = ImageOps.mirror(image) if number // len(painted) % 2 else image
        png, jpeg = io.BytesIO(), io.BytesIO()
        image.save(png, "PNG", compress_level=1)
        small = image.resize((PAGE_SIDE, PAGE_SIDE), Image.Resampling.BOX)
        small.save(jpeg, "JPEG", quality=80)
        return jpeg.getvalue(), png.getvalue()

    with ThreadPoolExecutor() as pool:
        made = list(pool.map(vary, range(SIDE * SIDE)))
    return {divmod(at, SIDE): jpeg for at, (jpeg, _) in enumerate(made)}, [png for _, png in made]


def view() -> GridView:
    """Return a grid of 20 prompts and 20 seeds, all of it stored."""
    prompts = [f"{PROMPTS[row % len(PROMPTS)]}, number {row + 1}" for row in range(SIDE)]
    return GridView(
        run_id="r",
        title="four hundred",
        facts=("20 prompts × 20 seeds", "Qwen Image 2.0", "1:1"),
        provider="offline preview",
        offline=True,
        done=SIDE * SIDE,
        failed=0,
        total=SIDE * SIDE,
        running=False,
        rows=tuple(
            RowView(
                text, (("same", text),), "", "20 of 20", "1:1", "Qwen Image 2.0", ORIGINAL_SIDE, ORIGINAL_SIDE
            )
            for text in prompts
        ),
        columns=tuple(ColumnView(f"seed {seed}", str(seed)) for seed in range(1, SIDE + 1)),
        cells=tuple(
            CellView(
                row,
                column,
                "stored",
                ORIGINAL_SIDE,
                ORIGINAL_SIDE,
                f"{prompts[row]}, seed {column + 1}, stored",
            )
            for row in range(SIDE)
            for column in range(SIDE)
        ),
    )


def plain_table(folder: Path, pngs: list[bytes]) -> Path:
    """Write the table of full PNGs that anyone would write."""
    names = []
    for at, png in enumerate(pngs):
        (folder / f"{at}.png").write_bytes(png)
        names.append(f"{at}.png")
    rows = "".join(
        "<tr>" + "".join(f'<td><img src="{name}" width="180" height="180"></td>' for name in row) + "</tr>"
        for row in (names[at : at + SIDE] for at in range(0, len(names), SIDE))
    )
    file = folder / "table.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><title>plain</title><table>{rows}</table>")
    return file


def renderer_bytes(page: Page) -> int:
    """Return what the renderer processes hold for themselves: private resident memory, from /proc."""
    client = page.context.browser.new_browser_cdp_session()
    found = client.send("SystemInfo.getProcessInfo")["processInfo"]
    client.detach()
    total = 0
    for process in found:
        if process["type"] == "renderer":
            text = Path(f"/proc/{process['id']}/smaps_rollup").read_text()
            lines = (line.split() for line in text.splitlines())
            total += sum(1024 * int(line[1]) for line in lines if line[0].startswith("Private_"))
    return total


def scroll(page: Page) -> list[float]:
    """Turn the wheel over the grid, down and across, and return the milliseconds between frames."""
    page.mouse.move(700, 500)
    page.evaluate(
        """() => { window.frames_ = []; let last = performance.now(); window.going = true;
        const note = (now) => { window.frames_.push(now - last); last = now; if (window.going) requestAnimationFrame(note); };
        requestAnimationFrame(note); }"""
    )
    for across, down in [(0, 100)] * 60 + [(100, 0)] * 30 + [(0, -100)] * 40:
        page.mouse.wheel(across, down)
        page.wait_for_timeout(8)
    page.evaluate("window.going = false")
    return page.evaluate("window.frames_.slice(2)")


def measure_page(browser: Browser, address: str) -> dict[str, float]:
    """Open a page several times; return medians in milliseconds, and its memory above an empty page in bytes."""
    opened, filled, parsed, frames, memory = [], [], [], [], []
    for _ in range(LOADS):
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        page = context.new_page()
        page.goto("file:///dev/null")
        page.wait_for_timeout(300)
        empty = renderer_bytes(page)
        page.add_init_script(WATCH)
        page.goto(address, wait_until="commit")
        # The page's own policy forbids the eval of wait_for_function.
        while not page.evaluate("window.painted > 0"):
            page.wait_for_timeout(100)
        opened.append(page.evaluate("window.painted"))
        page.wait_for_load_state()
        page.wait_for_timeout(2000)
        filled.append(page.evaluate("window.filled()"))
        parsed.append(page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive"))
        frames.append(sorted(scroll(page)))
        page.wait_for_timeout(300)
        memory.append(renderer_bytes(page) - empty)
        context.close()
    return {
        "open": statistics.median(opened),
        "filled": statistics.median(filled),
        "parsed": statistics.median(parsed),
        "p95": statistics.median(deltas[int(0.95 * len(deltas))] for deltas in frames),
        "p50": statistics.median(statistics.median(deltas) for deltas in frames),
        "memory": statistics.median(memory),
    }


def pages() -> None:
    """Measure the exported page beside the plain table, and print both."""
    from playwright.sync_api import sync_playwright

    path = next(found for name in CHROMIUM if (found := shutil.which(name)))
    thumbnails, pngs = pictures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = render_viewer_page(view(), thumbnails)
        (folder / "grid.html").write_text(text, encoding="utf-8")
        table = plain_table(folder, pngs)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            grid = measure_page(browser, (folder / "grid.html").as_uri())
            plain = measure_page(browser, table.as_uri())
            browser.close()
    jpeg, png = statistics.mean(map(len, thumbnails.values())), statistics.mean(map(len, pngs))
    sizes = (len(text.encode()), table_bytes := sum(map(len, pngs)))
    print(
        f"400 pictures: JPEG of {PAGE_SIDE}², {jpeg / 1e3:.1f} kB each; PNG of {ORIGINAL_SIDE}², {png / 1e3:.0f} kB each"
    )
    print(f"Chromium without a GPU, {os.cpu_count()} cores, medians of {LOADS} loads\n")
    print(f"{'':<46}{'grid':>9}{'table':>10}{'ratio':>8}{'target':>9}")
    rows = (
        ("file, MB", sizes[0] / 1e6, table_bytes / 1e6, 10),
        ("until the first tiles are painted, ms", grid["open"], plain["open"], 600),
        ("until all pictures on the screen have come, ms", grid["filled"], plain["filled"], None),
        ("until the page is parsed, ms", grid["parsed"], plain["parsed"], None),
        ("time between frames while scrolling, p95, ms", grid["p95"], plain["p95"], 20),
        ("  the same, median, ms", grid["p50"], plain["p50"], None),
        ("memory above an empty page, MB", grid["memory"] / 1e6, plain["memory"] / 1e6, 250),
    )
    for what, mine, other, target in rows:
        held = "" if target is None else f"{'<' if mine < target else 'OVER'} {target}"
        print(f"{what:<46}{mine:>9.1f}{other:>10.1f}{other / mine:>8.1f}{held:>9}")


def live() -> None:
    """Run 400 cells in a real kernel, and count what its viewer sends to the page."""
    from jupyter_client.manager import start_new_kernel

    prompts = [f"{PROMPTS[row % len(PROMPTS)]}, number {row + 1}" for row in range(SIDE)]
    with tempfile.TemporaryDirectory() as name:
        env = {key: value for key, value in os.environ.items() if not key.startswith("WAVESPEED_")}
        env |= {
            "QWEN_WIDGETS_HOME": f"{name}/qwen",
            "QWEN_WIDGETS_PROVIDER": "offline",
            "IPYTHONDIR": f"{name}/ipython",
            "JUPYTER_DATA_DIR": f"{name}/jupyter",
        }
        manager, client = start_new_kernel(env=env)
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                said.extend(message["content"]["traceback"])

        try:
            load = "%load_ext qwen_widgets\n%config QwenMagics.offline_seconds = 0.1\n%config QwenMagics.at_once = 32"
            code = f"{load}\nPROMPTS = {json.dumps(prompts)}\n{LIVE}"
            start = time.perf_counter()
            client.execute_interactive(code, timeout=900, output_hook=hear, allow_stdin=True)
            took = time.perf_counter() - start
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    text = "".join(said)
    if "RESULT" not in text:
        raise RuntimeError(text)
    found = json.loads(text.split("RESULT", 1)[1].strip().splitlines()[0])
    print(f"\n400 pictures of 256 × 256 into a viewer in a real kernel, {took:.0f} s\n")
    print(f"{'pictures stored, and in the viewer':<44}{found['stored']:>5} {found['arrived']:>5}   of 400")
    print(f"{'messages to the page':<44}{found['messages']:>9}")
    print(
        f"{'the most of them within a second':<44}{found['a_second']:>9}{'':>18}{'<=' if found['a_second'] <= 10 else 'OVER'} 10"
    )
    print(f"{'MB of thumbnails':<44}{found['bytes'] / 1e6:>9.1f}")


def main() -> None:
    """Measure what was asked for, or both."""
    which = sys.argv[1:] or ["page", "live"]
    if "page" in which:
        pages()
    if "live" in which:
        live()


if __name__ == "__main__":
    main()
