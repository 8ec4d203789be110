"""A part of a video reads as a file of its own."""

from __future__ import annotations

import math

from edgevid.sources import open_source
from edgevid.sources.part import Part

URI = "synthetic:?motions=left&seconds=2&fps=10"


def times(part):
    found = []
    while (frame := part.read()) is not None:
        found.append((frame.time.index, round(frame.time.pts_s, 3)))
    part.close()
    return found


def test_frames_from_the_start_to_before_the_end_with_indices_of_their_own():
    part = Part(open_source(URI), 0.5, 0.9)
    assert times(part) == [(0, 0.5), (1, 0.6), (2, 0.7), (3, 0.8)]
    assert part.read() is None
    assert part.stats.frames_read == 4


def test_a_part_without_ends_is_the_whole():
    part = Part(open_source(URI))
    assert part.info.num_frames == 20
    assert len(times(part)) == 20
    later = Part(open_source(URI), 1.0, math.inf)
    assert later.info.num_frames is None
    assert len(times(later)) == 10


def test_what_is_wanted_is_asked_about_the_part_only():
    asked = []
    part = Part(open_source(URI), 1.0, 1.5)

    def want(time):
        asked.append(time.index)
        return time.index == 2

    frame = part.read(want)
    assert asked == [0, 1, 2]
    assert round(frame.time.pts_s, 3) == 1.2
    assert part.read(want) is None
    part.close()


def test_a_part_beyond_the_end_is_empty():
    assert times(Part(open_source(URI), 5.0, 6.0)) == []
