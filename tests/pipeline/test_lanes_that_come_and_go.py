import os
import sys
import threading
import time

import pytest

from edgevid.errors import SourceError
from edgevid.pipeline import CaptureJob, NamedSource, SourceEnded, Stream
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Prediction

pytestmark = pytest.mark.timeout(30)

LABELS = ("dark", "bright")


def job(**more) -> CaptureJob:
    clip = ClipSpec(num_frames=4, fps=10.0)
    return CaptureJob(clip, (InputSpec(name="clip", layout="NTHWC", size=(6, 8)),), **more)


def endless(numbered, name, **more):
    """A live source that gives a frame every 5 ms, for half a minute."""
    pts = [i / 10 for i in range(6000)]
    source = numbered(pts, name=name, live=True, on_read=lambda _: time.sleep(0.005), **more)
    return NamedSource(name, lambda: source)


def lane(numbered, count, name, **more):
    source = numbered([i / 10 for i in range(count)], name=name, **more)
    return [NamedSource(name, lambda: source)]


def test_a_lane_joins_while_others_play_and_one_leaves(numbered, newest):
    stream = Stream(newest(), LABELS, [[endless(numbered, "first")]], job())
    seen: dict[str, int] = {}
    ended = []
    for result in stream.results():
        if isinstance(result, SourceEnded):
            ended.append(result.source_id)
        if not isinstance(result, Prediction):
            continue
        seen[result.source_id] = seen.get(result.source_id, 0) + 1
        if seen == {"first": 10}:
            stream.add_lane([endless(numbered, "second")])
        if seen.get("second") == 10 and not ended:
            stream.stop_source("first")
        if seen.get("second", 0) >= 40 and ended == ["first"]:
            stream.stop()
    assert ended == ["first", "second"]
    assert seen["first"] >= 10
    for entry in stream.summary.sources:
        assert entry.frames_read == (
            entry.frames_used + entry.frames_skipped + entry.frames_dropped
        )


def test_a_source_takes_the_place_of_one_that_hangs_under_the_same_name(numbered, newest):
    back, opened = threading.Event(), []

    def hang(number):
        time.sleep(0.005)
        if number == 20:
            back.wait(20)

    pts = [i / 10 for i in range(6000)]
    hanging = numbered(pts, name="door", live=True, on_read=hang)
    fresh = endless(numbered, "door")
    reopen = fresh.reopen

    def open_fresh():
        opened.append(hanging.closed)
        return reopen()

    fresh.reopen = open_fresh
    lanes = [[NamedSource("door", lambda: hanging)], [endless(numbered, "other")]]
    stream = Stream(newest(), LABELS, lanes, job())
    order, counts, swapped = [], [], 0
    for result in stream.results():
        counts.append({p.name: p.frames_read for p in stream.progress()}.get("door", 0))
        if result.source_id == "door":
            order.append(type(result).__name__)
        if not swapped and counts[-1] == 20:
            stream.stop_source("door")
            stream.add_lane([fresh])
            swapped = len(counts)
        if swapped and len(counts) == swapped + 20:
            back.set()
        if order.count("Prediction") >= 40:
            stream.stop()
    ends = [i for i, name in enumerate(order) if name == "SourceEnded"]
    # The device is free, and its end is told, before the other begins.
    assert opened == [True]
    assert order[ends[0] + 1] == "SourceStarted"
    assert len(ends) == 2
    assert counts == sorted(counts)
    first, second = [entry for entry in stream.summary.sources if entry.source == "door"]
    assert (first.frames_read, first.error, second.error) == (21, None, None)
    assert second.clips > 20
    assert counts[-1] == first.frames_read + second.frames_read


def test_what_ended_by_an_error_has_failed_until_something_takes_its_place(numbered, newest):
    broken = lane(numbered, 50, "file", fail_at=20)
    stream = Stream(newest(), LABELS, [broken, [endless(numbered, "other")]], job())
    found = [stream.has_failed("file")]
    for result in stream.results():
        if isinstance(result, SourceEnded) and result.error is not None:
            found += [stream.has_failed("file"), stream.has_failed("other")]
            stream.add_lane(lane(numbered, 50, "file"))
            found.append(stream.has_failed("file"))
        elif isinstance(result, SourceEnded) and result.source_id == "file":
            found.append(stream.has_failed("file"))
            stream.stop()
    assert found == [False, True, False, False, False]
    assert [e.frames_read for e in stream.summary.sources if e.source == "file"] == [20, 50]


