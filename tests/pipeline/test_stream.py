import gc
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from edgevid.errors import EdgevidError, EngineError, SourceError
from edgevid.pipeline import CaptureJob, NamedSource, SourceEnded, SourceStarted, Stream
from edgevid.smoothing import parse_smoother
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Frame, Prediction

pytestmark = pytest.mark.timeout(30)

LABELS = ("dark", "bright")


def job(num_frames=4, hop_s=None, fps=10.0, **more) -> CaptureJob:
    more.setdefault("clip", ClipSpec(num_frames=num_frames, fps=fps, hop_s=hop_s))
    layout = "NTHWC" if more["clip"].num_frames > 1 else "NHWC"
    return CaptureJob(inputs=(InputSpec(name="clip", layout=layout, size=(6, 8)),), **more)


def named(*sources) -> list[NamedSource]:
    return [NamedSource(s.source_id, lambda s=s: s) for s in sources]


def evenly(count, fps=10.0):
    return [i / fps for i in range(count)]


def test_a_file_loses_nothing_and_windows_hold_the_right_frames(numbered, newest):
    engine, source = newest(), numbered(evenly(100))
    stream = Stream(engine, LABELS, [named(source)], job(hop_s=0.2))
    predictions = list(stream)

    assert engine.windows == [[s, s + 1, s + 2, s + 3] for s in range(0, 97, 2)]
    assert [p.index for p in predictions] == list(range(49))
    assert [p.start_s for p in predictions] == pytest.approx([s / 10 for s in range(0, 97, 2)])
    assert predictions[0].end_s == pytest.approx(0.3)
    assert predictions[0].scores == pytest.approx([1 - 3 / 255, 3 / 255])
    assert engine.closed
    assert source.closed


def test_skipped_frames_are_never_converted(numbered, newest):
    source = numbered(evenly(120, 30.0), fps=30.0)
    spec = ClipSpec(num_frames=2, frame_interval=4, fps=30.0)
    stream = Stream(newest(), LABELS, [named(source)], job(clip=spec))
    assert len(list(stream)) == 29
    assert source.converted == 30
    (entry,) = stream.summary.sources
    assert (entry.frames_read, entry.frames_used, entry.frames_skipped) == (120, 30, 90)


@pytest.mark.parametrize("claims", [40, 55, 7, 0])
def test_one_window_a_file_whatever_its_header_claims(numbered, newest, claims):
    engine = newest()
    opened = []

    def open_source():
        opened.append(numbered(evenly(41), claims=claims))
        return opened[-1]

    spec = ClipSpec(num_frames=5, sampling="uniform")
    stream = Stream(engine, LABELS, [[NamedSource("n", open_source)]], job(clip=spec))
    assert len(list(stream)) == 1
    # 41 frames decode: every 8th.
    assert engine.windows == [[0, 8, 16, 24, 32]]
    assert all(s.closed for s in opened)


def test_a_file_shorter_than_a_window_repeats_its_last_frame_and_says_so(numbered, newest):
    for spec in (ClipSpec(num_frames=6, fps=10.0), ClipSpec(num_frames=6, sampling="uniform")):
        engine = newest()
        stream = Stream(engine, LABELS, [named(numbered(evenly(4)))], job(clip=spec))
        (prediction,) = list(stream)
        assert engine.windows == [[0, 1, 2, 3, 3, 3]]
        assert prediction.padded == 2
        assert "repeated" in " ".join(stream.summary.sources[0].notes)


def test_smoothing_reports_both_labels(numbered, newest):
    values = numbered(evenly(256))
    stream = Stream(newest(), LABELS, [named(values)], job(num_frames=1), parse_smoother("mean:40"))
    predictions = list(stream)
    crossing = [p for p in predictions if p.label != p.raw_label]
    # The raw label turns at 127.5; the mean over 40 windows 20 windows later (a tie stays dark).
    assert [round(p.end_s * 10) for p in crossing] == list(range(128, 148))
    assert {(p.label, p.raw_label) for p in crossing} == {("dark", "bright")}
    assert predictions[-1].smoothed[1] == pytest.approx(np.mean(np.arange(216, 256)) / 255)


