"""Wakes a thread that waits for work, at a fraction of what `threading.Condition` costs."""

from __future__ import annotations

import threading


class Bell:
    """What one thread at a time waits at; others ring it.

    A condition makes a new lock for every wait, and asks for it in Python. Where every hand-over
    between threads finds cold caches, that is most of what handing over costs.

    Args:
        lock: Held by whoever calls `wait` or `ring`.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._gate = threading.Lock()
        self._gate.acquire()
        self._waited_at = False

    def wait(self, within_s: float | None = None) -> None:
        """Let go of the lock until the bell rings, or for so many seconds. May return early."""
        self._waited_at = True
        self._lock.release()
        try:
            self._gate.acquire(timeout=-1 if within_s is None else max(within_s, 0.0))
        finally:
            self._lock.acquire()
            if not self._waited_at:
                # Shut, also where it rang in the very moment in which the time was over.
                self._gate.acquire(blocking=False)
            self._waited_at = False

    def ring(self) -> None:
        """Wake the thread that waits, if one does."""
        if self._waited_at:
            self._waited_at = False
            self._gate.release()