def test_a_name_that_plays_is_not_given_twice(numbered, newest):
    with Stream(newest(), LABELS, [[endless(numbered, "door")]], job()) as stream:
        next(stream)
        with pytest.raises(SourceError, match="'door' plays already"):
            stream.add_lane([endless(numbered, "door")])
        assert stream.num_sources == 1


def test_stopping_answers_what_was_read_and_ends(numbered, newest):
    engine = newest()
    stream = Stream(engine, LABELS, [lane(numbered, 100_000, "long")], job())
    count = 0
    for result in stream.results():
        if isinstance(result, Prediction):
            count += 1
            if count == 20:
                stream.stop()
    (entry,) = stream.summary.sources
    assert entry.frames_used + entry.frames_skipped == entry.frames_read < 100_000
    assert entry.frames_skipped <= 1
    assert count == entry.frames_used - 3 > 20
    assert engine.closed


def test_the_loss_of_one_source_does_not_end_the_others(numbered, newest):
    lanes = [lane(numbered, 50, "breaks", fail_at=20), lane(numbered, 60, "whole")]
    stream = Stream(newest(), LABELS, lanes, job())
    predictions = list(stream)
    assert sum(p.source_id == "whole" for p in predictions) == 57
    errors = {s.source: s.error for s in stream.summary.sources}
    assert errors == {"breaks": "frame 20 is broken", "whole": None}


def test_a_source_that_is_all_there_is_ends_the_run_with_its_error(numbered, newest):
    with pytest.raises(SourceError, match="frame 20 is broken"):
        list(Stream(newest(), LABELS, [lane(numbered, 50, "breaks", fail_at=20)], job()))


def test_meanwhile_is_called_though_nothing_comes(numbered, newest):
    quiet = threading.Event()
    calls = []

    def meanwhile():
        calls.append(time.monotonic())
        if len(calls) == 3:
            quiet.set()

    lanes = [lane(numbered, 5, "late", on_read=lambda i: i != 4 or quiet.wait(20))]
    stream = Stream(newest(), LABELS, lanes, job())
    assert sum(isinstance(r, Prediction) for r in stream.results(meanwhile)) == 2
    assert len(calls) >= 3


def test_a_source_that_hangs_holds_up_no_end_and_is_counted(numbered, newest):
    back = threading.Event()

    def hang(number):
        if number == 20:
            back.wait(20)

    lanes = [lane(numbered, 100, "hangs", live=True, on_read=hang), lane(numbered, 30, "whole")]
    stream = Stream(newest(), LABELS, lanes, job())
    assert any(isinstance(result, SourceEnded) for result in stream.results())
    while {p.name: p.frames_read for p in stream.progress()}["hangs"] < 20:
        time.sleep(0.01)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 3
    entries = {s.source: s for s in stream.summary.sources}
    hung = entries["hangs"]
    assert hung.frames_read == hung.frames_used + hung.frames_skipped + hung.frames_dropped == 20
    back.set()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
@pytest.mark.parametrize(
    ("lanes", "live", "steps"), [(1, True, 0), (2, True, 0), (8, True, 6), (8, False, 0)]
)
def test_many_live_sources_give_way_to_the_engine(
    numbered, newest, monkeypatch, lanes, live, steps
):
    monkeypatch.setattr("edgevid.pipeline.capture.default_threads", lambda: 1)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    found = set()

    def look(_):
        found.add(os.getpriority(os.PRIO_PROCESS, 0) - before)

    pts = [i / 10 for i in range(20)]

    def lane_of_two(number):
        sources = [numbered(pts, name=f"{number}{n}", live=live, on_read=look) for n in "ab"]
        return [NamedSource(s.source_id, lambda s=s: s) for s in sources]

    named = [lane_of_two(number) for number in range(lanes)]
    stream = Stream(newest(), LABELS, named, job())
    list(stream)
    assert found == {steps}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
