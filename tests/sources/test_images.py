from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from source_media import index_of, picture, read_indices, read_times

from edgevid.errors import SourceError
from edgevid.protocols import FrameSource
from edgevid.sources import open_source


def write_images(folder: Path, names: list[str]) -> None:
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), picture(index))


def test_folder_in_natural_order(tmp_path: Path) -> None:
    write_images(tmp_path, ["f1.png", "f2.jpg", "f9.PNG", "f10.png"])
    (tmp_path / "labels.txt").write_text("not an image")
    source = open_source(tmp_path)
    assert isinstance(source, FrameSource)
    assert source.source_id == str(tmp_path)
    info = source.info
    assert (info.width, info.height, info.fps, info.num_frames) == (160, 120, 25.0, 4)
    assert not info.is_live
    assert source.stats.notes == ("images name no frame rate: 25 a second assumed",)
    assert read_indices(source) == [0, 1, 2, 3]
    assert source.stats.frames_read == 4
    assert source.read() is None


def test_frame_rate_and_times(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{i}.png" for i in range(5)])
    source = open_source(f"{tmp_path}/*.png", image_fps=10)
    times = read_times(source)
    assert [t.pts_s for t in times] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert [t.next_pts_s for t in times] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert source.stats.notes == ()


@pytest.mark.parametrize("fps", [0.0, -1.0, 5000.0, float("nan")])
def test_frame_rate_out_of_range(tmp_path: Path, fps: float) -> None:
    write_images(tmp_path, ["a.png"])
    with pytest.raises(SourceError, match="out of range"):
        open_source(tmp_path, image_fps=fps)


def test_single_image(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png"])
    source = open_source(tmp_path / "a.png")
    assert source.info.fps == 0.0
    assert source.info.num_frames == 1
    frame = source.read()
    assert frame is not None
    np.testing.assert_array_equal(frame.data, picture(0))
    assert source.read() is None


def test_unreadable_images_are_left_out_and_counted(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{i}.png" for i in range(6)])
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(b"not an image")
    source = open_source(tmp_path, image_fps=10)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert [index_of(f.data) for f in frames] == [1, 2, 4, 5]
    assert [f.time.index for f in frames] == [0, 1, 2, 3]
    assert [f.time.pts_s for f in frames] == pytest.approx([0.1, 0.2, 0.4, 0.5])
    assert source.stats.frames_read == 4
    assert source.stats.frames_lost == 2
    assert "2 image(s) could not be read, the first is" in source.stats.notes[0]


def test_only_wanted_images_are_read(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{i}.png" for i in range(6)])
    (tmp_path / "3.png").write_bytes(b"not an image")
    source = open_source(tmp_path, image_fps=10)
    frame = source.read(lambda t: t.index >= 4)
    assert frame is not None
    assert index_of(frame.data) == 4
    assert source.stats.frames_lost == 0
    assert source.stats.frames_read == 5


def test_no_image_is_readable(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    with pytest.raises(SourceError, match=r"a\.jpg cannot be read as an image"):
        open_source(tmp_path)


def test_close(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png", "b.png"])
    source = open_source(tmp_path)
    source.close()
    assert source.read() is None
