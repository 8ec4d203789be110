from __future__ import annotations

import threading

import numpy as np
import pytest

from edgevid.pipeline import CaptureJob, NamedSource, Stream
from edgevid.sources.paced import PacedSource
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats, TensorInfo

pytestmark = pytest.mark.timeout(30)

FPS = 25


class File:
    """30 frames that are there at once."""

    source_id = "file"
    info = SourceInfo(8, 6, FPS, 30, False, "scripted")

    def __init__(self) -> None:
        self._next = 0

    @property
    def stats(self) -> SourceStats:
        return SourceStats(frames_read=self._next)

    def read(self, want) -> Frame | None:
        while self._next < 30:
            i = self._next
            self._next += 1
            frame_time = FrameTime(i, i / FPS, (i + 1) / FPS)
            if want(frame_time):
                return Frame(np.full((6, 8, 3), i, np.uint8), frame_time, self.source_id)
        return None

    def close(self) -> None:
        pass


class Clock(threading.Event):
    """The clock, and the waiting that makes it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 7_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, timeout=None) -> bool:
        self.now_ns += round(timeout * 1e9)
        return False


def test_a_source_that_cannot_keep_up_is_a_second_late_at_most_and_says_so():
    clock = Clock()
    source = PacedSource(File(), clock, clock)
    late_s = []
    while (frame := source.read(lambda _: True)) is not None:
        late_s.append((clock.now_ns - frame.time.received_ns) / 1e9)
        clock.now_ns += 240_000_000  # for the next frame, which is due 40 ms after this one
    assert max(late_s) == pytest.approx(1.0)
    assert late_s[6] == 0
    (note,) = source.stats.notes
    assert "it stood still for 4.8 s in all" in note


def test_the_first_frame_can_be_held_back():
    clock = Clock()
    source = PacedSource(File(), clock, clock, start_after_s=0.125)
    frame = source.read()
    assert frame is not None
    assert frame.time.received_ns == clock.now_ns == 7_125_000_000


def test_each_frame_comes_when_it_is_due_skipped_ones_too():
    clock = Clock()
    source = PacedSource(File(), clock, clock)
    assert source.info.is_live
    assert source.info.num_frames is None
    arrivals = []
    while (frame := source.read(lambda t: t.index % 5 == 0)) is not None:
        arrivals.append((frame.time.index, clock.now_ns, frame.time.received_ns))
    assert [index for index, _, _ in arrivals] == [0, 5, 10, 15, 20, 25]
    for index, now_ns, received_ns in arrivals:
        assert now_ns == received_ns == 7_000_000_000 + index * 40_000_000
    assert clock.now_ns == 7_000_000_000 + 29 * 40_000_000


def test_a_late_reader_is_not_made_later_and_its_lateness_shows():
    clock = Clock()
    source = PacedSource(File(), clock, clock)
    source.read(lambda _: True)
    clock.now_ns += 1_000_000_000
    frame = source.read(lambda _: True)
    assert clock.now_ns == 8_000_000_000
    assert frame.time.received_ns == 7_040_000_000


class SlowEngine:
    """Takes 0.2 s of real time a call: five calls a second, where 25 frames come."""

    name = "slow"
    inputs = (TensorInfo("frame", (None, 6, 8, 3), "uint8"),)
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def infer(self, _feeds):
        threading.Event().wait(0.2)
        return {"scores": np.array([[0.25, 0.75]], np.float32)}

    def close(self) -> None:
        pass


def test_in_real_time_a_slow_engine_loses_frames_and_each_is_counted():
    job = CaptureJob(
        ClipSpec(), (InputSpec(name="frame", layout="NHWC", size=(6, 8)),), real_time=True
    )
    stream = Stream(SlowEngine(), ("a", "b"), [[NamedSource("file", File)]], job)
    predictions = list(stream)
    (entry,) = stream.summary.sources
    assert entry.frames_read == 30
    assert entry.frames_read == entry.frames_used + entry.frames_skipped + entry.frames_dropped
    # 1.2 s of video at five answers a second; the newest frame is always taken.
    assert 5 <= len(predictions) <= 9
    assert predictions[-1].end_s == pytest.approx(29 / FPS)
    assert entry.clips_dropped == 30 - len(predictions) - entry.frames_dropped
