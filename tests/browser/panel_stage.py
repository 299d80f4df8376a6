"""A panel in a page, and what a person does with it; the same in every front end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect
from waits import closed, seen

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class PanelPage:
    """One panel of a page."""

    def __init__(self, page: Page, number: int = 0) -> None:
        self.page = page
        self.number = number
        self.root = page.locator(".qw-panel").nth(number)

    def part(self, name: str) -> Locator:
        return self.root.locator(f".qw-p-{name}")

    @property
    def prompt(self) -> Locator:
        return self.part("prompt").locator("textarea")

    def type(self, text: str) -> None:
        """Replace what stands in the prompt box, key by key."""
        self.prompt.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def press(self, name: str) -> None:
        self.root.locator(f"button.qw-p-{name}:enabled").click()

    def says(self, name: str, text: str) -> None:
        """Wait until a place of the panel says something."""
        self.part(name).get_by_text(text).first.wait_for()

    def ready(self) -> None:
        """Wait until the panel has said what a run would cost."""
        self.root.locator("button.qw-p-run").wait_for()
        self.page.wait_for_function(
            "(n) => document.querySelectorAll('.qw-panel')[n].querySelector('.qw-p-line').innerText.trim()",
            arg=self.number,
        )

    def filled(self, count: int) -> None:
        """Wait for so many pictures that are really painted."""
        self.page.wait_for_function(
            """([n, count]) => [...document.querySelectorAll('.qw-panel')[n].querySelectorAll('.qw-tile img')]
                .filter((img) => img.naturalWidth > 0).length === count""",
            arg=[self.number, count],
        )

    def quiet(self) -> None:
        """Wait until nothing runs."""
        self.root.locator("button.qw-p-stop[disabled]").wait_for(state="attached")

    def says_stopped(self) -> None:
        """Wait until a place of the grid says that it was stopped."""
        self.root.locator(".qw-tile[aria-label*='stopped']").first.wait_for()

    def does(self, name: str) -> None:
        """Press a button that says for a moment when it is done."""
        with seen(
            self.page,
            f"document.querySelectorAll('.qw-panel')[{self.number}].querySelector('.qw-p-{name}.qw-p-done')",
        ):
            self.press(name)

    def labels(self) -> list[str]:
        return self.root.locator(".qw-tile").evaluate_all("(all) => all.map((el) => el.ariaLabel)")

    def copied(self) -> str:
        return self.page.evaluate("navigator.clipboard.readText()")


def explore(panel: PanelPage, *, more: str = "Enter") -> str:
    """Do with a panel what it is for, and return the cell that was copied from it.

    It has the prompt "a red boat on a lake at sunset" and the seeds 1 to 3.
    """
    page = panel.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.ready()
    panel.part("ratio").locator("select").select_option("4:3")
    panel.says("line", "1 × 3 = 3")
    panel.press("run")
    panel.filled(3)
    panel.quiet()

    # Another prompt, run by the keyboard, over the same seeds; the words that changed are marked.
    panel.type("a blue boat on a lake at night")
    page.keyboard.press(f"Control+{more}")
    panel.filled(6)
    panel.quiet()
    expect(panel.root.locator(".qw-row-header ins")).to_have_text(["blue", "night"])
    assert panel.root.locator(".qw-column-header").all_inner_texts()[-3:] == ["seed 1", "seed 2", "seed 3"]

    # The two rows side by side.
    for row in (0, 1):
        panel.root.locator(".qw-tile").nth(3 * row).focus()
        page.keyboard.press("Space")
    panel.root.get_by_role("button", name="Compare 2").click()
    page.locator("dialog[open] img").nth(1).wait_for()
    page.keyboard.press("Escape")
    closed(page)

    # The first row back into the box, and out of the panel as a cell.
    panel.root.locator(".qw-row-header").first.hover()
    panel.root.get_by_role("button", name="edit this prompt").first.click()
    page.wait_for_function(
        "(n) => document.querySelectorAll('.qw-p-prompt textarea')[n].value === 'a red boat on a lake at sunset'",
        arg=panel.number,
    )
    panel.press("undo")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.qw-p-prompt textarea')[n].value.startsWith('a blue boat')",
        arg=panel.number,
    )
    panel.does("magic")
    return panel.copied()
