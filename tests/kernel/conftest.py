"""Fixtures with real kernels: one of each ipykernel that people have, or the newest alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from kernels import NEWEST, VERSIONS, Kernel, NoOverlay, overlay

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give them time: kernels start and answer slowly on a busy machine."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture
def start_kernel(
    tmp_path: Path, qwen_home: Path, child_env: Callable[..., dict[str, str]]
) -> Iterator[Callable[..., Kernel]]:
    """Start kernels: ``start_kernel(version="7.4.0", env={"NAME": "value"})``.

    All kernels of a test share its QWEN_WIDGETS_HOME and its folder of notebooks. They end with the test.
    """
    started: list[Kernel] = []

    def start(version: str = NEWEST, env: Mapping[str, str | None] | None = None) -> Kernel:
        try:
            first = overlay(version)
        except NoOverlay as reason:
            pytest.skip(f"{reason}.")
        folder = tmp_path / "kernels" / str(len(started))
        environment = child_env(folder, home=qwen_home, first=[str(first)], extra=env)
        kernel = Kernel(version, env=environment, cwd=tmp_path / "notebooks", folder=folder)
        started.append(kernel)
        return kernel

    yield start
    for kernel in started:
        kernel.close()


@pytest.fixture(params=VERSIONS, ids=[f"ipykernel-{v}" for v in VERSIONS])
def kernel(request: pytest.FixtureRequest, start_kernel: Callable[..., Kernel]) -> Kernel:
    """A kernel of each ipykernel in turn."""
    return start_kernel(version=request.param)


@pytest.fixture
def kernel_one(start_kernel: Callable[..., Kernel]) -> Kernel:
    """A kernel of the newest ipykernel."""
    return start_kernel()
