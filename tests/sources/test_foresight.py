"""Pictures that nobody asks for are left out; everything else stays as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_media import copy_from, make_video, spoil, truncate

from edgevid.clips.sampling import (
    FrameIndexSampler,
    IntervalSampler,
    NthFrameSampler,
    PairSampler,
    Sampler,
)
from edgevid.sources import open_source
from edgevid.sources.foresight import Foresight
from edgevid.sources.h264 import is_reference, prefix_size
from edgevid.sources.timestamps import Timeline
from edgevid.types import SourceStats

SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "every 4th": lambda: NthFrameSampler(4),
    "5 a second": lambda: IntervalSampler(0.2, 0.04, 1.6),
    "given ones": lambda: FrameIndexSampler([3, 50, 51, 118]),
    "pairs": lambda: PairSampler(NthFrameSampler(8), 1),
}


@dataclass
class Reading:
    """What came of a video."""

    frames: list[tuple[Any, str]]
    stats: SourceStats
    decoded: int


def read(path: Path, sampler: Sampler, threads: int = 2, foresee: bool = True) -> Reading:
    decoded = 0
    source: Any = open_source(path, threads=threads)
    if foresee:
        ahead = deepcopy(sampler)
        source.foresee(lambda time: ahead.pick(time).taken)
    sound = source._decoder._only_sound

    def count(pictures):
        nonlocal decoded
        decoded += sum(hasattr(picture, "planes") for picture in pictures)
        return sound(pictures)

    source._decoder._only_sound = count
    frames = []
    while (frame := source.read(lambda time: sampler.pick(time).taken)) is not None:
        stamp = (frame.time.index, frame.time.pts_s, frame.time.next_pts_s)
        frames.append((stamp, hashlib.sha256(frame.data.tobytes()).hexdigest()))
    source.close()
    return Reading(frames, source.stats, decoded)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_frames_are_the_same_to_the_bit_and_a_fifth_is_not_decoded(tmp_path, sampler, threads):
    path = make_video(tmp_path / "a.mp4", frames=200, bf="3", b_strategy="0")
    whole = read(path, SAMPLERS[sampler](), threads, foresee=False)
    found = read(path, SAMPLERS[sampler](), threads)
    assert found.frames == whole.frames
    assert found.stats == whole.stats
    assert found.stats.frames_read == 200
    assert whole.decoded - found.decoded > 40


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.flv"])
def test_whatever_the_container_and_the_order_of_pictures(tmp_path, name):
    for number, options in enumerate(({"bf": "0"}, {"bf": "2", "g": "12"}, {"bf": "5"})):
        path = make_video(tmp_path / f"{number}{name}", frames=120, **options)
        for sampler in SAMPLERS.values():
            assert read(path, sampler()).frames == read(path, sampler(), foresee=False).frames


def test_uneven_times_and_an_edit_list(tmp_path):
    pts = [i + i // 7 * 3 for i in range(150)]
    uneven = make_video(tmp_path / "uneven.mp4", frames=150, pts=pts, bf="3")
    whole = make_video(tmp_path / "whole.mp4", frames=150, bf="3", g="50")
    for path in (uneven, copy_from(whole, tmp_path / "cut.mp4", 30)):
        for sampler in SAMPLERS.values():
            found, expected = read(path, sampler()), read(path, sampler(), foresee=False)
            assert (found.frames, found.stats) == (expected.frames, expected.stats)


@pytest.mark.parametrize("threads", [1, 4])
def test_damage_ends_it_and_every_frame_is_accounted_for(tmp_path, threads):
    path = make_video(tmp_path / "a.mp4", frames=200, bf="2", g="50", sc_threshold="0")
    # Of a picture that others are predicted from.
    spoiled = spoil(path, 106)
    found = read(spoiled, NthFrameSampler(4), threads)
    expected = read(spoiled, NthFrameSampler(4), threads, foresee=False)
    assert found.stats.frames_lost > 0
    total = expected.stats.frames_read + expected.stats.frames_lost
    assert found.stats.frames_read + found.stats.frames_lost == total
    before = [f for f in expected.frames if f[0][0] < 100]
    assert found.frames[: len(before)] == before
    # From the next key frame on everything is as good as ever, whatever its number is now.
    after = {digest for stamp, digest in expected.frames if stamp[1] > 6.2}
    shown = {digest for stamp, digest in found.frames if stamp[1] > 6.2}
    assert abs(len(after) - len(shown)) <= 1


def test_a_file_that_is_cut_off_ends_where_it_did(tmp_path):
    path = make_video(tmp_path / "a.mkv", frames=150, bf="3")
    short = truncate(path, 100)
    found = read(short, NthFrameSampler(4))
    assert found.frames == read(short, NthFrameSampler(4), foresee=False).frames


@dataclass
class Coded:
    """A packet of a made-up stream."""

    pts: int
    dts: int
    reference: bool
    size: int = 1
    duration: int = 1
    is_discard: bool = False

    def __bytes__(self) -> bytes:
        return b"\0\0\1" + bytes([(0x60 if self.reference else 0) | 1])


@st.composite
def streams(draw) -> list[Coded]:
    """Groups of pictures that wait for one shown after them, as encoders order them."""
    packets: list[Coded] = []
    first = 0
    for _ in range(draw(st.integers(20, 40))):
        between = draw(st.integers(0, 4))
        order = [first + between, *draw(st.permutations(range(first, first + between)))]
        for number, shown in enumerate(order):
            reference = number == 0 or draw(st.booleans())
            packets.append(Coded(shown + 5, len(packets), reference))
        first += between + 1
    return packets


@given(streams(), st.integers(1, 9), st.integers(0, 3))
def test_every_picture_is_shown_in_its_place_and_those_asked_for_are_decoded(packets, every, held):
    """A decoder shows what it decoded in order, some pictures late."""
    foresight = Foresight(None, 0.04, Timeline(25.0))
    asked: list[int] = []

    def want(time):
        asked.append(time.index)
        return time.index % every == 0

    foresight.foresee(want)
    waiting: list[Coded] = []
    shown: list[tuple[int, bool]] = []

    def show(picture: Coded) -> None:
        shown.extend((unseen.pts, False) for unseen in foresight.shown_before(picture.pts))
        shown.append((picture.pts, True))

    for packet in [*packets, Coded(0, 0, False, size=0)]:
        foresight.push(packet)
        for ready, needed in foresight.ready():
            assert needed or not ready.reference
            if needed and ready.size:
                waiting.append(ready)
                waiting.sort(key=lambda one: one.pts)
            # A picture is shown once nothing that is decoded later can come before it.
            while len(waiting) > 5 + held:
                show(waiting.pop(0))
    for picture in waiting:
        show(picture)
    shown.extend((unseen.pts, False) for unseen in foresight.rest())
    assert [pts - 5 for pts, _ in shown] == list(range(len(packets)))
    assert all(decoded for pts, decoded in shown if (pts - 5) % every == 0)
    assert asked == list(range(len(packets) - 1))
    assert foresight.trusted


def test_stamps_that_run_backwards_end_it():
    foresight = Foresight(None, 0.04, Timeline(25.0))
    foresight.foresee(lambda _: False)
    ready = []
    for number in range(100):
        dts = number if number < 60 else number - 30
        foresight.push(Coded(dts, dts, False))
        for packet, needed in foresight.ready():
            ready.append(needed)
            if needed:
                foresight.shown_before(packet.pts)
    assert not foresight.trusted
    assert ready[:32] == [True] * 32
    assert False in ready[32:59]
    assert ready[60:] == [True] * 40


@pytest.mark.parametrize(
    ("packet", "extradata", "expected"),
    [
        (b"\0\0\0\1\x09\x10\0\0\1\x41\x9a", None, True),
        (b"\0\0\0\1\x09\x10\0\0\1\x01\x9a", b"\0\0\0\1\x67", False),
        (b"\0\0\0\2\x06\x05\0\0\0\2\x01\x9a", b"\1\x64\0\x1f\xff", False),
        (b"\0\2\x06\x05\0\2\x65\x9a", b"\1\x64\0\x1f\xfd", True),
        (b"\0\0\0\2\x06\x05", b"\1\x64\0\x1f\xff", True),
        (b"\0\0\0\0\0\0\0", b"\1\x64\0\x1f\xff", True),
        (b"", None, True),
        (b"\0\0\1", None, True),
    ],
)
def test_a_packet_says_whether_others_need_its_picture(packet, extradata, expected):
    assert is_reference(packet, prefix_size(extradata)) is expected


@given(st.binary(max_size=60), st.integers(0, 4))
def test_no_bytes_confuse_it(packet, prefix):
    assert is_reference(packet, prefix) in (True, False)
