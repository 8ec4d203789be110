import threading
import time
from collections import deque

import pytest

from edgevid.bell import Bell

LIMIT_S = 20.0


def ringing(bell: Bell, lock: threading.Lock, after_s: float) -> threading.Thread:
    def ring() -> None:
        time.sleep(after_s)
        with lock:
            bell.ring()

    thread = threading.Thread(target=ring)
    thread.start()
    return thread


@pytest.mark.parametrize("within_s", [None, LIMIT_S])
def test_a_ring_ends_the_wait(within_s):
    lock = threading.Lock()
    bell = Bell(lock)
    thread = ringing(bell, lock, 0.05)
    started = time.perf_counter()
    with lock:
        bell.wait(within_s)
        assert lock.locked()
    assert 0.04 < time.perf_counter() - started < LIMIT_S / 2
    thread.join(LIMIT_S)


def test_the_wait_ends_when_the_time_is_over():
    lock = threading.Lock()
    bell = Bell(lock)
    started = time.perf_counter()
    with lock:
        bell.wait(0.05)
    assert time.perf_counter() - started >= 0.05


def test_a_ring_that_nobody_waits_for_is_not_kept():
    lock = threading.Lock()
    bell = Bell(lock)
    with lock:
        bell.ring()
        bell.ring()
        started = time.perf_counter()
        bell.wait(0.05)
    assert time.perf_counter() - started >= 0.05


@pytest.mark.parametrize("within_s", [None, 1e-9, 1e-5, 1e-4])
def test_no_ring_is_missed_however_short_the_waits_are(within_s):
    """Rings that fall into the moment in which the time is over included."""
    lock = threading.Lock()
    bell = Bell(lock)
    items: deque[int] = deque()
    taken: list[int] = []

    def take() -> None:
        while len(taken) < 20_000:
            with lock:
                while not items:
                    bell.wait(within_s)
                taken.append(items.popleft())

    reader = threading.Thread(target=take, daemon=True)
    reader.start()
    for number in range(20_000):
        with lock:
            items.append(number)
            bell.ring()
        if number % 7 == 0:
            time.sleep(0)
    reader.join(LIMIT_S)
    assert not reader.is_alive()
    assert taken == list(range(20_000))
