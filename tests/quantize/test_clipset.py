"""Drawing calibration clips: from which videos, which windows, which pixels."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.clips import WindowBuilder, segment_indices, uniform_indices
from edgevid.clips.timeline import WHOLE, Timeline, padded, starts, window
from edgevid.convert.quantize import spool as spool_module
from edgevid.convert.quantize.clipset import ClipSet, draw
from edgevid.convert.quantize.drawing import Entry
from edgevid.convert.quantize.spool import Spool
from edgevid.convert.quantize.window_plan import choose, fair_shares
from edgevid.errors import OutputError, SourceError, SourceNotFoundError, SpecError
from edgevid.pipeline.capture import CaptureJob, CaptureThread, NamedSource
from edgevid.pipeline.queues import Inbox
from edgevid.sources import open_source
from edgevid.sources.clip_list import ListedClip, list_clips
from edgevid.sources.synthetic import SyntheticSource
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Clip, SampledFrame, SourceInfo

SHARED = Path(__file__).parents[3] / "shared" / "data"

TIMES_4 = ClipSpec(num_frames=4, sampling="interval", frame_interval=2, fps=25)
UNIFORM_4 = ClipSpec(num_frames=4, sampling="uniform")
FLOW_2 = {"modality": "flow", "flow_interval": 2}
SMALL = InputSpec(name="clip", layout="NCTHW", size=(16, 24))


def input_spec(**changes: Any) -> InputSpec:
    return InputSpec(**{"name": "clip", "layout": "NCTHW", "size": (16, 24), **changes})


def make_video(path: Path, frames: int, fps: int = 25, colour: int | None = None) -> Path:
    """Frame i is grey of level 4 i, beside its negative; or all of one colour."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv444p"
        stream.options = {"qp": "0"}
        for i in range(frames):
            image = np.full((32, 48, 3), 4 * i if colour is None else colour, np.uint8)
            if colour is None:
                image[:, 24:] = 255 - 4 * i
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def frames_of(clip: Any, name: str = "clip") -> list[int]:
    """The frame numbers that `make_video` painted into a drawn clip."""
    array = clip.feeds[name]
    pictures = array[0] if array.ndim == 5 else array
    return [round(int(p[:, : p.shape[1] // 3].mean()) / 4) for p in pictures]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, frames in (("a.mp4", 50), ("b.mkv", 60), ("c.mp4", 40)):
        make_video(folder / name, frames)
    return folder


# Window arithmetic

CLIPS = st.builds(
    lambda n, sampling: ClipSpec(
        num_frames=n, sampling=sampling, fps=10 if sampling == "interval" else None
    ),
    st.integers(1, 12),
    st.sampled_from(["interval", "uniform", "segments"]),
)
TIMELINES = st.builds(
    lambda n, breaks: Timeline(n, tuple(sorted(b for b in breaks if b < n))),
    st.integers(1, 60),
    st.sets(st.integers(1, 60), max_size=4),
)


@given(CLIPS, TIMELINES)
def test_every_window_lies_within_the_video_and_crosses_no_break(clip: ClipSpec, line: Timeline):
    possible = starts(clip, line)
    assert len(set(possible)) == len(possible) > 0
    for start in possible:
        numbers = window(clip, line, start)
        assert len(numbers) == clip.num_frames
        assert 0 <= numbers[0] <= numbers[-1] < line.num_samples
        assert list(numbers) == sorted(numbers)
        if clip.sampling == "interval":
            assert not any(numbers[0] < b <= numbers[-1] for b in line.breaks)
            assert padded(clip, line) == (len(set(numbers)) < clip.num_frames)


@given(CLIPS, TIMELINES)
def test_interval_windows_are_those_that_the_runtime_slides_over(clip: ClipSpec, line: Timeline):
    if clip.sampling != "interval":
        assert starts(clip, line)[0] == WHOLE
        indices = uniform_indices if clip.sampling == "uniform" else segment_indices
        assert list(window(clip, line, WHOLE)) == indices(line.num_samples, clip.num_frames)
        return
    fitting = [
        k
        for k in range(line.num_samples - clip.num_frames + 1)
        if not any(k < b < k + clip.num_frames for b in line.breaks)
    ]
    if fitting:
        assert starts(clip, line) == fitting
    else:
        assert starts(clip, line) == [max((0, *line.breaks))]


def test_parts_of_a_uniform_video_reach_its_end_and_are_taken_as_files():
    line = Timeline(100)
    possible = starts(UNIFORM_4, line)
    assert list(possible) == list(range(-1, 51))
    assert window(UNIFORM_4, line, 0) == (0, 12, 24, 36)
    assert window(UNIFORM_4, line, 50) == (50, 62, 74, 86)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 99))
def test_chosen_starts_are_one_from_each_equal_share(available: int, count: int, seed: int):
    chosen = choose(range(available), count, np.random.default_rng(seed))
    count = min(count, available)
    assert len(chosen) == len(set(chosen)) == count
    for i, start in enumerate(chosen):
        assert available * i // count <= start < available * (i + 1) // count


@given(st.integers(0, 100), st.lists(st.integers(0, 30), max_size=8))
def test_shares_are_as_equal_as_the_room_allows(total: int, room: list[int]):
    shares = fair_shares(total, room)
    assert sum(shares) == min(total, sum(room))
    assert all(share <= limit for share, limit in zip(shares, room, strict=True))
    unfilled = [s for s, limit in zip(shares, room, strict=True) if s < limit]
    assert not unfilled or max(shares) - min(unfilled) <= 1


# What the runtime would feed


def runtime_windows(uri: str, clip: ClipSpec, inputs: tuple[InputSpec, ...]) -> Iterator[Clip]:
    """Every window that the pipeline makes of a file, sliding by one sample."""
    inbox = Inbox(10**6, 1)
    source = NamedSource(uri, lambda: open_source(uri))
    thread = CaptureThread(0, [source], CaptureJob(clip, inputs), inbox)
    thread.run()
    builder = WindowBuilder(clip, inputs, 1, uri)
    found = 0
    while (got := inbox.get()) is not None:
        made = got[1] if isinstance(got[1], Clip) else None
        if isinstance(got[1], SampledFrame):
            made = builder.push(got[1])
        if made is not None:
            found += 1
            yield made
    if not found and (made := builder.finish()) is not None:
        yield made


@pytest.mark.parametrize(
    ("clip", "inputs"),
    [
        (TIMES_4, (SMALL,)),
        (ClipSpec(num_frames=4, fps=30), (input_spec(), input_spec(name="slow", every=2))),
        (
            ClipSpec(fps=8),
            (input_spec(layout="NCHW", resize="short_side", short_side=28, crop="center"),),
        ),
        (ClipSpec(frame_interval=3), (input_spec(layout="NHWC"),)),
        (UNIFORM_4, (SMALL,)),
        (ClipSpec(num_frames=4, sampling="segments"), (SMALL,)),
        (ClipSpec(num_frames=80, fps=50), (SMALL,)),
        (
            ClipSpec(num_frames=8, fps=25),
            (input_spec(frames="pair"), input_spec(name="fovea", crop="fovea", size=(32, 20))),
        ),
        (TIMES_4, (SMALL, input_spec(name="flow", modality="flow"))),
        (
            ClipSpec(num_frames=3, fps=25, frame_interval=4),
            (SMALL, input_spec(name="flow", modality="flow", flow_interval=1)),
        ),
        (
            ClipSpec(num_frames=3, fps=12, frame_interval=3),
            (input_spec(modality="flow", flow_interval=3), SMALL.model_copy(update={"name": "x"})),
        ),
        (ClipSpec(frame_interval=3), (input_spec(layout="NCHW", **FLOW_2),)),
        (UNIFORM_4, (input_spec(**FLOW_2),)),
        (ClipSpec(num_frames=4, sampling="segments"), (input_spec(**FLOW_2), input_spec(name="x"))),
        (ClipSpec(num_frames=80, fps=50), (input_spec(modality="flow"),)),
        (ClipSpec(num_frames=70, fps=25), (input_spec(modality="flow", flow_interval=1),)),
    ],
    ids=[
        "interval", "two-rates", "one-frame", "no-fps", "uniform", "segments", "too-short",
        "pair-and-fovea", "flow", "flow-to-next", "flow-at-another-rate", "flow-of-one-frame",
        "flow-uniform", "flow-segments", "flow-too-short", "flow-to-next-too-short",
    ],
)  # fmt: skip
def test_clips_are_the_windows_of_the_runtime_pixel_by_pixel(
    videos: Path, clip: ClipSpec, inputs: tuple[InputSpec, ...]
):
    sources = [*map(str, sorted(videos.iterdir())), "synthetic:?seconds=0.3&motions=left,grow"]
    drawn = draw(sources, clip, inputs, len(sources) * (3 if clip.sampling == "interval" else 1))
    assert set(drawn.sources) == set(sources)
    for uri in sources:
        expected = {
            (round(w.start_s, 9), *(a.tobytes() for a in w.arrays.values()))
            for w in runtime_windows(uri, clip, inputs)
        }
        for found in (c for c in drawn if c.source == uri):
            assert list(found.feeds) == [i.name for i in inputs]
            assert all(a.dtype == np.uint8 and len(a) == 1 for a in found.feeds.values())
            pixels = (a.tobytes() for a in found.feeds.values())
            assert (round(found.start_s, 9), *pixels) in expected


def test_videos_smaller_than_the_fovea_are_left_out_and_said(videos: Path):
    large = make_video(videos / "large.mp4", 20)
    inputs = (input_spec(crop="fovea", size=(40, 40)),)
    with pytest.raises(SourceError, match=r"a.mp4: its picture is 48x32, and the fovea of input"):
        draw([str(videos / "a.mp4")], TIMES_4, inputs, 2)
    drawn = draw([str(large), "synthetic:?seconds=2"], TIMES_4, inputs, 4)
    assert drawn.sources == ("synthetic:?seconds=2",)
    assert "1 of 2 videos are left out" in drawn.notes[0]
    assert "takes the centre 40x40" in drawn.notes[0]


def test_flow_of_a_still_image_is_left_out_and_said(videos: Path):
    image = videos / "still.png"
    cv2.imwrite(str(image), np.zeros((40, 40, 3), np.uint8))
    inputs = (input_spec(modality="flow"),)
    with pytest.raises(SourceError, match=r"still.png is a single picture.* takes optical flow"):
        draw([str(image)], TIMES_4, inputs, 2)
    drawn = draw([str(image), str(videos / "a.mp4")], TIMES_4, inputs, 2)
    assert drawn.sources == (str(videos / "a.mp4"),)


def test_windows_of_a_file_are_spread_over_its_time(videos: Path):
    drawn = draw([str(videos / "b.mkv")], TIMES_4, [SMALL], 6)
    begin = [frames_of(c)[0] for c in drawn]
    # 30 samples, 27 starts: one in each sixth.
    assert all(9 * i - 2 <= frame <= 9 * (i + 1) for i, frame in enumerate(begin))
    assert all(np.diff(frames_of(c)).tolist() == [2, 2, 2] for c in drawn)
    assert [c.start_s for c in drawn] == [frame / 25 for frame in begin]


def test_a_uniform_contract_takes_whole_files_first_then_parts(videos: Path):
    whole = draw([str(videos)], UNIFORM_4, [SMALL], 3)
    assert [frames_of(c) for c in whole] == [
        list(uniform_indices(n, 4)) for n in (50, 60, 40)
    ]  # fmt: skip
    more = draw([str(videos)], UNIFORM_4, [SMALL], 9)
    assert Counter(Path(c.source).name for c in more) == {"a.mp4": 3, "b.mkv": 3, "c.mp4": 3}
    steps = [np.diff(frames_of(c)).tolist() for c in more if c.source.endswith("a.mp4")]
    assert sorted(steps) == [[6, 6, 6], [6, 6, 6], [12, 12, 12]]


# Which videos


def test_the_same_seed_gives_the_same_clips_and_another_seed_others(videos: Path):
    def hashed(seed: int) -> str:
        return draw([str(videos)], TIMES_4, [SMALL], 7, seed).sha256

    assert hashed(3) == hashed(3)
    assert hashed(3) != hashed(4)


def test_more_videos_than_clips_gives_one_clip_of_each_chosen_one(videos: Path):
    for name in "defgh":
        shutil.copy(videos / "a.mp4", videos / f"{name}.mp4")
    chosen = [draw([str(videos)], TIMES_4, [SMALL], 4, seed).sources for seed in range(6)]
    assert all(len(sources) == 4 for sources in chosen)
    assert len({*chosen}) > 1


def test_what_one_video_cannot_give_the_others_give(videos: Path):
    make_video(videos / "short.mp4", 9)  # 5 samples: 2 windows
    drawn = draw([str(videos)], TIMES_4, [SMALL], 40)
    count = Counter(Path(c.source).name for c in drawn)
    assert len(drawn) == 40
    assert count["short.mp4"] == 2
    assert {count["a.mp4"], count["b.mkv"], count["c.mp4"]} == {12, 13}
    assert drawn.notes == ()


def test_fewer_windows_than_asked_for_are_noted(videos: Path):
    drawn = draw([str(videos / "c.mp4")], TIMES_4, [SMALL], 64)
    assert len(drawn) == 17
    assert sorted(frames_of(c)[0] for c in drawn) == list(range(0, 34, 2))
    assert drawn.notes == (
        "17 clips drawn, 64 were asked for: the videos hold no more different windows",
    )


def test_a_file_named_twice_counts_once(videos: Path):
    listed = list_clips([str(videos), str(videos / "a.mp4"), str(videos / ".." / videos.name)])
    assert [Path(c.uri).name for c in listed] == ["a.mp4", "b.mkv", "c.mp4"]


@pytest.mark.parametrize("clip", [TIMES_4, UNIFORM_4], ids=["interval", "uniform"])
def test_a_header_that_claims_too_much_only_costs_a_second_pass(
    clip: ClipSpec, monkeypatch: pytest.MonkeyPatch
):
    uri = "synthetic:?seconds=1&motions=left"
    honest = {c.feeds["clip"].tobytes() for c in draw([uri], clip, [SMALL], 64)}
    info = SyntheticSource.info.fget

    class Boastful(SyntheticSource):
        @property
        def info(self) -> SourceInfo:
            return replace(info(self), num_frames=3 * info(self).num_frames)

    monkeypatch.setattr("edgevid.sources.synthetic.SyntheticSource", Boastful)
    drawn = draw([uri], clip, [SMALL], 5)
    found = {c.feeds["clip"].tobytes() for c in drawn}
    assert len(found) == 5
    assert found <= honest


# Videos that are no good


def test_unusable_videos_are_left_out_with_a_note(videos: Path):
    (videos / "text.mp4").write_text("no video")
    (videos / "zero.mp4").touch()
    drawn = draw([str(videos)], TIMES_4, [SMALL], 12)
    assert len(drawn) == 12
    (note,) = drawn.notes
    assert note.startswith("2 of 5 videos are left out: ")
    assert "text.mp4" in note
    assert "zero.mp4 is empty (0 bytes)" in note


def test_short_and_blank_videos_are_used_and_noted(videos: Path):
    make_video(videos / "blank.mp4", 30, colour=90)
    make_video(videos / "tiny.mp4", 5)
    drawn = draw([str(videos)], TIMES_4, [SMALL], 15)
    tiny = [frames_of(c) for c in drawn if c.source.endswith("tiny.mp4")]
    assert tiny == [[0, 2, 4, 4]]
    short, blank = drawn.notes
    assert re.fullmatch(r"videos shorter than a window.*: 1 \(.*tiny\.mp4\)", short)
    assert re.fullmatch(r"\d of 15 clips show one single colour.*blank\.mp4", blank)


def test_nothing_usable_is_one_clear_error(tmp_path: Path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(SourceError, match=r"^\S*a\.mp4 .*Give videos that play"):
        draw([str(tmp_path / "a.mp4")], TIMES_4, [SMALL], 2)
    (tmp_path / "b.mp4").touch()
    with pytest.raises(SourceError, match="none of the 2 videos can be used: "):
        draw([str(tmp_path)], TIMES_4, [SMALL], 2)


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("absent.mp4", SourceNotFoundError, "no such file"),
        ("folder", SourceNotFoundError, "holds no video"),
        ("*.mp4", SourceNotFoundError, "no video or image matches"),
        ("/dev/video0", SourceError, "is live"),
        ("synthetic:?live=1", SourceError, "is live"),
    ],
)
def test_paths_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, error: Any, words: str
):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(error, match=re.escape(words)):
        draw([path], TIMES_4, [SMALL], 2)


