from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from edgevid.sources import heap

_HOLES = """
import ctypes
from pathlib import Path
from edgevid.sources import heap

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

kept, holes = [], []
for _ in range(1000):
    for blocks, size in ((holes, 60_000), (kept, 4_000)):
        blocks.append(libc.malloc(size))
        ctypes.memset(blocks[-1], 1, size)
for block in holes:
    libc.free(block)
before = resident_mb()
heap.trim()
print(before - resident_mb())
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim"
)
def test_holes_between_what_stays_go_back_to_the_system():
    # Of 60 MB; the pages at their edges stay.
    done = subprocess.run(
        [sys.executable, "-c", _HOLES], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout) > 45


def test_a_c_library_without_it_is_left_alone(monkeypatch):
    class Without:
        def __init__(self, name: str | None) -> None:
            pass

    monkeypatch.setattr(ctypes, "CDLL", Without)
    heap._malloc_trim.cache_clear()
    try:
        assert heap._malloc_trim() is None
        heap.trim()
    finally:
        heap._malloc_trim.cache_clear()
