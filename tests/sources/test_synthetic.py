"""The synthetic source: exact time, the same pixels every time, clear refusals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgevid.errors import SourceError
from edgevid.protocols import FrameSource
from edgevid.sources.moving_shapes import MOTIONS
from edgevid.sources.synthetic import Settings, SyntheticSource, parse_uri
from edgevid.types import Frame


def read_all(source: SyntheticSource) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


def test_the_bare_uri_shows_every_motion() -> None:
    source = SyntheticSource.from_uri("synthetic:")
    assert isinstance(source, FrameSource)
    assert source.info.num_frames == 8 * 60
    assert (source.info.width, source.info.height, source.info.fps) == (320, 240, 30.0)
    assert [s.label for s in source.segments] == list(MOTIONS)
    assert source.segments[-1].end_s == 16.0


def test_the_uri_sets_everything() -> None:
    uri = "synthetic:?motions=left,clockwise&seconds=0.5&fps=30000/1001&size=96x64&seed=7&live=1"
    assert parse_uri(uri) == Settings.model_construct(
        motions=("left", "clockwise"),
        seconds=0.5,
        fps=Fraction(30000, 1001),
        size=(96, 64),
        seed=7,
        live=True,
    )


def test_timestamps_are_exact_and_join_without_gaps() -> None:
    source = SyntheticSource.from_uri("synthetic:?seconds=0.2&fps=30000/1001&size=32x24")
    frames = read_all(source)
    assert len(frames) == 8 * 6 == source.info.num_frames == source.stats.frames_read
    for i, frame in enumerate(frames):
        assert frame.data.shape == (24, 32, 3)
        assert frame.time.index == i
        assert frame.time.pts_s == float(Fraction(1001 * i, 30000))
        assert frame.time.next_pts_s == float(Fraction(1001 * (i + 1), 30000))


def test_the_seed_decides_the_pixels() -> None:
    def pixels(seed: int) -> np.ndarray:
        uri = f"synthetic:?motions=up,grow&seconds=0.2&size=64x48&seed={seed}"
        return np.stack([f.data for f in read_all(SyntheticSource.from_uri(uri))])

    assert np.array_equal(pixels(3), pixels(3))
    assert not np.array_equal(pixels(3), pixels(4))


def test_skipped_frames_do_not_change_the_others() -> None:
    uri = "synthetic:?motions=up,grow&seconds=0.2&size=64x48"
    every = read_all(SyntheticSource.from_uri(uri))
    source = SyntheticSource.from_uri(uri)
    chosen = source.read(lambda time: time.index == 9)
    assert chosen is not None
    assert chosen.time.index == 9
    assert np.array_equal(chosen.data, every[9].data)
    assert source.stats.frames_read == 10


def test_live_frames_are_paced_by_the_clock_and_a_late_reader_does_not_sleep() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    settings = parse_uri("synthetic:?motions=up&seconds=0.5&fps=10&size=16x16&live=1")
    source = SyntheticSource(settings, clock=lambda: now[0], sleep=sleep)
    assert source.info.is_live
    assert source.info.num_frames is None
    source.read()
    source.read()
    assert slept == pytest.approx([0.1])
    now[0] += 0.25
    source.read()
    source.read()
    assert slept == pytest.approx([0.1])
    source.read()
    assert slept == pytest.approx([0.1, 0.05])
    assert source.read() is None


def test_a_file_like_source_never_sleeps() -> None:
    def sleep(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")

    settings = parse_uri("synthetic:?motions=up&seconds=0.5&size=16x16")
    assert len(read_all(SyntheticSource(settings, sleep=sleep))) == 15


def test_a_closed_source_is_at_its_end() -> None:
    source = SyntheticSource.from_uri("synthetic:?size=16x16")
    source.read()
    source.close()
    assert source.read() is None
    assert source.stats.frames_read == 1


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("motions=left,sideways", "motions: no motion 'sideways'"),
        ("motions=", "motions: no motion ''"),
        ("seconds=0", "seconds"),
        ("seconds=nan", "seconds"),
        ("seconds=two", "seconds"),
        ("fps=0", "fps: 0 is not above 0"),
        ("fps=1/0", "fps: '1/0' is no number"),
        ("fps=fast", "fps: 'fast' is no number"),
        ("size=320", "size: '320' is not WIDTHxHEIGHT"),
        ("size=8x8", "size: 8x8: each side"),
        ("size=1x2x3", "size: '1x2x3' is not"),
        ("seed=-1", "seed"),
        ("seed=1.5", "seed"),
        ("live=maybe", "live"),
        ("colour=red", "unknown key 'colour'"),
        ("seed=1&seed=2", "given twice"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, named: str) -> None:
    with pytest.raises(SourceError) as caught:
        SyntheticSource.from_uri(f"synthetic:?{query}")
    assert named in str(caught.value)
    assert "Write it like synthetic:?" in caught.value.hint


@pytest.mark.parametrize("uri", ["synthetic", "synthetic:left", "file.mp4"])
def test_another_uri_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match="no synthetic source"):
        SyntheticSource.from_uri(uri)