def test_no_clips_at_all_cannot_be_asked_for(videos: Path):
    with pytest.raises(SpecError, match="0 calibration clips"):
        draw([str(videos)], TIMES_4, [SMALL], 0)


# CSV


def write_csv(folder: Path, text: str) -> str:
    (folder / "clips.csv").write_text(text, encoding="utf-8")
    return str(folder / "clips.csv")


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


# The set


@given(st.data())
def test_split_keeps_the_windows_of_a_video_together(data: st.DataObject):
    owners = data.draw(st.lists(st.sampled_from("abcde"), min_size=2, max_size=30))
    fraction = data.draw(st.floats(0.05, 0.95))
    seed = data.draw(st.integers(0, 9))
    entries = [Entry(i, ListedClip(f"{o}.mp4"), float(i)) for i, o in enumerate(sorted(owners))]
    whole = ClipSet(Spool([SMALL], 4), entries, ["a note"])
    parts = whole.split(fraction, seed)
    assert [p.sources for p in parts] == [p.sources for p in whole.split(fraction, seed)]
    assert len(parts[0]) >= 1
    assert len(parts[1]) >= 1
    assert len(parts[0]) + len(parts[1]) == len(whole)
    if len(set(owners)) > 1:
        assert not set(parts[0].sources) & set(parts[1].sources)
        largest = max(Counter(owners).values())
        assert abs(len(parts[0]) - fraction * len(whole)) <= largest
    else:
        assert abs(len(parts[0]) - fraction * len(whole)) <= 1
    assert all(p.notes == ("a note",) for p in parts)


