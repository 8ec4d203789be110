"""Random weights, but the same ones whatever ran before."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _seeded():
    pytest.importorskip("torch", reason="pip install 'edgevid[torch]'").manual_seed(0)