def test_sources_of_a_lane_play_in_turn_and_start_afresh(numbered, newest):
    engine = newest()
    sources = [numbered(evenly(5), name="one"), numbered(evenly(6), name="two")]
    stream = Stream(engine, LABELS, [named(*sources)], job())
    predictions = list(stream)
    assert [(p.source_id, p.index) for p in predictions] == [
        ("one", 0), ("one", 1), ("two", 0), ("two", 1), ("two", 2),
    ]  # fmt: skip
    assert engine.windows[2] == [0, 1, 2, 3]


def test_lanes_do_not_mix(numbered, newest):
    engine = newest()
    lanes = [named(numbered(evenly(n), name=f"lane {n}")) for n in (20, 30, 40)]
    stream = Stream(engine, LABELS, lanes, job())
    predictions = list(stream)
    for n in (20, 30, 40):
        own = [p for p in predictions if p.source_id == f"lane {n}"]
        assert [p.index for p in own] == list(range(n - 3))
        assert [round(p.end_s * 10) for p in own] == list(range(3, n))


def test_a_broken_frame_ends_the_run_with_its_error_after_what_came_before(numbered, newest):
    stream = Stream(newest(), LABELS, [named(numbered(evenly(50), fail_at=20))], job())
    assert [next(stream).index for _ in range(17)] == list(range(17))
    with pytest.raises(SourceError, match="frame 20 is broken"):
        next(stream)
    assert stream.summary.sources[0].error == "frame 20 is broken"


def test_in_a_playlist_a_broken_source_is_reported_and_the_next_one_plays(numbered, newest):
    def refuse():
        raise SourceError("gone.mp4 is not there")

    sources = [
        NamedSource("gone.mp4", refuse),
        *named(numbered(evenly(20), fail_at=10, name="b"), numbered(evenly(8), name="c")),
    ]
    stream = Stream(newest(), LABELS, [sources], job())
    results = list(stream.results())
    ends = {r.source_id: r.error for r in results if isinstance(r, SourceEnded)}
    assert str(ends["gone.mp4"]) == "gone.mp4 is not there"
    assert str(ends["b"]) == "frame 10 is broken"
    assert ends["c"] is None
    assert sum(isinstance(r, Prediction) and r.source_id == "c" for r in results) == 5


def test_an_engine_failure_reaches_the_caller_and_closes_everything(numbered, newest):
    def fail(call):
        if call == 3:
            raise EngineError("the device is gone")

    engine, source = newest(on_call=fail), numbered(evenly(1000))
    with pytest.raises(EngineError, match="the device is gone"):
        list(Stream(engine, LABELS, [named(source)], job()))
    assert engine.closed
    assert source.closed
    assert not [t for t in threading.enumerate() if t.name.startswith("edgevid-")]


def test_labels_that_do_not_match_are_refused(numbered, newest):
    stream = Stream(newest(), ("one", "two", "three"), [named(numbered(evenly(9)))], job())
    with pytest.raises(EdgevidError, match=r"shape \(2,\).*3 labels"):
        list(stream)


def test_stopping_early_ends_every_thread_and_still_counts(numbered, newest):
    engine, source = newest(), numbered(evenly(100_000))
    stream = Stream(engine, LABELS, [named(source)], job(), max_clips=5)
    assert len(list(stream)) == 5
    assert not [t for t in threading.enumerate() if t.name.startswith("edgevid-")]
    (entry,) = stream.summary.sources
    assert 8 <= entry.frames_read < 1000
    assert entry.frames_read == entry.frames_used + entry.frames_skipped + entry.frames_dropped


def test_a_stream_that_is_dropped_half_way_closes_itself(numbered, newest):
    engine = newest()
    next(Stream(engine, LABELS, [named(numbered(evenly(100_000)))], job()))
    gc.collect()
    assert engine.closed
    assert not [t for t in threading.enumerate() if t.name.startswith("edgevid-")]


def test_duration_stops_at_the_source_own_time(numbered, newest):
    stream = Stream(newest(), LABELS, [named(numbered(evenly(100)))], job(duration_s=2.0))
    assert [p.end_s for p in stream][-1] == pytest.approx(1.9)