def test_windows_of_one_video_are_split_at_one_instant(videos: Path):
    drawn = draw([str(videos / "b.mkv")], TIMES_4, [SMALL], 8)
    sides = set()
    for seed in range(6):
        kept, held_out = drawn.split(0.75, seed)
        assert (len(kept), len(held_out)) == (6, 2)
        before = max(c.start_s for c in kept) < min(c.start_s for c in held_out)
        after = min(c.start_s for c in kept) > max(c.start_s for c in held_out)
        assert before or after
        sides.add(before)
    assert sides == {True, False}
    with pytest.raises(SpecError, match="one clip cannot be both"):
        drawn[:1].split(0.5, 0)


def test_a_set_is_read_again_and_again_and_in_any_order(videos: Path):
    drawn = draw([str(videos)], TIMES_4, [SMALL], 6)
    shutil.rmtree(videos)
    first = [c.feeds["clip"].tobytes() for c in drawn]
    assert [c.feeds["clip"].tobytes() for c in drawn] == first
    assert drawn[4].feeds["clip"].tobytes() == first[4]
    assert [f["clip"].tobytes() for f in drawn.feeds] == first
    assert [f["clip"].tobytes() for f in drawn.feeds[2:4]] == first[2:4]
    assert drawn[0].feeds["clip"].shape == (1, 4, 16, 24, 3)
    part = drawn[1:3]
    assert [c.feeds["clip"].tobytes() for c in part] == first[1:3]
    assert part.sha256 != drawn.sha256
    drawn[0].feeds["clip"][:] = 0
    assert drawn[0].feeds["clip"].tobytes() == first[0]


def test_the_hash_covers_every_pixel():
    def hashed(change: int) -> str:
        spool = Spool([SMALL], 4)
        for position in range(4):
            frame = np.full((16, 24, 3), position, np.uint8)
            if position == change:
                frame[15, 23, 2] += 1
            spool.write(0, position, {"clip": frame})
        return ClipSet(spool, [Entry(0, ListedClip("a"), 0.0)], []).sha256

    assert len({hashed(i) for i in range(-1, 4)}) == 5


def test_a_full_disk_is_one_clear_error(monkeypatch: pytest.MonkeyPatch):
    class FullDisk:
        def seek(self, offset: int) -> None: ...

        def write(self, _: bytes) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None: ...

    monkeypatch.setattr(spool_module.tempfile, "TemporaryFile", FullDisk)
    with pytest.raises(OutputError, match=r"No space left on device.*TMPDIR"):
        draw(["synthetic:?seconds=1"], TIMES_4, [SMALL], 2)


def test_progress_counts_up_to_the_number_asked_for(videos: Path):
    calls: list[tuple[int, int]] = []
    draw([str(videos)], TIMES_4, [SMALL], 9, progress=lambda *a: calls.append(a))
    assert calls == [(3, 9), (6, 9), (9, 9)]


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
