"""One heap for all threads, seen in what malloc says of itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgevid.benchmarks.live_runs import demo_bundle

COUNT = """
import ctypes, re, sys, threading
from pathlib import Path
from edgevid.cli._heap import share_one_heap

if sys.argv[1] == "one":
    print(share_one_heap())
elif sys.argv[1] == "run":
    import edgevid.cli

    print(edgevid.cli.main(["run", *sys.argv[3:], "--no-reconnect", "--quiet"]))
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


GLIBC = pytest.mark.skipif(
    not hasattr(os, "confstr") or not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"),
    reason="malloc_info is glibc's",
)


def counted(*arguments: str, **variables: str) -> list[str]:
    env = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"} | variables
    command = [sys.executable, "-c", COUNT, *arguments]
    return subprocess.run(
        command, env=env, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()


@GLIBC
@pytest.mark.parametrize(
    ("called", "variable", "expected"),
    [("no", {}, None), ("one", {}, ["True", "1"]), ("one", {"MALLOC_ARENA_MAX": "3"}, ["False"])],
    ids=["as glibc does", "shared", "the user's own choice"],
)
@pytest.mark.timeout(60)
def test_threads_share_one_heap(tmp_path, called, variable, expected):
    *answer, heaps = counted(called, str(tmp_path / "info.xml"), **variable)
    if expected is None:
        assert int(heaps) > 1
    elif variable:
        assert answer == expected
        assert 1 < int(heaps) <= 3
    else:
        assert [*answer, heaps] == expected


@GLIBC
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("source", "is_shared"), [("rtsp://127.0.0.1:9/x", True), ("x.mp4", False)]
)
def test_a_run_shares_it_beside_what_may_be_lost(tmp_path, source, is_shared):
    """And before any library has threads: those would have heaps of their own already."""
    words = [str(demo_bundle()), "--source", source]
    status, heaps = counted("run", str(tmp_path / "info.xml"), *words)
    assert status == "2"
    assert (int(heaps) == 1) == is_shared
