"""From scores to predictions: memory, gaps, lags, and scores that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.pipeline import CaptureJob, NamedSource, Stream
from edgevid.pipeline.decisions import Continuity, Decider, Scored
from edgevid.smoothing import parse_smoother
from edgevid.spec import ClipSpec, InputSpec

pytestmark = pytest.mark.timeout(30)

LABELS = ("dark", "bright")


def _window(index: int, bright: float, **more) -> Scored:
    scores = np.float32([1 - bright, bright])
    return Scored("cam", index, index / 10, index / 10 + 0.3, scores, **more)


def test_a_restart_empties_the_memory() -> None:
    decider = Decider(LABELS, parse_smoother("mean:4")())
    bright = [1.0, 1.0, 0.0, 0.0]
    [*_, last] = [p for i, b in enumerate(bright) for p in decider.take(_window(i, b))]
    assert last.smoothed.tolist() == [0.5, 0.5]
    [after] = decider.take(_window(4, 0.0, restart=True))
    assert (after.smoothed.tolist(), after.restart) == ([1.0, 0.0], True)


def test_with_a_lag_each_prediction_is_about_its_own_window() -> None:
    decider = Decider(LABELS, parse_smoother("hmm:0.9,lag=0.2s")())
    given = [decider.take(_window(i, 0.9 if i > 2 else 0.1)) for i in range(6)]
    assert [[p.index for p in ps] for ps in given] == [[], [], [0], [1], [2], [3]]
    assert {round(p.lag_s, 6) for ps in given for p in ps} == {0.2}
    assert given[2][0].end_s == pytest.approx(0.3)
    assert given[2][0].raw_label == "dark"
    # At the end what waits is answered with what is there.
    rest = decider.finish()
    assert [(p.index, round(p.lag_s, 6)) for p in rest] == [(4, 0.1), (5, 0.0)]
    assert rest[-1].label == "bright"


def test_what_waits_comes_out_before_a_restart() -> None:
    decider = Decider(LABELS, parse_smoother("hmm:0.9,lag=3")())
    for i in range(3):
        assert decider.take(_window(i, 0.9)) == []
    came = decider.take(_window(3, 0.1, restart=True))
    assert [p.index for p in came] == [0, 1, 2]
    [only] = decider.finish()
    assert only.smoothed.tolist() == pytest.approx([0.9, 0.1])


def test_which_windows_continue() -> None:
    continuity = Continuity(max_hole_s=1.0)
    assert not continuity.is_restart(0.3, gap=False)
    assert not continuity.is_restart(1.3, gap=False)  # as long as a hole may be
    assert continuity.is_restart(2.4, gap=False)  # longer
    assert continuity.is_restart(2.5, gap=True)  # a gap begins
    assert not continuity.is_restart(2.6, gap=True)  # the same one
    assert not continuity.is_restart(2.7, gap=False)
    continuity.broken()
    assert continuity.is_restart(2.8, gap=False)
    assert not continuity.is_restart(2.9, gap=False)


def _job(**clip) -> CaptureJob:
    spec = InputSpec(name="clip", layout="NTHWC", size=(6, 8))
    return CaptureJob(clip=ClipSpec(num_frames=2, fps=10.0, **clip), inputs=(spec,))


def test_a_gap_in_the_source_empties_the_memory(numbered, newest) -> None:
    """Frames 0.25 s late: the windows that hold the hole are marked, the first one restarts."""
    pts = [i / 10 for i in range(10)] + [i / 10 + 0.25 for i in range(10, 20)]
    stream = Stream(
        newest(),
        LABELS,
        [[NamedSource("n", lambda: numbered(pts))]],
        _job(),
        parse_smoother("mean:50"),
    )
    predictions = list(stream)
    restarts = [p for p in predictions if p.restart]
    assert len(restarts) == 1
    assert restarts[0].gap
    np.testing.assert_array_equal(restarts[0].smoothed, restarts[0].scores)
    assert sum(p.gap for p in predictions) >= 2


def test_scores_that_are_no_numbers_are_left_out_and_counted(numbered, newest) -> None:
    engine = newest()
    answer = engine.infer

    def infer(feeds):
        outputs = answer(feeds)
        if len(engine.windows) in (3, 4, 7):
            outputs["scores"][0, 1] = np.nan if len(engine.windows) < 7 else np.inf
        return outputs

    engine.infer = infer
    stream = Stream(
        engine,
        LABELS,
        [[NamedSource("n", lambda: numbered([i / 10 for i in range(20)]))]],
        _job(),
        parse_smoother("mean:3"),
    )
    predictions = list(stream)
    assert [p.index for p in predictions] == [0, 1, 4, 5, *range(7, 19)]
    assert all(np.isfinite(p.smoothed).all() for p in predictions)
    (entry,) = stream.summary.sources
    assert (entry.clips, entry.clips_not_finite) == (16, 3)
    assert stream.summary.to_dict()["clips_not_finite"] == 3


def test_a_stream_with_a_lag_answers_every_window(numbered, newest) -> None:
    frames = [i / 10 for i in range(30)]
    lane = [NamedSource("n", lambda: numbered(frames))]
    stream = Stream(newest(), LABELS, [lane], _job(), parse_smoother("hmm:0.9,lag=0.5s"))
    predictions = list(stream)
    assert [p.index for p in predictions] == list(range(29))
    assert [round(p.lag_s, 6) for p in predictions] == [0.5] * 24 + [0.4, 0.3, 0.2, 0.1, 0.0]
    assert all(p.timings.total_ms > 0 for p in predictions)
