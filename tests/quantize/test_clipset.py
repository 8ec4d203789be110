"""Drawing calibration clips: from which videos, and the set that they make."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_videos import (
    SMALL,
    TIMES_4,
    UNIFORM_4,
    frames_of,
    make_video,
)
from hypothesis import given
from hypothesis import strategies as st

from edgevid.convert.quantize import spool as spool_module
from edgevid.convert.quantize.clipset import ClipSet, draw
from edgevid.convert.quantize.drawing import Entry
from edgevid.convert.quantize.spool import Spool
from edgevid.errors import OutputError, SourceError, SourceNotFoundError, SpecError
from edgevid.sources.clip_list import ListedClip, list_clips
from edgevid.sources.synthetic import SyntheticSource
from edgevid.spec import ClipSpec
from edgevid.types import SourceInfo

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
