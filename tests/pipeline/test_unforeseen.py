"""What nobody foresaw, in the thread of one source."""

import json
import time

import pytest

from edgevid.errors import SourceError
from edgevid.pipeline import CaptureJob, NamedSource, SourceEnded, Stream
from edgevid.spec import ClipSpec, InputSpec
from edgevid.telemetry.facts import FactLog
from edgevid.types import Prediction

pytestmark = pytest.mark.timeout(30)

JOB = CaptureJob(
    ClipSpec(num_frames=4, fps=10.0), (InputSpec(name="clip", layout="NTHWC", size=(6, 8)),)
)


def play(numbered, newest, *lanes):
    """A stream of these, and of a camera that never ends."""
    camera = numbered(
        [i / 10 for i in range(6000)], name="camera", live=True,
        on_read=lambda _: time.sleep(0.005),
    )  # fmt: skip
    lanes = [*lanes, [NamedSource("camera", lambda: camera)]]
    return Stream(newest(), ("dark", "bright"), lanes, JOB)


def breaking(numbered, at):
    """A source that divides by zero at frame `at`."""

    def on_read(i):
        if i == at:
            raise ZeroDivisionError("nothing there")

    source = numbered([i / 10 for i in range(100)], name="broken", on_read=on_read)
    return NamedSource("broken", lambda: source), source


def test_a_fault_ends_its_source_at_once_and_no_other(numbered, newest, tmp_path):
    broken, source = breaking(numbered, at=20)
    stream = play(numbered, newest, [broken])
    log = FactLog(tmp_path / "facts.jsonl")
    after = 0
    for result in stream.results():
        log.note(result)
        ended = isinstance(result, SourceEnded) and result.source_id == "broken"
        if ended:
            assert "ZeroDivisionError: nothing there" in str(result.error)
            assert isinstance(result.fault, ZeroDivisionError)
        # The camera is answered on, long after.
        after += isinstance(result, Prediction) and source.closed
        if after == 20:
            stream.stop()
    log.close()
    entry, camera = sorted(stream.summary.sources, key=lambda one: one.source)
    assert (entry.source, entry.frames_read) == ("broken", 20)
    assert "played no more" in entry.error
    assert camera.error is None
    facts = [json.loads(line) for line in (tmp_path / "facts.jsonl").read_text().splitlines()]
    (told,) = [f for f in facts if f["level"] == "error"]
    assert told["source"] == "broken"
    assert "in on_read" in told["traceback"]


def test_the_next_video_of_the_folder_is_played(numbered, newest):
    broken, _ = breaking(numbered, at=5)
    whole = numbered([i / 10 for i in range(40)], name="whole")
    lane = [broken, NamedSource("whole", lambda: whole)]
    stream = Stream(newest(), ("dark", "bright"), [lane], JOB)
    assert len([p for p in stream if p.source_id == "whole"]) > 0
    assert [entry.frames_read for entry in stream.summary.sources] == [5, 40]


def test_where_it_is_the_only_source_the_fault_is_raised(numbered, newest):
    broken, source = breaking(numbered, at=20)
    with pytest.raises(ZeroDivisionError, match="nothing there"):
        list(Stream(newest(), ("dark", "bright"), [[broken]], JOB))
    assert source.closed


def test_only_a_camera_that_was_wanted_is_missed(numbered, newest):
    def refuse():
        raise SourceError("not there")

    camera = NamedSource("camera 2", refuse)
    file = NamedSource("file", refuse, can_return=False)
    stream = play(numbered, newest, [camera], [file])
    missed = {}
    for result in stream.results():
        if isinstance(result, SourceEnded):
            missed[result.source_id] = result.missed
        if len(missed) == 2:
            stream.stop()
    assert missed == {"camera 2": True, "file": False, "camera": False}


def test_a_fault_in_opening_is_one_too(numbered, newest):
    def refuse():
        raise ValueError("no such format")

    stream = play(numbered, newest, [NamedSource("odd", refuse)])
    for number, _ in enumerate(stream):
        if number == 10:
            stream.stop()
    odd = next(entry for entry in stream.summary.sources if entry.source == "odd")
    assert "ValueError: no such format" in odd.error
