"""`edgevid`, and a thread in it that tells what its allocators have given out.

    python -m edgevid.benchmarks.heap_watch run BUNDLE --source ...

Resident memory is what a process keeps. A leak is what was given out and never comes back, which
no one can see from outside. Standard input is a socket here: a line asks, a line of JSON answers.

Sources: mallinfo(3), of glibc 2.33 and later; `sys.getallocatedblocks`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import runpy
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from typing import IO


@dataclass(frozen=True)
class Heap:
    """What is given out at one moment.

    Attributes:
        c_kb: By the C library, to native code and to Python's large objects; 1 kB is 1000 bytes.
        python_blocks: Small objects of Python.
    """

    c_kb: float
    python_blocks: int


class _MallocInfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                     "uordblks", "fordblks", "keepcost")
    )  # fmt: skip


def heap() -> Heap:
    """Of this process, after a collection."""
    gc.collect()
    # The next collection looks at what came since: it takes no time that a camera would notice.
    gc.freeze()
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _MallocInfo
    info = mallinfo2()
    return Heap((info.uordblks + info.hblkhd) / 1e3, sys.getallocatedblocks())


def ask(channel: IO[str]) -> Heap:
    """What the process at the other end of the socket holds now."""
    channel.write("heap\n")
    channel.flush()
    return Heap(**json.loads(channel.readline()))


def _answer(channel: IO[str]) -> None:
    for _ in channel:
        channel.write(json.dumps(asdict(heap())) + "\n")
        channel.flush()


if __name__ == "__main__":
    standard_input = socket.socket(fileno=0).makefile("rw")
    threading.Thread(target=_answer, args=(standard_input,), daemon=True).start()
    runpy.run_module("edgevid", run_name="__main__")
