"""Clips that a CSV names, and those of real files."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from drawn_videos import (
    SHARED,
    SMALL,
    TIMES_4,
    UNIFORM_4,
    frames_of,
    input_spec,
    runtime_windows,
)

from edgevid.convert.quantize.clipset import draw
from edgevid.errors import SpecError
from edgevid.sources.clip_list import list_clips
from edgevid.spec import ClipSpec, InputSpec


def write_csv(folder: Path, text: str) -> str:
    (folder / "clips.csv").write_text(text, encoding="utf-8")
    return str(folder / "clips.csv")


# CSV


def test_a_csv_gives_labels_and_parts(videos: Path):
    table = write_csv(
        videos.parent,
        "\ufeffpath, label,start_s,end_s,by\n"
        "videos/a.mp4,left,,,me\n"
        '"videos/b.mkv","up, then down",1.2,2,\n'
        "videos/b.mkv,,0,1.2\n",
    )
    drawn = draw([table], ClipSpec(fps=25), [input_spec(layout="NHWC")], 30)
    by_label = {label: [c for c in drawn if c.label == label] for label in drawn.labels}
    assert set(by_label) == {"left", "up, then down", None}
    assert {len(clips) for clips in by_label.values()} == {10}
    assert all(30 <= frames_of(c)[0] < 50 for c in by_label["up, then down"])
    assert all(0 <= frames_of(c)[0] < 30 for c in by_label[None])
    assert all(Path(c.source).is_file() for c in drawn)


def test_a_uniform_part_is_sampled_as_a_file_of_its_own(videos: Path):
    table = write_csv(videos, "path,start_s,end_s\na.mp4,0.4,1.2\nc.mp4,0.8,\n")
    first, second = draw([table], UNIFORM_4, [SMALL], 2)
    assert frames_of(first) == [10, 15, 20, 25]
    assert frames_of(second) == [20, 25, 30, 35]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no column 'path'"),
        ("file,label\na.mp4,x\n", "has no column 'path'; its first row says file, label"),
        ("path\n", "lists no clip"),
        ("path,label\na.mp4,x\n,y\n", "row 3: 'path' is missing"),
        ("path,start_s\na.mp4,soon\n", "row 2: start_s: "),
        ("path,start_s\na.mp4,-1\n", "row 2: start_s: "),
        ("path,end_s\na.mp4,nan\n", "row 2: end_s: "),
        ("path,start_s,end_s\na.mp4,2,1\n", "row 2: end_s 1 must lie after start_s 2"),
        ("path,label\na.mp4,b,c\n", "row 2 has more cells than the header: ['c']"),
        ("path\na.mp4\nnone.mp4\n", "row 3, column 'path': no such file"),
        ('path\n"a.mp4\n', "row 2: unexpected end of data"),
    ],
)
def test_a_wrong_row_is_named(videos: Path, text: str, words: str):
    with pytest.raises(SpecError, match=re.escape(words)):
        list_clips([write_csv(videos, text)])


def test_a_csv_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(SpecError, match=r"absent\.csv cannot be read"):
        list_clips([str(tmp_path / "absent.csv")])
    (tmp_path / "latin.csv").write_bytes("path\ncafé.mp4\n".encode("latin-1"))
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        list_clips([str(tmp_path / "latin.csv")])


def test_a_part_beyond_the_end_is_left_out(videos: Path):
    table = write_csv(videos, "path,start_s,end_s\na.mp4,5,6\nc.mp4,,\n")
    drawn = draw([table], TIMES_4, [SMALL], 2)
    assert {Path(s).name for s in drawn.sources} == {"c.mp4"}
    assert re.search(r"1 of 2 videos .*a\.mp4 has no frame from 5 s to 6 s", drawn.notes[0])


# Real files


@pytest.fixture(scope="module")
def shared() -> Path:
    if not (SHARED / "clips").is_dir():
        pytest.skip("the shared test data is not there")
    return SHARED


def test_64_clips_of_a_real_folder(shared: Path):
    clip = ClipSpec(num_frames=20, sampling="uniform")
    spec = InputSpec(name="clip", layout="NTCHW", size=(128, 128), color="bgr", scale=1 / 255)
    drawn = draw([str(shared / "clips")], clip, [spec], 64)
    assert len(drawn) == 64
    assert len(drawn.sources) == 36
    assert set(Counter(c.source for c in drawn).values()) == {1, 2}
    (note,) = drawn.notes
    assert note.startswith("videos shorter than a window, whose last frame is repeated: 5 (")
    assert all(c.feeds["clip"].shape == (1, 20, 128, 128, 3) for c in drawn)


def test_what_a_damaged_real_file_holds_is_drawn(shared: Path):
    """Its header claims 50 frames, 28 decode."""
    path = str(shared / "bad" / "claims-50-frames-holds-28.mp4")
    clip = ClipSpec(num_frames=4, sampling="uniform")
    (drawn,) = draw([path], clip, [SMALL], 1)
    (expected,) = runtime_windows(path, clip, (SMALL,))
    assert drawn.feeds["clip"].tobytes() == expected.arrays["clip"].tobytes()


def test_a_real_stream_by_its_labelled_segments(shared: Path, tmp_path: Path):
    truth = json.loads((shared / "reference" / "stream_ucf5_concat.segments.json").read_text())
    video = (shared / "clips" / truth["video"]).resolve()
    parts = {
        s["label"]: (s["start_frame"] / truth["fps"], s["end_frame"] / truth["fps"])
        for s in truth["segments"]
    }
    rows = [f"{video},{label},{begin},{end}" for label, (begin, end) in parts.items()]
    table = write_csv(tmp_path, "\n".join(["path,label,start_s,end_s", *rows]))
    drawn = draw([table], TIMES_4, [SMALL], 15)
    assert Counter(drawn.labels) == dict.fromkeys(parts, 3)
    last_frame_s = 3 * 2 / 25
    for clip in drawn:
        begin, end = parts[clip.label or ""]
        assert begin <= clip.start_s < end - last_frame_s + 1e-6
    # All parts are of one video: it is cut at one instant.
    kept, held_out = drawn.split(0.6, 0)
    times = [[c.start_s for c in part] for part in (kept, held_out)]
    assert max(times[0]) < min(times[1]) or max(times[1]) < min(times[0])
