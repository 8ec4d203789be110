"""A replay repeats the decisions of a run, to the last digit."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edgevid.pipeline import CaptureJob, NamedSource, Stream, read_rules, replay
from edgevid.sinks import JsonlSink
from edgevid.spec import ClipSpec, InputSpec
from edgevid.traces import TraceInfo, open_trace_sink, read_trace
from edgevid.types import Event, Prediction

pytestmark = pytest.mark.timeout(30)

LABELS = ("dark", "bright")
EVENTS = ["onset=0.55,offset=0.45,min=0.2s,merge=0.3s", "bright: onset=0.6,offset=0.5"]

_SMOOTHERS = """none mean:4 mean:0.5s logmean:3 ema:0.3 ema:0.4s vote:3 median:5
hysteresis:0.1,for=0.3s hmm:0.9 hmm:2s hmm:0.9,lag=0.4s mean:3+hmm:0.9,lag=2+hysteresis:0.05"""


def _write(results, sinks) -> None:
    for result in results:
        for sink in sinks:
            if isinstance(result, Prediction):
                sink.write(result)
            elif isinstance(result, Event) and hasattr(sink, "write_event"):
                sink.write_event(result)


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
@pytest.mark.parametrize("smooth", _SMOOTHERS.split())
def test_the_same_lines_byte_by_byte(numbered, newest, tmp_path, smooth: str, suffix: str) -> None:
    """Two sources one after the other, one of them with a gap and a hole in time."""
    pts = [i / 10 for i in range(40)] + [i / 10 + 0.25 for i in range(40, 80)]
    pts += [i / 10 + 9 for i in range(80, 120)]
    lane = [
        NamedSource("one", lambda: numbered(pts, name="one")),
        NamedSource("two", lambda: numbered([i / 10 for i in range(200)], name="two")),
    ]
    engine = newest()
    answer = engine.infer

    def infer(feeds):
        outputs = answer(feeds)
        if len(engine.windows) % 29 == 3:
            outputs["scores"][:] = np.nan
        return outputs

    engine.infer = infer
    job = CaptureJob(
        clip=ClipSpec(num_frames=2, fps=10.0),
        inputs=(InputSpec(name="clip", layout="NTHWC", size=(6, 8)),),
    )
    rules = read_rules(smooth, EVENTS, LABELS, False)
    info = TraceInfo(LABELS, smooth=smooth, events=tuple(EVENTS))
    trace_sink = open_trace_sink(tmp_path / f"t.{suffix}", info)
    played, replayed = io.StringIO(), io.StringIO()

    def new_sink(stream: io.StringIO) -> JsonlSink:
        return JsonlSink(stream, LABELS, unix_s=lambda: 0.0)  # the hour differs

    stream = Stream(engine, LABELS, [lane], job, rules.new_smoother, events=rules.event_rules)
    _write(stream.results(), [trace_sink, new_sink(played)])
    trace_sink.close()
    trace = read_trace(tmp_path / f"t.{suffix}")
    _write(replay(trace, rules.new_smoother, rules.event_rules), [new_sink(replayed)])

    assert replayed.getvalue() == played.getvalue()
    assert played.getvalue().count('"closed_by":"gap"') >= 1
    assert played.getvalue().count('"closed_by":"end"') >= 1
    assert sum(s.events for s in stream.summary.sources) == played.getvalue().count('"end","sou')


def test_events_end_where_the_caller_stops(numbered, newest) -> None:
    job = CaptureJob(
        clip=ClipSpec(fps=10.0), inputs=(InputSpec(name="clip", layout="NHWC", size=(6, 8)),)
    )
    lane = [NamedSource("n", lambda: numbered([i / 10 for i in range(100)]))]
    rules = read_rules("none", ["onset=0.5"], LABELS, False)
    stream = Stream(newest(), LABELS, [lane], job, max_clips=5, events=rules.event_rules)
    events = [r for r in stream.results() if isinstance(r, Event)]
    assert [(e.label, e.end_s, e.closed_by) for e in events] == [
        ("dark", None, None),
        ("dark", 0.4, "end"),
    ]
