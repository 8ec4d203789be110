"""Annotated video files, read back: frames, times, pixels, and failures."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edgevid.errors import OutputError
from edgevid.protocols import FrameSink, Sink
from edgevid.sinks import video
from edgevid.sinks.video import VideoSink
from edgevid.types import Frame, FrameTime, UInt8Array

VARIABLE_RATE = "mp4parser_MOV00006.3gp"


def _frames(path: Path, count: int, source: str = "clip") -> Iterator[Frame]:
    with av.open(str(path)) as container:
        for i, picture in enumerate(islice(container.decode(video=0), count)):
            pts_s = float(picture.time)
            time = FrameTime(i, pts_s, pts_s + 0.04)
            yield Frame(picture.to_ndarray(format="bgr24"), time, source)


def _solid(i: int, pts_s: float, source: str = "a", shape: tuple[int, int] = (64, 96)) -> Frame:
    image = np.full((*shape, 3), (40 + i, 120, 200), np.uint8)
    return Frame(image, FrameTime(i, pts_s, pts_s + 0.1), source)


def _read(path: Path) -> tuple[list[float], list[UInt8Array]]:
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
    return [float(p.time) for p in pictures], [p.to_ndarray(format="bgr24") for p in pictures]


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
@pytest.mark.parametrize(("extension", "tick_s"), [(".mp4", 2e-5), (".mov", 2e-5), (".mkv", 1e-3)])
def test_variable_frame_rate_keeps_its_times(
    clips: Path, tmp_path: Path, predict, monkeypatch, encoder: str, extension: str, tick_s: float
) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {encoder}")
    monkeypatch.setattr(video, "_encoder", lambda: encoder)
    path = tmp_path / f"out{extension}"
    sink = VideoSink(path, fps=25)
    assert isinstance(sink, Sink)
    assert isinstance(sink, FrameSink)
    frames = list(_frames(clips / VARIABLE_RATE, 60))
    for i, frame in enumerate(frames):
        if i == 30:
            sink.write(predict(0, "clockwise", source="clip"))
        sink.write_frame(frame)
    sink.close()

    times, pictures = _read(path)
    expected = [f.time.pts_s for f in frames]
    assert len(set(np.diff(expected).round(4))) > 1, "the clip does vary in rate"
    np.testing.assert_allclose(times, expected, atol=tick_s)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == encoder.replace("libx264", "h264")

    height = pictures[0].shape[0]
    for i, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
        error = np.abs(picture.astype(int) - frame.data).mean(axis=(1, 2))
        assert error[height // 3 : height * 2 // 3].mean() < 6, "the picture is the source's"
        changed = error[-8:].mean()
        assert changed > 10 if i >= 30 else changed < 6, "the answer shows from frame 30 on"


def test_every_frame_of_a_b_frame_clip(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, fps=29.97)
    expected = []
    for frame in _frames(clips / "golfdb_test_video.mp4", 1000):
        sink.write_frame(frame)
        expected.append(frame.time.pts_s)
    sink.close()
    times, _ = _read(path)
    assert len(times) == 264
    np.testing.assert_allclose(times, expected, atol=2e-5)
    capture = cv2.VideoCapture(str(path))
    seen = 0
    while capture.grab():
        seen += 1
    assert seen == 264, "another decoder sees the same frames"


def test_a_late_start_and_equal_times(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, fps=10)
    for i, pts_s in enumerate([1.5, 1.6, 1.6, 1.2, 9.75]):
        sink.write_frame(_solid(i, pts_s))
    sink.close()
    times, _ = _read(path)
    np.testing.assert_allclose(times, [1.5, 1.6, 1.6, 1.6, 9.75], atol=5e-5)
    assert np.diff(times).min() > 0


@pytest.mark.parametrize("colour", [(0, 0, 220), (0, 220, 0), (220, 0, 0), (30, 200, 240)])
def test_colours_come_back(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    """Written by BT.709 and said so; a reader that takes it for BT.601 would be off by 20."""
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, fps=10)
    image = np.full((480, 640, 3), colour, np.uint8)
    sink.write_frame(Frame(image, FrameTime(0, 0.0, 0.1), "a"))
    sink.close()
    _, (picture,) = _read(path)
    assert np.abs(picture[200:280, 200:280].mean(axis=(0, 1)) - colour).max() < 4
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == 1


def test_each_source_has_its_file(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", fps=10)
    for i in range(10):
        for shift, source in enumerate(("a", "b", "c")):
            if i >= shift:
                sink.write_frame(_solid(0, i / 10, source, (64 + 32 * shift, 96)))
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out-2.mp4", "out-3.mp4", "out.mp4"]
    for shift, name in enumerate(["out.mp4", "out-2.mp4", "out-3.mp4"]):
        times, pictures = _read(tmp_path / name)
        np.testing.assert_allclose(times, np.arange(shift, 10) / 10, atol=2e-5)
        assert pictures[0].shape == (64 + 32 * shift, 96, 3)


def test_many_sources_one_after_the_other_keep_few_files_open(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", fps=10)
    for n in range(video.MAX_OPEN_FILES + 3):
        sink.write_frame(_solid(0, 0.0, f"clip{n}"))
    assert {p.name for p in tmp_path.glob("out*")} == {"out.mp4", "out-2.mp4", "out-3.mp4"}
    sink.close()
    assert len(list(tmp_path.iterdir())) == video.MAX_OPEN_FILES + 3
    assert all(len(_read(p)[0]) == 1 for p in tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(65, 97), (64, 97), (131, 99)])
def test_odd_sizes_get_one_black_line(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, fps=10)
    sink.write_frame(_solid(0, 0.0, shape=shape))
    sink.close()
    _, (picture,) = _read(path)
    assert picture.shape[:2] == tuple(side + side % 2 for side in shape)
    assert np.abs(picture[shape[0] // 2, : shape[1] - 2].astype(int) - (40, 120, 200)).max() < 12


def test_a_given_size_and_frames_of_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, fps=10, size=(320, 240))
    sink.write_frame(_solid(0, 0.0, shape=(240, 320)))
    sink.write_frame(_solid(0, 0.1, shape=(60, 40)))
    sink.close()
    _, (same, tall) = _read(path)
    assert same.shape == tall.shape == (240, 320, 3)
    assert np.abs(tall[120, 90:230].astype(int) - (40, 120, 200)).max() < 12
    assert tall[40:200, :70].max() < 20, "black beside what is narrower"


def test_nothing_under_the_name_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    sink = VideoSink(path, fps=10)
    sink.write_frame(_solid(0, 0.0))
    assert path.read_bytes() == b"older"
    sink.close()
    sink.close()
    assert len(_read(path)[0]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_no_frames_no_file(tmp_path: Path) -> None:
    VideoSink(tmp_path / "out.mp4", fps=10).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.avi", "out.txt", "out", "out.webm"])
def test_unknown_extensions(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"unknown extension.*\.mp4, \.mov, \.mkv"):
        VideoSink(tmp_path / name, fps=10)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("kept")
    for name in ("missing/out.mp4", "folder.mp4", "file/out.mp4"):
        with pytest.raises(OutputError, match="cannot write") as caught:
            VideoSink(tmp_path / name, fps=10)
        assert name in str(caught.value)
    assert len(list(tmp_path.iterdir())) == 2


_FULL_DISK = """
import resource, sys
import numpy as np
from edgevid.errors import OutputError
from edgevid.sinks.video import VideoSink
from edgevid.types import Frame, FrameTime

limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rng = np.random.default_rng(0)
sink = VideoSink(sys.argv[1], fps=25)
try:
    for i in range(8):
        image = rng.integers(0, 256, (240, 320, 3), np.uint8)
        sink.write_frame(Frame(image, FrameTime(i, i / 25, (i + 1) / 25), "a"))
    print("frames written")
    sink.close()
except OutputError as exc:
    print(exc)
    sink.close()
    sys.exit(2)
"""


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_a_file_that_cannot_grow_leaves_nothing(tmp_path: Path, share: float) -> None:
    """A limit on the file's size fails writes as a full disk does: early, or only at the end."""
    path = tmp_path / "out.mp4"
    script = [sys.executable, "-c", _FULL_DISK, str(path)]
    subprocess.run([*script, str(resource.RLIM_INFINITY)], check=True, capture_output=True)
    limit = int(path.stat().st_size * share)
    path.write_bytes(b"older")
    done = subprocess.run([*script, str(limit)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"cannot write {path}: File too large" in done.stdout
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
