"""Every frame is accounted for once, whatever is slow, breaks, comes back or is stopped.

The truth is kept apart from the pipeline's own counts: what the sources gave out, what the
sampler of a contract takes of it, and which frames the window builders were handed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevid.clips import WindowBuilder
from edgevid.errors import EdgevidError, SourceError
from edgevid.pipeline import Batching, CaptureJob, NamedSource, Stream, inference
from edgevid.pipeline import stream as stream_module
from edgevid.pipeline.plan import plan_sampling
from edgevid.protocols import every_frame
from edgevid.sources.reconnecting import RetryPolicy
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Frame, FrameTime, Prediction, SourceInfo, SourceStats, TensorInfo

pytestmark = pytest.mark.timeout(120)

LABELS = ("dark", "bright")
RETRY = RetryPolicy(first_s=1e-3, longest_s=1e-3, give_up_after_s=0.02)


@dataclass(frozen=True)
class Script:
    """A source: frames at a rate, so many milliseconds apart, over one connection or several."""

    frames: int
    fps: float
    live: bool
    every_ms: float
    breaks_at: tuple[int, ...]


scripts = st.builds(
    Script,
    frames=st.integers(1, 40),
    fps=st.sampled_from([4.0, 10.0, 25.0]),
    live=st.just(False),
    every_ms=st.sampled_from([0.0, 0.0, 0.5]),
    breaks_at=st.lists(st.integers(0, 39), max_size=2).map(lambda at: tuple(sorted(set(at)))),
)
lane = st.builds(
    lambda lane, live: [replace(script, live=live) for script in lane],
    st.lists(scripts, min_size=1, max_size=2),
    st.booleans(),
)
lanes_of_scripts = st.lists(lane, min_size=1, max_size=3)


class ScriptedSource:
    """Plays a script; opened again, it goes on where it broke."""

    def __init__(self, name: str, script: Script) -> None:
        self.source_id = name
        self.script = script
        self.given: list[FrameTime] = []
        self.info = SourceInfo(8, 6, script.fps, None, script.live, "scripted")
        self.stats = SourceStats()
        self._breaks = list(script.breaks_at)

    def reopen(self) -> ScriptedSource:
        if len(self.given) >= self.script.frames:
            raise SourceError(f"{self.source_id} is over")
        self.stats = SourceStats()
        return self

    def read(self, want=every_frame) -> Frame | None:
        while len(self.given) < self.script.frames:
            number = len(self.given)
            if self._breaks and self._breaks[0] <= number:
                self._breaks.pop(0)
                raise SourceError(f"{self.source_id} broke off")
            time.sleep(self.script.every_ms / 1e3)
            index, step = self.stats.frames_read, 1 / self.script.fps
            frame_time = FrameTime(index, number * step, (number + 1) * step, time.monotonic_ns())
            self.given.append(frame_time)
            self.stats = SourceStats(frames_read=index + 1)
            if want(frame_time):
                return Frame(np.full((6, 8, 3), number, np.uint8), frame_time, self.source_id)
        return None

    def close(self) -> None:
        pass


class SlowEngine:
    name = "slow"
    inputs = (TensorInfo("clip", (None, None, 6, 8, 3), "uint8"),)
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def __init__(self, call_s: float) -> None:
        self._call_s = call_s

    def infer(self, feeds):
        time.sleep(self._call_s)
        return {"scores": np.full((len(feeds["clip"]), 2), 0.5, np.float32)}

    def close(self) -> None:
        pass


class Watched(WindowBuilder):
    """Notes the frames that it is handed, and counts its windows; padded ones by themselves."""

    handed: defaultdict[str, set[int]]
    built: defaultdict[str, int]
    padded: defaultdict[str, int]

    @classmethod
    def forget(cls) -> None:
        cls.handed, cls.built, cls.padded = defaultdict(set), defaultdict(int), defaultdict(int)

    def push(self, sample):
        Watched.handed[self._source_id].add(sample.time.index)
        clip = super().push(sample)
        Watched.built[self._source_id] += clip is not None
        return clip

    def finish(self):
        clip = super().finish()
        Watched.padded[self._source_id] += clip is not None
        return clip


def is_sane(stream: Stream, before: dict[str, tuple[int, ...]]) -> None:
    """What is said while the stream plays never falls, and never exceeds what was read."""
    for source in stream.progress():
        counts = (source.frames_read, source.frames_used, source.frames_dropped)
        assert min(*counts, source.frames_skipped, source.waiting) >= 0
        assert source.frames_used + source.frames_dropped <= source.frames_read
        assert all(a <= b for a, b in zip(before.get(source.name, (0, 0, 0)), counts, strict=True))
        before[source.name] = counts


@dataclass(frozen=True)
class Stop:
    """What the caller does after so many results."""

    how: str
    after: int

    def on(self, stream: Stream, number: int, name: str) -> bool:
        """Do it when its time has come; True where the caller reads no more."""
        if number != self.after or self.how == "never":
            return False
        if self.how == "stop":
            stream.stop()
        elif self.how == "stop one":
            stream.stop_source(name)
        return self.how == "leave"


stops = st.builds(Stop, st.sampled_from(["never", "stop", "stop one", "leave"]), st.integers(1, 30))


@settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lanes_of_scripts, st.integers(1, 9), st.integers(1, 3), st.sampled_from([None, 0.1, 0.2]),
    st.sampled_from([0.0, 0.0, 2e-3]), st.booleans(), st.integers(1, 3), stops,
)  # fmt: skip
def test_frames_read_are_used_or_skipped_or_dropped(
    lanes, capacity, num_frames, hop_s, call_s, strict_time, max_batch, stop
):
    Watched.forget()
    sources = [
        [ScriptedSource(f"{i}.{k}", script) for k, script in enumerate(lane)]
        for i, lane in enumerate(lanes)
    ]
    named = [[NamedSource(s.source_id, s.reopen, s) for s in lane] for lane in sources]
    clip = ClipSpec(num_frames=num_frames, fps=10.0, hop_s=hop_s)
    layout = "NTHWC" if num_frames > 1 else "NHWC"
    job = CaptureJob(
        clip, (InputSpec(name="clip", layout=layout, size=(6, 8)),),
        strict_time=strict_time, retry=RETRY,
    )  # fmt: skip
    answered: defaultdict[str, int] = defaultdict(int)
    with (
        patch.object(inference, "WindowBuilder", Watched),
        patch.object(stream_module, "_INBOX_CAPACITY", capacity),
        Stream(SlowEngine(call_s), LABELS, named, job, batching=Batching(max_batch, 1.0)) as stream,
    ):
        seen: dict[str, tuple[int, ...]] = {}
        try:
            for number, result in enumerate(stream.results(lambda: is_sane(stream, seen))):
                if isinstance(result, Prediction):
                    answered[result.source_id] += 1
                if stop.on(stream, number, "0.0"):
                    break
        except EdgevidError:
            if not len(lanes) == len(lanes[0]) == 1:
                raise
    by_name = {s.source_id: s for lane in sources for s in lane}
    for entry in stream.summary.sources:
        check(entry, by_name[entry.source], job, answered[entry.source], stop.how == "never")


def check(entry, source: ScriptedSource, job: CaptureJob, answered: int, whole: bool) -> None:
    counts = (entry.frames_used, entry.frames_skipped, entry.frames_dropped)
    assert min(counts) >= 0
    assert sum(counts) == entry.frames_read == len(source.given)
    assert entry.frames_used == len(Watched.handed[entry.source])
    assert entry.clips == answered
    if not source.script.live:
        assert entry.frames_dropped == 0
    if whole and not source.script.breaks_at:
        sampler = plan_sampling(job.clip, source.info, job.slide).sampler
        wanted = sum(bool(sampler.pick(frame_time).ticks_s) for frame_time in source.given)
        assert entry.frames_used + entry.frames_dropped == wanted
        fates = (entry.clips, entry.clips_dropped, entry.clips_refused, entry.clips_not_finite)
        # A source that broke off gets no padded window.
        padded = Watched.padded[entry.source] if entry.error is None else 0
        assert sum(fates) == Watched.built[entry.source] + padded
