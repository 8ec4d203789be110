from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.sources.timestamps import Timeline

STAMPS = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.04, 0.08])), max_size=60
)


def place_all(timeline: Timeline, stamps: list[float | None]) -> list[float]:
    return [timeline.place(stamp) for stamp in stamps]


@given(STAMPS)
def test_times_start_at_zero_and_strictly_increase(stamps: list[float | None]) -> None:
    times = place_all(Timeline(25.0), stamps)
    assert times[:1] == [0.0] * len(times[:1])
    assert all(later > earlier for earlier, later in pairwise(times))


@given(st.floats(0, 1e4), st.lists(st.floats(1e-3, 10), max_size=40))
def test_good_stamps_are_kept_exactly(start: float, gaps: list[float]) -> None:
    stamps: list[float | None] = [start]
    for gap in gaps:
        assert stamps[-1] is not None
        stamps.append(stamps[-1] + gap)
    timeline = Timeline(25.0)
    assert place_all(timeline, stamps) == [s - start for s in stamps if s is not None]
    assert timeline.repaired == 0


@given(st.integers(2, 40), st.data())
def test_one_bad_stamp_moves_no_other_frame(count: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, count - 1))
    good = [float(i) for i in range(count)]
    bad: list[float | None] = list(good)
    bad[position] = data.draw(st.sampled_from([None, good[position - 1]]))
    timeline = Timeline(1.0)
    times = place_all(timeline, bad)
    assert timeline.repaired == 1
    assert [t for i, t in enumerate(times) if i != position] == [
        t for i, t in enumerate(good) if i != position
    ]
    assert good[position - 1] < times[position] <= good[position]


def test_swapped_neighbours_are_put_in_order() -> None:
    timeline = Timeline(1.0)
    assert place_all(timeline, [1, 2, 4, 3, 5, 7, 6, 8]) == [0, 1, 3, 3.5, 4, 6, 6.5, 7]
    assert timeline.repaired == 2


def test_a_clock_that_starts_anew_goes_on_after_the_last_frame() -> None:
    timeline = Timeline(10.0)
    assert place_all(timeline, [50.0, 50.1, 0.0, 0.1, 0.3]) == pytest.approx(
        [0.0, 0.1, 0.2, 0.3, 0.5]
    )
    assert timeline.repaired == 1


def test_a_missing_first_stamp_does_not_shift_the_others() -> None:
    timeline = Timeline(25.0)
    assert place_all(timeline, [None, 100.04, 100.08]) == pytest.approx([0.0, 0.04, 0.08])
    assert timeline.repaired == 1


def test_by_dts_ignores_the_presentation_stamps_but_counts_their_faults() -> None:
    timeline = Timeline(1.0, by_dts=True)
    pts = [1.0, 2.0, 4.0, 3.0, 5.0, 7.0]
    dts = [1.0, 2.0, 3.0, 4.0, 5.0, None]
    times = [timeline.place(p, d) for p, d in zip(pts, dts, strict=True)]
    assert times == [0, 1, 2, 3, 4, 5]
    assert timeline.repaired == 1


def test_the_decoding_stamp_stands_in_for_a_missing_one() -> None:
    timeline = Timeline(25.0)
    assert [timeline.place(3.0, 3.0), timeline.place(None, 3.5)] == [0.0, 0.5]
    assert timeline.repaired == 0
