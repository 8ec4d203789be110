"""The sources on real files, which lie beside the repository."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from source_media import read_times

from edgevid.sources import expand, open_source

# The H.264 stream of 390 frames is FFmpeg's choice of two; OpenCV takes the first.
NASA = "torchcodec_nasa_13013.mp4"


def test_every_clip_decodes_whole_and_in_time(shared_data: Path) -> None:
    clips = expand(shared_data / "clips")
    assert len(clips) >= 36
    for clip in clips:
        source = open_source(clip)
        times = read_times(source)
        stats = source.stats
        assert (stats.frames_read, stats.frames_lost) == (len(times), 0), clip
        assert source.info.num_frames in (None, len(times)), clip
        assert times[0].pts_s == 0.0, clip
        assert all(0 < b.pts_s - a.pts_s < 1.01 for a, b in pairwise(times)), clip
        assert all(a.next_pts_s == b.pts_s for a, b in pairwise(times)), clip
        assert times[-1].next_pts_s > times[-1].pts_s, clip
        out_of_order = Path(clip).name == "v_ApplyEyeMakeup_g01_c02.avi"
        assert stats.pts_repaired == (40 if out_of_order else 0), clip
        assert len(stats.notes) == out_of_order, clip
        source.close()


def test_clip_with_presentation_times_out_of_order(shared_data: Path) -> None:
    source = open_source(shared_data / "clips" / "v_ApplyEyeMakeup_g01_c02.avi")
    assert [t.pts_s for t in read_times(source)] == pytest.approx([i / 25 for i in range(123)])


def test_chosen_stream_has_the_published_times(shared_data: Path) -> None:
    path = shared_data / "clips" / NASA
    listed = json.loads(Path(f"{path}.stream3.all_frames_info.json").read_text())
    expected = [(float(f["pts_time"]), float(f["duration_time"])) for f in listed]
    for stream in (3, None):
        source = open_source(path, stream=stream)
        assert (source.info.width, source.info.height) == (480, 270)
        times = read_times(source)
        assert len(times) == len(expected) == 390
        assert [t.pts_s for t in times] == pytest.approx([p for p, _ in expected], abs=1e-6)
        assert times[-1].next_pts_s == pytest.approx(sum(expected[-1]), abs=2e-6)
    assert len(read_times(open_source(path, stream=0))) == 325


def test_variable_frame_rate_phone_clip_has_its_own_times(shared_data: Path) -> None:
    path = shared_data / "clips" / "mp4parser_MOV00006.3gp"
    times = read_times(open_source(path))
    capture = cv2.VideoCapture(str(path))
    expected = []
    while capture.grab():
        expected.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    assert [t.pts_s for t in times] == pytest.approx(expected, abs=1e-6)
    gaps_s = [b.pts_s - a.pts_s for a, b in pairwise(times)]
    assert max(gaps_s) > 10 * min(gaps_s), "its frame rate varies"
    assert times[-1].next_pts_s == pytest.approx(15.04)


@pytest.mark.parametrize(
    "name",
    [
        "abseiling_k400.mp4",  # rows that need padding
        "bird.mkv",  # full range
        "decord_video_0.mov",  # BT.709
        "decord_video_90.mov",  # rotated
        "moviepy_big_buck_bunny_432_433.webm",  # VP8
        "moviepy_transparent.webm",  # VP9 with alpha
        "mp4parser_MOV00006.3gp",  # H.263
        "torchcodec_h265_video.mp4",
        "v_ApplyEyeMakeup_g01_c02.avi",  # MPEG-4 with packed B frames
        "vpf_test.mp4",
    ],
)
def test_pixels_equal_those_of_opencv(shared_data: Path, name: str) -> None:
    path = shared_data / "clips" / name
    capture = cv2.VideoCapture(str(path))
    source = open_source(path)
    compared = 0
    while compared < 30 and (frame := source.read()) is not None:
        decoded, expected = capture.read()
        assert decoded
        np.testing.assert_array_equal(frame.data, expected)
        compared += 1
    assert compared >= 3


def test_rotated_clip_comes_upright(shared_data: Path) -> None:
    upright = open_source(shared_data / "clips" / "decord_video_90.mov")
    assert (upright.info.width, upright.info.height) == (320, 568)
    frame = upright.read()
    assert frame is not None
    assert frame.data.shape == (568, 320, 3)
    flat = open_source(shared_data / "clips" / "decord_video_0.mov")
    assert (flat.info.width, flat.info.height) == (568, 320)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_header_that_claims_more_than_decodes(shared_data: Path, threads: int) -> None:
    path = shared_data / "bad" / "claims-50-frames-holds-28.mp4"
    source = open_source(path, threads=threads)
    assert source.info.num_frames == 50
    assert len(read_times(source)) == 28
    assert source.stats.frames_lost == 22
    assert source.stats.notes[0] == "the header claims 50 frames, 28 decoded"


def test_folder_of_photographs(shared_data: Path) -> None:
    source = open_source(shared_data / "images")
    assert source.info.num_frames == 2
    frame = source.read()
    assert frame is not None
    expected = cv2.imread(str(shared_data / "images" / "cat.bmp"))
    np.testing.assert_array_equal(frame.data, expected)
