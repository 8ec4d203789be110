from __future__ import annotations

from pathlib import Path

import av
import pytest
from source_media import (
    copy_from,
    make_sound,
    make_video,
    read_indices,
    read_times,
    spoil,
    truncate,
)

from edgevid.errors import SourceError
from edgevid.sources import open_source
from edgevid.sources.decoder import MAX_FRAMES_WITHOUT_KEY
from edgevid.sources.pixels import BgrConverter
from edgevid.types import UInt8Array


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_nothing_is_shown_from_the_damage_to_the_next_key_frame(
    tmp_path: Path, threads: int
) -> None:
    path = make_video(tmp_path / "a.mp4", g="10", bf="0", keyint_min="10", sc_threshold="0")
    source = open_source(spoil(path, 13), threads=threads)
    assert read_indices(source) == [*range(13), *range(20, 30)]
    assert source.stats.frames_read == 23
    assert source.stats.frames_lost == 7
    assert source.stats.notes == (
        "the header claims 30 frames, 23 decoded",
        "damaged frames, left out: 7",
    )


def test_a_key_frame_that_waited_for_its_turn_heals_nothing(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", g="10", bf="2", sc_threshold="0")
    source = open_source(spoil(path, 12))
    indices = read_indices(source)
    assert indices[-10:] == list(range(20, 30))
    assert not set(range(11, 20)) & set(indices)
    assert source.stats.frames_read + source.stats.frames_lost == 30


def test_a_stream_without_further_key_frames_comes_back(tmp_path: Path) -> None:
    frames = MAX_FRAMES_WITHOUT_KEY + 30
    path = make_video(
        tmp_path / "a.mp4", frames=frames, size=(64, 48), g="9999", bf="0", sc_threshold="0"
    )
    source = open_source(spoil(path, 5))
    assert len(read_times(source)) == frames - MAX_FRAMES_WITHOUT_KEY - 1
    assert source.stats.frames_lost == MAX_FRAMES_WITHOUT_KEY + 1


def test_every_picture_stands_alone_in_motion_jpeg(tmp_path: Path) -> None:
    source = open_source(spoil(make_video(tmp_path / "a.avi", codec="mjpeg"), 7))
    assert read_indices(source) == [*range(7), *range(8, 30)]
    assert source.stats.frames_lost == 1


@pytest.mark.parametrize(
    ("name", "codec", "movflags"),
    [("a.mp4", "libx264", "faststart"), ("a.avi", "mpeg4", ""), ("m.avi", "mjpeg", "")],
)
def test_truncated_file_with_a_count_in_its_header(
    tmp_path: Path, name: str, codec: str, movflags: str
) -> None:
    path = make_video(tmp_path / name, codec=codec, movflags=movflags, bf="0")
    source = open_source(truncate(path, 18))
    indices = read_indices(source)
    assert indices == list(range(len(indices)))
    assert 16 <= len(indices) <= 19, "what lies before the cut plays"
    assert len(indices) + source.stats.frames_lost == 30
    assert f"the header claims 30 frames, {len(indices)} decoded" in source.stats.notes


def test_empty_time_slots_of_avi_are_not_lost(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", frames=5, codec="mpeg4", pts=[0, 1, 5, 6, 12])
    source = open_source(path)
    assert source.info.num_frames == 13, "the header counts slots"
    assert [round(25 * t.pts_s) for t in read_times(source)] == [0, 1, 5, 6, 12]
    assert source.stats.frames_lost == 0


def test_frames_that_an_edit_list_hides_are_not_lost(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", g="10", bf="0", sc_threshold="0")
    path = tmp_path / "cut.mp4"
    source = open_source(copy_from(whole, path, start=14))
    assert source.info.num_frames == 20, "the header counts the hidden ones"
    assert read_indices(source) == list(range(14, 30))
    assert source.stats.frames_lost == 0


def test_truncated_file_with_only_a_duration_in_its_header(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=39, bf="0")
    source = open_source(truncate(path, 18))
    indices = read_indices(source)
    assert indices == list(range(len(indices)))
    assert 16 <= len(indices) <= 19
    assert 39 - len(indices) - 1 <= source.stats.frames_lost <= 39 - len(indices)
    assert "its header claims 1.6 s" in " ".join(source.stats.notes)


def test_silently_swallowed_packets_are_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", codec="mpeg4")
    source = open_source(spoil(path, 13))
    assert len(read_indices(source)) == 29
    assert source.stats.frames_lost == 1


def test_stats_name_no_loss_before_the_end(tmp_path: Path) -> None:
    source = open_source(make_video(tmp_path / "a.mp4"))
    source.read()
    source.close()
    assert (source.stats.frames_read, source.stats.frames_lost, source.stats.notes) == (1, 0, ())


def test_text_named_mp4(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("hello\n" * 200)
    with pytest.raises(SourceError, match=r"a\.mp4 cannot be read: Invalid data.*FFmpeg can read"):
        open_source(path)


@pytest.mark.parametrize("name", ["a.txt", "a.toml", "a.srt"])
def test_text_that_ffmpeg_would_draw_or_subtitle(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("[1]\n00:00:01,000 --> 00:00:02,000\nhello\n" * 50)
    with pytest.raises(SourceError, match=r"holds no video|cannot be read"):
        open_source(path)


def test_unknown_codec(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    with pytest.raises(SourceError, match=r"codec that FFmpeg does not know.*H\.264"):
        open_source(path)


def test_tags_that_are_not_utf8(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    spoilt = path.read_bytes().replace(b"Lavf", b"\xe9\xe8\xff\xfe")
    assert spoilt != path.read_bytes()
    path.write_bytes(spoilt)
    assert read_indices(open_source(path)) == list(range(30))


def test_zero_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    with pytest.raises(SourceError, match=r"a\.mp4 is empty \(0 bytes\)"):
        open_source(path)


@pytest.mark.parametrize(("name", "cover"), [("a.m4a", False), ("a.mp3", True)])
def test_sound_only(tmp_path: Path, name: str, cover: bool) -> None:
    path = make_sound(tmp_path / name, cover)
    with pytest.raises(SourceError, match="holds no video"):
        open_source(path)


def test_nothing_that_decodes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=1)
    with pytest.raises(SourceError, match=r"holds no frame that decodes|cannot be read"):
        open_source(spoil(path, 0))


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    def deny(*_: object, **__: object) -> None:
        raise av.error.PermissionError(13, "Permission denied", "a.mp4")

    path = make_video(tmp_path / "a.mp4")
    monkeypatch.setattr(av, "open", deny)
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        open_source(path)


def test_a_stream_that_appears_on_the_way(tmp_path: Path) -> None:
    nothing = b"\x47\x1f\xff\x10" + 184 * b"\xff"
    path = make_video(tmp_path / "a.ts", frames=60, bf="0")
    video = path.read_bytes()
    sound = make_sound(tmp_path / "sound.ts", mpegts_start_pid="512").read_bytes()
    # Farther in than FFmpeg looks when it opens the file, from the start and from the end.
    path.write_bytes(video + 30_000 * nothing + sound + video + 2_000 * nothing + video)
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
        with pytest.raises(IndexError):
            list(container.demux())
    source = open_source(path)
    indices = read_indices(source)
    # The sound's table of streams cuts off the packets that are open when it comes.
    assert indices[:50] == list(range(50))
    assert indices[-60:] == list(range(60))
    assert len(indices) + source.stats.frames_lost == 180


def test_a_picture_that_cannot_be_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert, count = BgrConverter.__call__, 0

    def refuse_the_third(self: BgrConverter, frame: av.VideoFrame) -> UInt8Array:
        nonlocal count
        count += 1
        if count == 3:
            frame.color_range = 3  # there is no such range
        return convert(self, frame)

    monkeypatch.setattr(BgrConverter, "__call__", refuse_the_third)
    source = open_source(make_video(tmp_path / "odd.mp4", frames=5))
    assert source.read() is not None
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"odd\.mp4: a picture of 160x120 yuv420p cannot be"):
        source.read()
    source.close()
