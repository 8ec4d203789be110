from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import pytest

from edgevid.benchmarks.heap_watch import heap
from edgevid.benchmarks.live_runs import LiveRun, demo_bundle

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library has no mallinfo2"
)


def test_what_is_given_out_is_seen_and_that_it_came_back():
    before = heap()
    held = [bytes(10_000_000), [object() for _ in range(20_000)]]
    during = heap()
    del held
    after = heap()
    assert during.c_kb - before.c_kb == pytest.approx(10_000, rel=0.05)
    assert during.python_blocks - before.python_blocks == pytest.approx(20_000, rel=0.05)
    assert after.c_kb == pytest.approx(before.c_kb, abs=500)
    assert after.python_blocks == pytest.approx(before.python_blocks, abs=1000)


@pytest.mark.timeout(120)
def test_a_run_tells_what_it_holds_and_is_otherwise_as_it_was():
    source = "synthetic:?live=1&seconds=100"
    with (
        tempfile.TemporaryDirectory() as folder,
        LiveRun(demo_bundle(), [source], Path(folder), watch_heap=True) as run,
    ):
        run.wait_for(lambda: len(run.predictions) == 1)
        sample = run.sample()
        ending = run.stop()
    assert (ending.status, ending.summary["clips"] > 0) == (0, True)
    assert sample.heap is not None
    assert 5_000 < sample.heap.c_kb < sample.rss_mb * 1e3
    assert sample.heap.python_blocks > 100_000
