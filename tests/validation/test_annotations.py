"""What manifests say, and what is wrong with those that cannot be right."""

from __future__ import annotations

import json
import math

import pytest

from edgevid.errors import SpecError
from edgevid.evaluation import BACKGROUND, Segment
from edgevid.validation.annotations import Classes, read_annotations

LABELS = ("wave", "nod", "clap; clap", "nothing")


def read(path, **options):
    known = {k: options.pop(k) for k in ("skip_unknown", "background") if k in options}
    return read_annotations(path, Classes(LABELS, **known), **options)


def test_rows_are_clips_with_the_classes_of_their_labels(write_csv, tmp_path):
    found = read(write_csv("a.mp4,wave,,", "sub/b.mp4,nod,1.5,3"))
    assert (found.task, found.rows, found.unknown) == ("clips", 2, {})
    assert [c.classes for c in found.clips] == [(0,), (1,)]
    assert found.clips[1].listed.uri == str(tmp_path / "sub/b.mp4")
    assert (found.clips[1].listed.start_s, found.clips[1].listed.end_s) == (1.5, 3.0)


def test_paths_are_relative_to_the_root_that_was_said(write_csv, tmp_path):
    found = read(write_csv("a.mp4,wave,,"), root=tmp_path / "videos")
    assert found.clips[0].listed.uri == str(tmp_path / "videos/a.mp4")


def test_several_labels_stand_in_one_cell(write_csv):
    found = read(write_csv("a.mp4,wave; nod,,", "b.mp4,clap; clap,,"))
    assert [c.classes for c in found.clips] == [(0, 1), (2,)]


def test_a_video_with_several_timed_rows_has_segments(write_csv, tmp_path):
    rows = ["a.mp4,nod,2,4", "b.mp4,nod,,", "a.mp4,wave,0,2"]
    found = read(write_csv(*rows))
    assert found.task == "segments"
    assert [v.uri for v in found.videos] == [str(tmp_path / n) for n in ("a.mp4", "b.mp4")]
    assert found.videos[0].segments == (Segment(0, 0.0, 2.0), Segment(1, 2.0, 4.0))
    assert found.videos[1].segments == (Segment(1, 0.0, math.inf),)
    assert read(write_csv(*rows), task="clips").task == "clips"


def test_json_in_seconds_and_in_frames(tmp_path):
    in_seconds, in_frames = tmp_path / "s.json", tmp_path / "f.json"
    segments = [
        {"label": "wave", "start_s": 0.4, "end_s": 2},
        {"label": "nod", "start_s": 2.0, "end_s": 3.2},
    ]
    in_seconds.write_text(json.dumps({"video": "a.mp4", "segments": segments, "note": "x"}))
    segments = [
        {"label": "wave", "start_frame": 10, "end_frame": 50},
        {"label": "nod", "start_frame": 50, "end_frame": 80},
    ]
    in_frames.write_text(json.dumps({"video": "a.mp4", "fps": 25, "segments": segments}))
    (one,), (other,) = read(in_seconds).videos, read(in_frames).videos
    assert one == other
    assert one.uri == str(tmp_path / "a.mp4")
    assert one.segments == (Segment(0, 0.4, 2.0), Segment(1, 2.0, 3.2))
    assert read(in_frames, video="other.mp4").videos[0].uri == "other.mp4"


def test_the_background_label_is_time_without_a_label(write_csv):
    rows = ["a.mp4,nothing,0,1", "a.mp4,wave,1,2", "a.mp4,idle,2,3"]
    found = read(write_csv(*rows[:2]), background="nothing")
    assert found.videos[0].segments[0].label == BACKGROUND
    found = read(write_csv(*rows[1:]), background="idle")
    assert found.videos[0].segments[1].label == BACKGROUND


