from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from source_media import index_of, make_video, read_indices, read_times

from edgevid.errors import SourceError
from edgevid.protocols import FrameSource
from edgevid.sources import open_source


def test_every_frame_in_order_at_its_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=30, fps=25)
    source = open_source(path)
    assert isinstance(source, FrameSource)
    assert source.source_id == str(path)
    info = source.info
    assert (info.width, info.height, info.fps, info.num_frames) == (160, 120, 25.0, 30)
    assert not info.is_live
    assert "h264" in info.description
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert [index_of(f.data) for f in frames] == list(range(30))
    assert [f.time.index for f in frames] == list(range(30))
    assert [f.time.pts_s for f in frames] == pytest.approx([i / 25 for i in range(30)])
    assert frames[-1].time.next_pts_s == pytest.approx(30 / 25)
    assert source.stats.frames_read == 30
    assert source.stats.frames_lost == 0
    assert source.stats.notes == ()
    assert source.read() is None


def test_refused_frames_are_asked_once_and_never_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(make_video(tmp_path / "a.mp4", frames=30))
    converted = []
    convert = source._convert  # type: ignore[attr-defined]
    monkeypatch.setattr(source, "_convert", lambda p: converted.append(p) or convert(p))
    asked = []
    taken = []
    while frame := source.read(lambda t: asked.append(t.index) or t.index % 10 == 3):
        taken.append(index_of(frame.data))
    assert asked == list(range(30))
    assert taken == [3, 13, 23]
    assert len(converted) == 3
    assert source.stats.frames_read == 30


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    pts = [0, 1, 2, 5, 6, 20, 21, 22, 40, 41]
    path = make_video(tmp_path / "v.mkv", frames=10, pts=[7 + p for p in pts], bf="0")
    source = open_source(path)
    times = read_times(source)
    assert [t.pts_s for t in times] == pytest.approx([p / 25 for p in pts], abs=1e-3)
    assert all(earlier.next_pts_s == later.pts_s for earlier, later in pairwise(times))
    assert source.stats.pts_repaired == 0


def test_stream_without_timestamps_runs_at_its_nominal_rate(tmp_path: Path) -> None:
    source = open_source(make_video(tmp_path / "raw.h264", frames=10, bf="0"))
    assert [t.pts_s for t in read_times(source)] == pytest.approx([i / 25 for i in range(10)])
    assert source.stats.pts_repaired == 10
    assert source.stats.notes == ("timestamps missing or backward, replaced: 10",)


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "libx264"])
def test_avi_is_timed_by_its_order_of_decoding(tmp_path: Path, codec: str) -> None:
    source = open_source(make_video(tmp_path / "a.avi", codec=codec))
    assert [t.pts_s for t in read_times(source)] == pytest.approx([i / 25 for i in range(30)])


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_threads_change_nothing_but_speed(tmp_path: Path, threads: int) -> None:
    source = open_source(make_video(tmp_path / "a.mp4"), threads=threads)
    assert read_indices(source) == list(range(30))


def test_frames_survive_the_ones_after_them_and_the_source(tmp_path: Path) -> None:
    # 160 pixels need no padding: a view of FFmpeg's buffer. 150 do: a copy.
    for width in (160, 150):
        source = open_source(make_video(tmp_path / f"{width}.mp4", size=(width, 120)))
        first = source.read()
        assert first is not None
        before = first.data.copy()
        assert first.data.flags.c_contiguous
        assert first.data.shape == (120, width, 3)
        read_indices(source)
        source.close()
        np.testing.assert_array_equal(first.data, before)


def test_close_twice_and_read_after(tmp_path: Path) -> None:
    source = open_source(make_video(tmp_path / "a.mp4"))
    source.close()
    source.close()
    assert source.read() is None


def test_stream_must_be_a_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    with pytest.raises(SourceError, match=r"stream 4 of .*a\.mp4.*0 \(h264 160x120\)"):
        open_source(path, stream=4)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(SourceError):
        open_source(path)
    assert capfd.readouterr() == ("", "")
