"""The doctor: what is set up and what is missing, never the key."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata

from qwen_widgets._version import __version__
from qwen_widgets.core.errors import QwenError
from qwen_widgets.core.wavespeed import check_base_url
from qwen_widgets.grid.show import short_path
from qwen_widgets.studio import studio


def doctor_report() -> list[tuple[str, str]]:
    """Return names and values that say what is set up; never the key."""
    here = studio()
    report = [
        ("qwen_widgets", __version__),
        ("Python", f"{platform.python_version()} on {platform.system()}"),
    ]
    for name in ("ipykernel", "ipython", "ipywidgets", "anywidget", "httpx", "jupyterlab", "pandas"):
        try:
            report.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            report.append((name, "not installed"))
    checks: list[tuple[str, Callable[[], str]]] = [
        ("API key", lambda: f"found ({here.find_key()[1]})" if here.find_key()[0] else "none found"),
        ("provider", lambda: here.provider().title),
        ("API address", lambda: str(check_base_url(here.base_url))),
        ("home", lambda: short_path(here.home)),
        ("ledger", lambda: here.restored_line() or "readable"),
    ]
    for name, check in checks:
        try:
            report.append((name, check()))
        except QwenError as error:
            report.append((name, error.message))
    return report
