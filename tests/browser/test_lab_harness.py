"""The browser harness itself, on plain Python and ipywidgets: what the other tests here rely on."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

CODE = "print(6 * 7)"
SLIDER = "import ipywidgets\nslider = ipywidgets.IntSlider(value=7)\nslider"


def test_a_notebook_is_run_saved_and_read_again_without_a_kernel(lab, page):
    lab.write_notebook("life", [("markdown", "# Life"), CODE, SLIDER])
    assert not lab.is_trusted("life")
    lab.open(page, "life")
    lab.run_all(page)
    expect(lab.cell_output(page, 1)).to_have_text("42")
    slider = lab.cell_output(page, 2).locator(".widget-slider")
    expect(slider.locator(".widget-readout")).to_have_text("7")
    lab.screenshot(page, "harness-live")

    lab.save(page)
    assert lab.is_trusted("life")
    saved = lab.read_notebook("life")
    assert saved.cells[1].outputs[0].text == "42\n"
    assert "application/vnd.jupyter.widget-view+json" in saved.cells[2].outputs[0].data

    lab.close(page)
    assert len(lab.kernels()) == 1  # closing a tab ends no kernel
    lab.shutdown_kernels()
    assert lab.kernels() == []

    lab.open_without_kernel(page, "life")
    expect(lab.cell_output(page, 1)).to_have_text("42")
    # ipywidgets stops here for good: https://github.com/jupyter-widgets/ipywidgets/issues/3970
    lab.cell_output(page, 2).get_by_text("Loading widget...").wait_for()
    lab.screenshot(page, "harness-no-kernel")
    assert lab.kernels() == []
    lab.close(page)

    lab.open(page, "life")  # with a new kernel, which does not know the widget
    dead = lab.cell_output(page, 2).locator(".jupyter-widgets")
    dead.get_by_text("Error displaying widget: model not found").wait_for()
    lab.screenshot(page, "harness-new-kernel")
    assert page.foreign_urls() == []


def test_a_page_loaded_again_finds_its_kernel_and_widget(lab, page):
    lab.write_notebook("again", [SLIDER, "slider.value = 9"])
    lab.open(page, "again")
    lab.run_all(page)
    lab.save(page)
    lab.close(page)
    lab.open(page, "again")
    assert len(lab.kernels()) == 1
    expect(lab.cell_output(page, 0).locator(".widget-readout")).to_have_text("9")


def test_opening_without_a_kernel_joins_none_that_runs(lab, page):
    lab.write_notebook("alone", [CODE])
    lab.open(page, "alone")
    lab.close(page)
    (kernel,) = lab.kernels()
    lab.open_without_kernel(page, "alone")
    assert [k["id"] for k in lab.kernels()] == [kernel["id"]]


def test_run_all_returns_when_the_last_cell_is_done_or_one_has_failed(lab, page):
    lab.write_notebook("slow", ["import time; time.sleep(1.5)", "print('end')"])
    lab.open(page, "slow")
    lab.run_all(page)
    assert lab.printed(page, 1) == "end"
    expect(lab.cell_output(page, 1)).to_have_text("end")

    lab.write_notebook("fails", ["import time; time.sleep(0.5); 1 / 0", "print('end')"])
    lab.open(page, "fails")
    lab.run_all(page)
    expect(lab.cell_output(page, 0)).to_contain_text("ZeroDivisionError")
    assert lab.printed(page, 1) == ""
    lab.run_cell(page, 1)
    assert lab.printed(page, 1) == "end"
    expect(lab.cell_output(page, 1)).to_have_text("end")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_theme_is_switched_in_an_open_page(lab, page, theme):
    lab.write_notebook("theme", [CODE])
    lab.open(page, "theme")
    body = page.locator("body")
    expect(body).to_have_attribute("data-jp-theme-light", "true")
    lab.set_theme(page, theme)
    expect(body).to_have_attribute("data-jp-theme-light", "false" if theme == "dark" else "true")


def test_the_theme_is_chosen_for_pages_to_come(lab, page):
    lab.set_theme(None, "dark")
    lab.write_notebook("night", [CODE])
    lab.open(page, "night")
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached")


def test_the_kernels_of_lab_run_this_checkout_at_home_and_without_a_key(lab, page):
    code = (
        "import importlib.util, os\n"
        "print(os.environ['QWEN_WIDGETS_HOME'], os.environ.get('WAVESPEED_API_KEY'))\n"
        "print(*importlib.util.find_spec('qwen_widgets').submodule_search_locations)"
    )
    lab.write_notebook("env", [code])
    lab.open(page, "env")
    lab.run_all(page)
    lab.save(page)
    home, package = lab.read_notebook("env").cells[0].outputs[0].text.splitlines()
    assert home == f"{lab.home} None"
    import qwen_widgets

    assert next(iter(qwen_widgets.__path__)) == package


def test_an_output_from_elsewhere_is_sanitised_until_it_is_trusted(lab, page):
    html = "<b id='seen'>seen</b><script>document.body.dataset.ran = 'yes'</script>"
    output = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
    cell = {
        "cell_type": "code",
        "id": "abc",
        "source": "",
        "metadata": {},
        "execution_count": 1,
        "outputs": [output],
    }
    lab.write_notebook("foreign", [cell])
    lab.open_without_kernel(page, "foreign")
    lab.cell_output(page, 0).get_by_text("seen").wait_for()
    assert page.locator("body").get_attribute("data-ran") is None
    lab.trust("foreign")
    assert lab.is_trusted("foreign")
    lab.open_without_kernel(page, "foreign")
    page.locator("body[data-ran=yes]").wait_for(state="attached")


def test_a_long_notebook_has_its_last_cell_found(lab, page):
    lab.write_notebook("long", [f"print('cell', {i})\n" * 10 for i in range(60)])
    lab.open(page, "long")
    lab.run_all(page)
    last = lab.cell_output(page, 59)
    last.scroll_into_view_if_needed()
    expect(last).to_contain_text("cell 59")


def test_an_uncaught_exception_and_a_foreign_request_are_noted(page):
    page.route("https://example.invalid/**", lambda route: route.abort())
    with page.expect_console_message(lambda message: message.type == "error"):
        page.set_content("<img src='https://example.invalid/x.png'>")
    with page.context.expect_event("weberror"):
        page.evaluate("() => { setTimeout(() => { throw new Error('boom') }) }")
    assert page.foreign_urls() == ["https://example.invalid/x.png"]
    assert ["boom" in e for e in page.page_errors] == [True]
    assert page.console_errors
    page.page_errors.clear()
