"""The C library's heap, in which a closed connection leaves holes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache

_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


def share() -> None:
    """Have all threads that start from now on share one heap.

    glibc gives threads heaps of their own, up to eight a core, and what one frees no other can
    use: memory then creeps up until each heap has seen its worst. Does nothing where the user
    has chosen (`MALLOC_ARENA_MAX`, `GLIBC_TUNABLES`), or the C library has no `mallopt(3)`.
    """
    chosen = "arena_max" in os.environ.get("GLIBC_TUNABLES", "")
    if chosen or "MALLOC_ARENA_MAX" in os.environ:
        return
    if (mallopt := _function("mallopt", ctypes.c_int, ctypes.c_int)) is not None:
        mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Hand free pages of the heap back to the system, in about a millisecond.

    Connections that come and go leave holes between what stays. glibc gives back the end of a
    heap by itself, holes it keeps, and memory creeps up for hours. Does nothing where the C
    library has no `malloc_trim(3)`.
    """
    if (malloc_trim := _function("malloc_trim", ctypes.c_size_t)) is not None:
        malloc_trim(0)


@cache
def _function(name: str, *arguments: type) -> Callable[..., int] | None:
    try:
        found = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # musl and macOS; Windows, whose CDLL needs a name
        return None
    found.argtypes, found.restype = arguments, ctypes.c_int
    return found  # type: ignore[no-any-return]