def test_a_live_source_that_is_too_fast_is_thinned_and_every_frame_accounted_for(numbered, newest):
    # The engine starts on frames 0 to 3 and comes back when all 400 have passed.
    started, passed = threading.Event(), threading.Event()

    def hold(_):
        started.set()
        assert passed.wait(10)

    def pace(index):
        if index == 4:
            assert started.wait(10)
        if index == 399:
            passed.set()

    engine = newest(on_call=hold)
    source = numbered(evenly(400), live=True, on_read=pace)
    stream = Stream(engine, LABELS, [named(source)], job(hop_s=0.1))
    predictions = list(stream)

    (entry,) = stream.summary.sources
    # Of the 396 frames that came meanwhile the queue held 64; one may have slipped in between.
    assert 330 <= entry.frames_dropped <= 333
    assert entry.frames_read == entry.frames_used + entry.frames_skipped + entry.frames_dropped
    # Of the backlog only the newest window is answered: the label is not late.
    assert [p.end_s for p in predictions][0 :: len(predictions) - 1] == pytest.approx([0.3, 39.9])
    assert len(predictions) <= 4
    assert entry.clips == len(predictions)
    assert entry.clips_dropped >= 55


def test_frames_are_passed_on_in_order_with_the_predictions(numbered, newest):
    stream = Stream(newest(), LABELS, [named(numbered(evenly(10)))], job(want_frames=True))
    results = list(stream.results())
    assert isinstance(results[0], SourceStarted)
    assert isinstance(results[-1], SourceEnded)
    shown = [r.time.index for r in results if isinstance(r, Frame)]
    assert shown == list(range(10))
    first = next(i for i, r in enumerate(results) if isinstance(r, Prediction))
    assert sum(isinstance(r, Frame) for r in results[:first]) == 4


def test_a_jump_in_time_starts_window_and_smoother_anew(numbered, newest):
    pts = [*evenly(10), *(100 + t for t in evenly(10))]
    engine = newest()
    stream = Stream(engine, LABELS, [named(numbered(pts))], job(), parse_smoother("mean:50"))
    predictions = list(stream)
    assert [3 <= w[-1] <= 9 or w[0] >= 10 for w in engine.windows] == [True] * 14
    after = next(p for p in predictions if p.start_s >= 100)
    assert after.smoothed == pytest.approx(after.scores)


def test_timings_add_up(numbered, newest):
    stream = Stream(
        newest(on_call=lambda _: time.sleep(0.01)), LABELS, [named(numbered(evenly(8)))], job()
    )
    for p in stream:
        t = p.timings
        assert t.infer_ms >= 9.5
        assert min(t.capture_ms, t.preprocess_ms, t.queue_ms, t.post_ms) >= 0
        assert t.total_ms >= t.infer_ms
    stages = stream.summary.to_dict()["stages_ms"]
    assert stages["infer"]["p50"] >= 9.5
    assert stages["infer"]["p50"] <= stages["infer"]["p99"] <= stages["infer"]["max"]


def test_latency_counts_from_the_capture_where_the_camera_tells_it(numbered, newest):
    class Stamped:
        """Frames that were taken half a second before they came."""

        def __init__(self, source):
            self._source = source
            self.source_id, self.info, self.close = "cam", source.info, source.close

        @property
        def stats(self):
            return self._source.stats

        def read(self, want):
            now = time.monotonic_ns()
            frame = self._source.read(
                lambda t: want(replace(t, received_ns=now, taken_ns=now - 500_000_000))
            )
            return frame and replace(
                frame, time=replace(frame.time, received_ns=now, taken_ns=now - 500_000_000)
            )

    plain = Stream(newest(), LABELS, [named(numbered(evenly(6)))], job(num_frames=1))
    assert {p.latency_from for p in plain} == {"arrival"}
    stamped = Stream(newest(), LABELS, [named(Stamped(numbered(evenly(6))))], job(num_frames=1))
    for prediction in stamped:
        assert prediction.latency_from == "capture"
        spent = prediction.timings
        parts_ms = spent.preprocess_ms + spent.queue_ms + spent.infer_ms + spent.post_ms
        assert spent.total_ms >= 500
        assert spent.total_ms == pytest.approx(500 + parts_ms, abs=1)
