from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import SourceError
from edgevid.protocols import every_frame
from edgevid.sources import heap, open_source
from edgevid.sources.reconnecting import ReconnectingSource, RetryPolicy
from edgevid.types import Frame, FrameTime, Outage, SourceInfo, SourceStats

pytestmark = pytest.mark.timeout(60)

FPS = 25


class Clock:
    """Time that passes only where a source or a wait lets it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Connection:
    """Gives `count` frames, one every 40 ms of the clock, then breaks (or ends)."""

    def __init__(self, clock: Clock, count: int, ends: bool = False) -> None:
        self._clock = clock
        self._count = count
        self._ends = ends
        self._given = 0
        self.source_id = "door"
        self.info = SourceInfo(8, 6, FPS, None, True, "scripted")
        self.closed = False
        self.notes: tuple[str, ...] = ("as it is",)

    @property
    def stats(self) -> SourceStats:
        return SourceStats(frames_read=self._given, notes=self.notes)

    def read(self, want=every_frame) -> Frame | None:
        while self._given < self._count:
            self._clock.now_s += 1 / FPS
            pts_s = self._given / FPS
            received = round(self._clock.now_s * 1e9)
            frame_time = FrameTime(self._given, pts_s, pts_s + 1 / FPS, received)
            self._given += 1
            if want(frame_time):
                return Frame(np.zeros((6, 8, 3), np.uint8), frame_time, self.source_id)
        if self._ends:
            return None
        raise SourceError("door broke off: reset by peer", "Check the network")

    def close(self) -> None:
        self.closed = True


class Stop(threading.Event):
    """Waiting passes the clock's time, and none of ours."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []

    def wait(self, timeout=None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self._clock.now_s += timeout
        return self.is_set()


def scripted(counts, *, refusals=0, ends=False, policy=None):
    """A source whose connections give `counts` frames; each return is refused a few times."""
    clock, outages = Clock(), []
    stop = Stop(clock)
    connections = [Connection(clock, count, ends) for count in counts]
    left = {"refusals": refusals, "next": 1}

    def reopen():
        if left["refusals"] > 0:
            left["refusals"] -= 1
            raise SourceError("door cannot be opened: Connection refused")
        if left["next"] == len(connections):
            raise SourceError("door cannot be opened: gone for good")
        left["next"] += 1
        left["refusals"] = refusals
        return connections[left["next"] - 1]

    policy = policy or RetryPolicy(give_up_after_s=30.0)
    source = ReconnectingSource(connections[0], reopen, policy, outages.append, stop, clock)
    return source, outages, stop, connections


def frames_of(source, want=every_frame) -> Iterator[Frame]:
    while (frame := source.read(want)) is not None:
        yield frame


def read_all(source) -> list[FrameTime]:
    times: list[FrameTime] = []
    with pytest.raises(SourceError, match="did not bring it back"):
        times.extend(frame.time for frame in frames_of(source))
    return times


@pytest.mark.parametrize("ends", [False, True])
def test_a_source_that_comes_back_is_one_stream(ends):
    source, outages, _, connections = scripted([10, 5, 7], refusals=3, ends=ends)
    times = read_all(source)
    assert [t.index for t in times] == list(range(22))
    assert [t.index for t in times if t.restart] == [10, 15]
    assert all(a.pts_s < b.pts_s for a, b in pairwise(times))
    # The stream's own clock is that of arrival: an outage takes as long on both.
    for time_, first in zip(times, [times[0]] * 22, strict=True):
        assert time_.pts_s == pytest.approx((time_.received_ns - first.received_ns) / 1e9, abs=1e-6)
    lost, back = outages[0], outages[1]
    assert (lost.at_s, lost.lasted_s, lost.attempts) == (pytest.approx(9 / FPS), None, 0)
    assert ("ended" in lost.reason) == ends
    assert back.attempts == 4
    assert back.lasted_s == pytest.approx(times[10].pts_s - times[9].pts_s)
    assert [o.lasted_s is None for o in outages] == [True, False, True, False, True]
    assert source.stats == SourceStats(frames_read=22, notes=("as it is",))
    assert all(c.closed for c in connections)


class JumpingClock(Connection):
    """Its time stamps run an hour ahead from the fifth frame on."""

    def read(self, want=every_frame) -> Frame | None:
        def ahead(time: FrameTime) -> FrameTime:
            by_s = 3600.0 if time.index >= 5 else 0.0
            return replace(time, pts_s=time.pts_s + by_s, next_pts_s=time.next_pts_s + by_s)

        return super().read(lambda time: want(ahead(time)))


def test_time_stamps_that_jump_ahead_begin_anew_and_the_clock_goes_on():
    clock = Clock()
    source = ReconnectingSource(
        JumpingClock(clock, 10), lambda: None, RetryPolicy(), lambda _: None, Stop(clock), clock
    )
    times = [source.read().time for _ in range(10)]
    assert [t.restart for t in times] == [t.index == 5 for t in times]
    assert [t.pts_s for t in times] == pytest.approx([i / FPS for i in range(10)])


def test_notes_of_thousands_of_connections_stay_few():
    clock = Clock()
    numbered = [Connection(clock, 1) for _ in range(50)]
    for number, connection in enumerate(numbered):
        connection.notes = (f"damaged frames, left out: {number}",)
    left = iter(numbered[1:])
    source = ReconnectingSource(
        numbered[0], lambda: next(left), RetryPolicy(), lambda _: None, Stop(clock), clock
    )
    for _ in range(50):
        assert source.read() is not None
    assert source.stats.notes == tuple(f"damaged frames, left out: {n}" for n in range(42, 50))


def test_giving_up_says_how_long_and_how_often():
    source, _, stop, _ = scripted([1], policy=RetryPolicy(give_up_after_s=5.0, jitter=0.0))
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"reset by peer; 11 attempts in 5 s .*--give-up-after"):
        source.read()
    assert stop.waits == pytest.approx([0.2, 0.4, *[0.5] * 8, 0.4])


