"""Without a GPU the GPU tests skip with a reason, and fail where a GPU is demanded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("demand", "status"), [("0", 0), ("1", 1)])
def test_no_gpu_is_a_skip_or_a_failure(demand, status):
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "EDGEVID_REQUIRE_GPU": demand},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = ran.stdout.strip().splitlines()[-1]
    assert ran.returncode == status, ran.stdout[-2000:]
    assert "there is no usable GPU" in ran.stdout
    assert "passed" not in summary
    assert ("skipped" in summary) is (demand == "0")
    assert ("failed" in summary or "error" in summary) is (demand == "1")
