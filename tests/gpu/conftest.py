"""GPU tests skip, with the reason, where there is no GPU; EDGEVID_REQUIRE_GPU=1 makes that fail.

The variable belongs on a machine that is there to run these tests: a GPU, a package or a
build that is missing must not pass for a success.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import pytest

from edgevid.engines.cuda_memory import open_cuda
from edgevid.errors import EdgevidError


def cannot_run(reason: str) -> NoReturn:
    if os.environ.get("EDGEVID_REQUIRE_GPU") == "1":
        pytest.fail(f"EDGEVID_REQUIRE_GPU=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    assert item.get_closest_marker("gpu"), f"{item.nodeid} lacks the marker `gpu`"
    try:
        open_cuda()
    except EdgevidError as exc:
        cannot_run(f"there is no usable GPU: {exc.message}")


@pytest.fixture
def or_skip() -> Callable[[Callable[[], object]], object]:
    """Call something that may lack its package: the test is skipped, or fails, with the reason."""

    def call(attempt: Callable[[], object]) -> object:
        try:
            return attempt()
        except EdgevidError as exc:
            cannot_run(exc.message)

    return call