def test_without_a_limit_it_tries_for_weeks():
    source, outages, stop, _ = scripted([1], refusals=10**9, policy=RetryPolicy())
    source.read()
    calls = 0

    def wait(_timeout):
        nonlocal calls
        calls += 1
        if calls == 20_000:
            stop.set()
        return stop.is_set()

    stop.wait = wait
    assert source.read() is None
    assert [o.lasted_s for o in outages] == [None]


def test_what_nobody_foresaw_is_an_outage_with_its_traceback_and_no_end():
    source, outages, _, connections = scripted([10, 5])
    read = connections[0].read

    def break_down(want=every_frame):
        if connections[0].stats.frames_read == 4:
            raise IndexError("tuple index out of range")
        return read(want)

    connections[0].read = break_down
    times = read_all(source)
    assert [t.index for t in times if t.restart] == [4]
    assert len(times) == 9
    lost, back, _ = outages
    assert lost.is_loss
    assert "IndexError: tuple index out of range" in lost.reason
    assert "in break_down" in lost.traceback
    assert back.lasted_s is not None
    assert connections[0].closed


def test_a_fault_in_opening_is_told_once_and_tried_again():
    source, outages, stop, _ = scripted([10])
    tries = 0
    again = Connection(source._clock, 3)

    def reopen():
        nonlocal tries
        tries += 1
        if tries < 6:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        if again.closed:
            stop.set()
            raise SourceError("gone")
        return again

    source._reopen = reopen
    assert len(list(frames_of(source))) == 13
    lost, fault, back = outages[:3]
    assert (lost.is_loss, lost.traceback) == (True, None)
    assert (fault.is_loss, fault.lasted_s, fault.attempts) == (False, None, 1)
    assert "UnicodeDecodeError" in fault.reason
    assert "in reopen" in fault.traceback
    assert (back.lasted_s is not None, back.attempts) == (True, 6)
    assert source.outages == 2


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_waits_grow_and_stay_near_their_bounds(attempt, chance):
    policy = RetryPolicy()
    wait_s = policy.wait_s(attempt, chance)
    steady_s = min(policy.first_s * 2 ** min(attempt - 1, 64), policy.longest_s)
    assert steady_s * 0.8 <= wait_s <= steady_s * 1.2
    assert policy.wait_s(attempt + 1, 0.5) >= policy.wait_s(attempt, 0.5)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 5), st.integers(1, 4))
def test_every_frame_is_asked_for_once_whatever_breaks(counts, refusals, every):
    source, _, _, _ = scripted(counts, refusals=refusals)
    asked: list[FrameTime] = []

    def want(frame_time):
        asked.append(frame_time)
        return frame_time.index % every == 0

    with pytest.raises(SourceError):
        list(frames_of(source, want))
    assert [t.index for t in asked] == list(range(sum(counts)))
    assert sum(t.restart for t in asked) == len(counts) - 1
    assert source.stats.frames_read == sum(counts)


def test_closing_ends_the_wait():
    clock = Clock()
    stop = threading.Event()

    def never():
        raise SourceError("door cannot be opened: no route")

    source = ReconnectingSource(Connection(clock, 1), never, RetryPolicy(), lambda _: None, stop)
    source.read()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    assert source.read() is None
    assert time.monotonic() - started < 5


def test_a_real_server_is_killed_and_comes_back(rtsp_server):
    url, outages = rtsp_server.url("camera"), []
    policy = RetryPolicy(stall_after_s=2.0)
    stop = threading.Event()

    def opening():
        return open_source(url, read_timeout_s=policy.stall_after_s)

    source = ReconnectingSource(opening(), opening, policy, outages.append, stop)
    for _ in range(3):
        for _ in range(10):
            assert source.read() is not None
        rtsp_server.kill()
        killed = time.monotonic()
        threading.Timer(random.uniform(0.2, 0.8), rtsp_server.start).start()
        frame = source.read()
        while frame is not None and not frame.time.restart:
            frame = source.read()
        assert frame is not None
        assert time.monotonic() - killed < 10
    assert [o.lasted_s is None for o in outages] == [True, False] * 3
    source.close()


def test_a_real_server_that_falls_silent_is_found_by_its_silence(rtsp_server):
    url, outages = rtsp_server.url("camera"), []
    policy = RetryPolicy(stall_after_s=1.0, give_up_after_s=2.0)

    def opening():
        return open_source(url, read_timeout_s=policy.stall_after_s, open_timeout_s=0.5)

    source = ReconnectingSource(opening(), opening, policy, outages.append, threading.Event())
    for _ in range(5):
        assert source.read() is not None
    rtsp_server.signal(signal.SIGSTOP)
    with pytest.raises(SourceError, match=r"nothing came for 1 s; .* did not bring it back"):
        list(frames_of(source))
    rtsp_server.signal(signal.SIGCONT)
    assert outages == [Outage(source.source_id, pytest.approx(outages[0].at_s), outages[0].reason)]


def test_memory_goes_back_to_the_system_once_the_lost_connection_is_closed(monkeypatch):
    source, _, _, connections = scripted([10, 5, 7])
    closed: list[int] = []
    monkeypatch.setattr(heap, "trim", lambda: closed.append(sum(c.closed for c in connections)))
    read_all(source)
    assert closed == [1, 2, 3]
