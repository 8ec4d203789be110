import concurrent.futures
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.pipeline import SourceEnded, queues
from edgevid.pipeline.queues import Closed, Inbox, Outbox
from edgevid.types import Frame, FrameTime, SampledFrame, SourceStats


def sample(number: int) -> SampledFrame:
    return SampledFrame({}, FrameTime(number, number * 0.1, number * 0.1 + 0.1), number * 0.1)


def ended() -> SourceEnded:
    return SourceEnded("a", SourceStats(), 0)


def drain(inbox: Inbox) -> list[tuple[int, object]]:
    got = []
    while (message := inbox.get()) is not None:
        got.append(message)
    return got


@settings(deadline=None)
@given(st.integers(1, 6), st.lists(st.sampled_from(["put", "get"]), max_size=60))
def test_a_live_lane_drops_the_oldest_and_counts_every_one(capacity, actions):
    inbox = Inbox(capacity, 1)
    inbox.set_live(0, True)
    put, got, waiting = [], [], 0
    for action in actions:
        if action == "put":
            inbox.put(0, sample(len(put)))
            put.append(len(put))
            waiting = min(waiting + 1, capacity)
        elif waiting:
            got.append(inbox.get()[1])
            waiting -= 1
        assert inbox.backlog(0) == waiting
    inbox.finish(0)
    got += [item for _, item in drain(inbox)]

    numbers = [item.time.index for item in got]
    assert numbers == sorted(numbers)
    assert len(numbers) + inbox.dropped(0) == len(put)
    # A sample is marked exactly where the one before it is missing.
    previous = -1
    for item in got:
        assert item.gap == (item.time.index != previous + 1)
        previous = item.time.index


def test_messages_about_the_source_survive_an_overload():
    inbox = Inbox(2, 1)
    inbox.set_live(0, True)
    inbox.put(0, ended())
    frame = Frame(np.zeros((2, 2, 3), np.uint8), FrameTime(0, 0.0, 0.1), "a")
    for i in range(10):
        inbox.put(0, frame if i % 2 else sample(i))
    inbox.finish(0)
    kinds = [type(item).__name__ for _, item in drain(inbox)]
    assert kinds[0] == "SourceEnded"
    assert inbox.dropped(0) == 4 if kinds[-1] == "SampledFrame" else inbox.dropped(0) == 5


@pytest.mark.timeout(20)
def test_one_waits_until_everything_on_a_lane_was_taken():
    inbox = Inbox(8, 2)
    for number in range(3):
        inbox.put(0, sample(number))
    inbox.put(1, sample(0))
    inbox.finish(0)
    order = []

    def wait():
        inbox.wait_until_taken(0)
        order.append("all taken")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    for _ in range(4):
        thread.join(0.05)
        order.append(inbox.get()[0])
    thread.join(5)
    assert order.count(0) == 3
    assert order.index("all taken") > max(i for i, lane in enumerate(order) if lane == 0)


def test_a_full_file_lane_makes_its_writer_wait_and_loses_nothing():
    inbox = Inbox(3, 1)

    def write():
        for i in range(200):
            inbox.put(0, sample(i))
        inbox.finish(0)

    writer = threading.Thread(target=write)
    writer.start()
    numbers = [item.time.index for _, item in drain(inbox)]
    writer.join(5)
    assert numbers == list(range(200))
    assert inbox.dropped(0) == 0
    assert inbox.backlog(0) == 0


def test_lanes_are_served_in_turn():
    inbox = Inbox(10, 3)
    for i in range(4):
        for lane in range(3):
            if lane or i < 2:
                inbox.put(lane, sample(i))
    for lane in range(3):
        inbox.finish(lane)
    assert [lane for lane, _ in drain(inbox)] == [0, 1, 2, 0, 1, 2, 1, 2, 1, 2]


@pytest.mark.timeout(20)
def test_closing_wakes_a_waiting_writer_and_a_waiting_reader():
    inbox, outbox = Inbox(1, 1), Outbox(1)
    inbox.put(0, sample(0))
    outbox.put(1)
    woken = []

    def wait(put):
        try:
            put()
        except Closed:
            woken.append(True)

    threads = [
        threading.Thread(target=wait, args=(lambda: inbox.put(0, sample(1)),)),
        threading.Thread(target=wait, args=(lambda: outbox.put(2),)),
    ]
    for thread in threads:
        thread.start()
    inbox.close()
    outbox.close()
    for thread in threads:
        thread.join(5)
    assert woken == [True, True]
    with pytest.raises(Closed):
        inbox.get()
    assert outbox.get(5.0) is None


def test_an_error_comes_after_what_was_there_before_it_and_only_once():
    outbox = Outbox(5)
    outbox.put("a")
    outbox.finish(ValueError("broken"))
    assert outbox.get(5.0) == "a"
    with pytest.raises(ValueError, match="broken"):
        outbox.get(5.0)
    assert outbox.get(5.0) is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize("waking", ["one that is wanted at once", "half a queue"])
def test_a_reader_sleeps_beside_what_it_need_not_read_at_once(monkeypatch, waking):
    monkeypatch.setattr(queues, "_GATHER_S", math.inf)
    outbox: Outbox[int] = Outbox(8)
    outbox.put(0)
    assert outbox.get(5.0) == 0
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(outbox.get, 10.0)
        for i in (1, 2, 3):
            outbox.put(i, at_once=False)
        with pytest.raises(concurrent.futures.TimeoutError):
            read.result(timeout=0.3)
        outbox.put(4, at_once=waking != "half a queue")
        assert read.result(timeout=5.0) == 1
    assert [outbox.get(5.0) for _ in range(3)] == [2, 3, 4]


@pytest.mark.timeout(20)
def test_a_reader_does_not_sleep_long_while_more_comes(monkeypatch):
    monkeypatch.setattr(queues, "_GATHER_S", 0.0)
    outbox: Outbox[int] = Outbox(8)
    with ThreadPoolExecutor(1) as pool:
        for i in range(3):
            read = pool.submit(outbox.get, 10.0)
            time.sleep(0.01)
            outbox.put(i, at_once=False)
            assert read.result(timeout=5.0) == i


def test_what_nobody_was_woken_for_is_read_when_the_wait_is_over(monkeypatch):
    monkeypatch.setattr(queues, "_GATHER_S", math.inf)
    outbox: Outbox[int] = Outbox(8)
    outbox.put(0)
    assert outbox.get(5.0) == 0
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(outbox.get, 0.3)
        time.sleep(0.05)
        outbox.put(1, at_once=False)
        assert read.result(timeout=5.0) == 1
