"""The C library's heap, in which a closed connection leaves holes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def trim() -> None:
    """Hand free pages of the heap back to the system, in about a millisecond.

    Connections that come and go leave holes between what stays, in as many heaps as there are
    threads. glibc gives back the end of a heap by itself, holes it keeps, and memory creeps up
    for hours. Does nothing where the C library has no `malloc_trim(3)`.
    """
    if (malloc_trim := _malloc_trim()) is not None:
        malloc_trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        found = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl and macOS; Windows, whose CDLL needs a name
        return None
    found.argtypes, found.restype = [ctypes.c_size_t], ctypes.c_int
    return found
