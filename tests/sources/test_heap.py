from __future__ import annotations

import ctypes
import os
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
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    heap._function.cache_clear()
    try:
        assert heap._function("mallopt", ctypes.c_int, ctypes.c_int) is None
        heap.trim()
        heap.share()
    finally:
        heap._function.cache_clear()


_HEAPS = """
import ctypes, sys, threading
from edgevid.sources import heap

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
heap.share()
all_there = threading.Barrier(5)

def hold():
    libc.malloc(1000)
    all_there.wait()
    all_there.wait()

for _ in range(4):
    threading.Thread(target=hold, daemon=True).start()
all_there.wait()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
all_there.wait()
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library has no malloc_info"
)
@pytest.mark.parametrize(
    ("chosen", "least", "most"),
    [({}, 1, 1), ({"MALLOC_ARENA_MAX": "8"}, 2, 8),
     ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}, 2, 4)],
)  # fmt: skip
def test_threads_share_one_heap_unless_the_user_has_chosen(tmp_path, chosen, least, most):
    around = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    found = tmp_path / "heaps.xml"
    subprocess.run(
        [sys.executable, "-c", _HEAPS, str(found)], env={**around, **chosen}, timeout=60, check=True
    )
    assert least <= found.read_text().count("<heap nr=") <= most
