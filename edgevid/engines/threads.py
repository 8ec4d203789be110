"""How many CPU threads an engine gets."""

from __future__ import annotations

import os


def default_threads() -> int:
    """Threads for the graph: one fewer than the cores this process may use, at least one.

    A decoder needs a core of its own: on two cores, one thread for the graph gave more frames
    a second than two, for 5.2 instead of 8.4 CPU-milliseconds a frame, because two threads
    spin and fight the decoder.
    """
    return max(1, len(os.sched_getaffinity(0)) - 1)
