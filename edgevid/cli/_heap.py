"""One heap for all threads of a run of months."""

from __future__ import annotations

import ctypes
import os
import sys

_M_ARENA_MAX = -8


def share_one_heap() -> bool:
    """Have glibc serve all threads from one arena; True where it does from now on.

    Else every thread gets one of its own, up to eight for each core (mallopt(3), M_ARENA_MAX). What
    one thread takes and another gives back then lies about in all of them: more memory at rest, and
    some more with every camera that is lost and found again, as its threads end. Call it before
    there are threads. Who sets MALLOC_ARENA_MAX is not overruled.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and mallopt(_M_ARENA_MAX, 1) == 1