def test_unknown_labels_are_left_out_and_counted_where_that_is_asked_for(write_csv):
    rows = ["a.mp4,wave,,", "b.mp4,jump,,", "c.mp4,jump,,", "d.mp4,run,,"]
    found = read(write_csv(*rows), skip_unknown=True)
    assert len(found.clips) == 1
    assert (found.rows, found.unknown) == (4, {"jump": 2, "run": 1})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.mp4,weve,,"], r"does not know 1 .*: 'weve' \(row 2\)\. Did you mean 'wave'"),
        (["a.mp4,x1,,", "b.mp4,x2,,", "c.mp4,x3,,", "d.mp4,x4,,"], r"x3' \(row 4\) and 1 more"),
        (["a.mp4,,,"], "row 2: 'label' is missing"),
        (["a.mp4,wave,0,2", "a.mp4,nod,1.5,3"], r"row 3: it starts at 1\.5 s, before row 2 ends"),
        (["a.mp4,wave,1,", "a.mp4,nod,1.5,3"], r"row 3: it starts at 1\.5 s, before row 2 ends"),
        (["a.mp4,wave,3,2"], r"row 2: end_s 2 must lie after start_s 3"),
        (["a.mp4,wave,-1,2"], r"row 2: start_s: .*greater than or equal to 0 \(got '-1'\)"),
        (["a.mp4,wave,nan,2"], r"row 2: start_s: .*finite number"),
        (["a.mp4,wave,zero,2"], r"row 2: start_s: .*valid number"),
        (["a.mp4,wave,1,2", "a.mp4,nod,1,2"], r"row 3: it starts at 1 s"),
        (["a.mp4,wave,,", "./a.mp4,nod,,"], "row 3: the same clip stands in row 2"),
        (["rtsp://host/stream,wave,,"], "row 2, column 'path': 'rtsp://host/stream' is live"),
        ([], "lists no clip"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_right_is_told_in_one_line(write_csv, rows, message):
    with pytest.raises(SpecError, match=message) as caught:
        read(write_csv(*rows))
    assert "\n" not in str(caught.value)


def test_what_is_no_csv(tmp_path):
    video = tmp_path / "a.csv"
    video.write_bytes(b"\x00\x00\x00\x18ftypmp42\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"a\.csv is not UTF-8 text"):
        read(video)
    video.write_text("<html><body>Not found</body></html>\n")
    with pytest.raises(SpecError, match="has no column 'path'"):
        read(video)
    video.write_text("")
    with pytest.raises(SpecError, match="has no column 'path'; its first row says -"):
        read(video)
    with pytest.raises(SpecError, match=r"absent\.csv cannot be read: No such file"):
        read(tmp_path / "absent.csv")
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", r"s\.json"),
        ('{"video": "a.mp4", "segments": []}', "segments: .*at least 1"),
        ('{"segments": [{"label": "wave", "start_s": 0, "end_s": 1}]}', "does not name its video"),
        ('{"video": "a", "segments": [{"label": "wave"}]}', r"segments\.0: start_s and end_s are"),
        (
            '{"video": "a", "segments": [{"label": "wave", "start_frame": 0, "end_frame": 9}]}',
            r"segments\.0: start_frame and end_frame need fps",
        ),
        (
            '{"video": "a", "segments": [{"label": "wave", "start_s": 2, "end_s": 1}]}',
            "segment 1: it ends at 1 s, before it starts at 2 s",
        ),
        (
            '{"video": "a", "segments": [{"label": "wave", "start_s": -2, "end_s": 1}]}',
            "start_s: .*greater than or equal to 0",
        ),
        (
            '{"video": "a", "segments": [{"label": "wave", "start_s": 0, "end_s": 2}, '
            '{"label": "nod", "start_s": 1, "end_s": 3}]}',
            "segment 2: it starts at 1 s, before segment 1 ends at 2 s",
        ),
    ],
)
def test_json_that_cannot_be_right(tmp_path, text, message):
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        read(path)


def test_options_that_do_not_belong_to_the_file(write_csv, tmp_path):
    with pytest.raises(SpecError, match="--video belongs to a JSON manifest"):
        read(write_csv("a.mp4,wave,,"), video="b.mp4")
    path = tmp_path / "s.json"
    path.write_text('{"video": "a", "segments": [{"label": "wave", "start_s": 0, "end_s": 1}]}')
    with pytest.raises(SpecError, match="lists segments of one video"):
        read(path, task="clips")


def test_nothing_that_the_model_knows(write_csv):
    with pytest.raises(SpecError, match="knows none of the labels"):
        read(write_csv("a.mp4,jump,,"), skip_unknown=True)
