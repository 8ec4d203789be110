"""One heap for all threads, seen in what malloc says of itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COUNT = """
import ctypes, re, sys, threading
from pathlib import Path
from edgevid.cli._heap import share_one_heap

if sys.argv[1] == "one":
    print(share_one_heap())
start = threading.Barrier(6)

def take():
    start.wait()
    for size in range(1000, 60000, 100):
        bytearray(size)
    start.wait()

threads = [threading.Thread(target=take) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(len(re.findall("<heap nr", Path(sys.argv[2]).read_text())))
"""


@pytest.mark.skipif(
    not hasattr(os, "confstr") or not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"),
    reason="malloc_info is glibc's",
)
@pytest.mark.parametrize(
    ("called", "variable", "expected"),
    [("no", {}, None), ("one", {}, ["True", "1"]), ("one", {"MALLOC_ARENA_MAX": "3"}, ["False"])],
    ids=["as glibc does", "shared", "the user's own choice"],
)
@pytest.mark.timeout(60)
def test_threads_share_one_heap(tmp_path, called, variable, expected):
    env = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"} | variable
    command = [sys.executable, "-c", COUNT, called, str(tmp_path / "info.xml")]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    *answer, heaps = said.split()
    if expected is None:
        assert int(heaps) > 1
    elif variable:
        assert answer == expected
        assert 1 < int(heaps) <= 3
    else:
        assert [*answer, heaps] == expected
