from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgevid.errors import SourceError, SourceNotFoundError
from edgevid.sources import expand, open_source
from edgevid.sources.uri import (
    Kind,
    kind_of,
    local_path,
    may_return,
    natural_key,
    redact,
    shown_name,
    split_name,
)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("synthetic:shapes", Kind.SYNTHETIC),
        ("gst:videotestsrc ! appsink", Kind.GSTREAMER),
        ("rtspsrc location=rtsp://cam/1 ! decodebin ! appsink", Kind.GSTREAMER),
        ("csi:0", Kind.GSTREAMER),
        ("gst:rtsp://cam/1", Kind.GSTREAMER),
        ("rtsp://cam/1", Kind.NETWORK),
        ("RTSPS://cam/1", Kind.NETWORK),
        ("https://host/a.mp4?x=1", Kind.NETWORK),
        ("0", Kind.CAMERA),
        ("12", Kind.CAMERA),
        ("/dev/video3", Kind.CAMERA),
        ("0?format=MJPG", Kind.CAMERA),
        ("/dev/v4l/by-id/usb-Cam-video-index0?fps=30", Kind.CAMERA),
    ],
)
def test_kind_of_names_that_are_no_files(uri: str, kind: Kind) -> None:
    assert kind_of(uri) is kind


def test_kind_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a b.MP4", "7", "clip[1].mp4", "x.JPG"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert kind_of("a b.MP4") is Kind.FILE
    assert kind_of(f"file://{tmp_path}/a%20b.MP4") is Kind.FILE
    assert local_path(f"file://{tmp_path}/a%20b.MP4") == tmp_path / "a b.MP4"
    assert kind_of("7") is Kind.FILE, "a file named like a camera number is the file"
    assert kind_of("clip[1].mp4") is Kind.FILE, "a name with brackets is no pattern"
    assert kind_of("x.JPG") is Kind.IMAGES
    assert kind_of("*.JPG") is Kind.IMAGES


def test_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(SourceError, match=r"unknown scheme 'gopher'.*rtsp") as caught:
        kind_of("gopher://user:secret@host/x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:pa55@cam:554/1", "rtsp://***@cam:554/1"),
        ("rtsp://admin:p@ss@cam/1", "rtsp://***@cam/1"),
        ("http://h/a?user=x&password=pa55&n=1", "http://h/a?user=x&password=***&n=1"),
        ("http://h/a?access_token=t0", "http://h/a?access_token=***"),
        (
            "rtspsrc location=rtsp://u:p@cam/1 user-pw=pa55 ! appsink",
            "rtspsrc location=rtsp://***@cam/1 user-pw=*** ! appsink",
        ),
        ("folder/me@home.mp4", "folder/me@home.mp4"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_natural_order() -> None:
    names = ["f1", "f2", "f10", "f10b", "f0011", "g", "g-01", "g-1"]
    shuffled = random.Random(3).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == names


def test_expand_folder_and_glob(tmp_path: Path) -> None:
    for name in ("b10.mp4", "b2.MKV", "notes.txt", "still.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.avi").write_bytes(b"x")
    videos = [str(tmp_path / "b2.MKV"), str(tmp_path / "b10.mp4")]
    assert expand(tmp_path) == videos
    assert expand(f"file://{tmp_path}") == videos
    assert expand(f"{tmp_path}/b*") == videos
    assert expand(f"{tmp_path}/**/*.avi") == [str(tmp_path / "below" / "c.avi")]


def test_expand_leaves_single_sources_alone(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    for uri in (
        str(tmp_path),
        f"{tmp_path}/*.png",
        "0",
        "rtsp://cam/*",
        "synthetic:shapes?seed=1",
        "gst:a[0] ! appsink",
        "a ! b[0] ! appsink",
    ):
        assert expand(uri) == [uri]
    assert expand(0) == ["0"]
    assert expand("not-there.mp4") == ["not-there.mp4"], "open_source says that it is missing"


def test_folder_and_glob_without_media(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for act in (expand, open_source):
        with pytest.raises(SourceNotFoundError, match=r"holds no video and no image.*\.mp4"):
            act(str(tmp_path))
        with pytest.raises(SourceNotFoundError, match=r"no video or image matches .*\*\.mp4"):
            act(f"{tmp_path}/*.mp4")


def test_folder_of_videos_is_not_one_source(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=r"holds 2 videos.*expand"):
        open_source(tmp_path)


def test_missing_file() -> None:
    with pytest.raises(SourceNotFoundError, match=r"no such file: nowhere/a\.mp4"):
        open_source("nowhere/a.mp4")


def test_stream_index_of_something_without_streams(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(SourceError, match="no streams to choose from"):
        open_source(tmp_path, stream=1)


def test_synthetic_source_is_reached() -> None:
    with pytest.raises(SourceError):
        open_source("synthetic:no-such-pattern")


@pytest.mark.parametrize(
    ("uri", "answer"),
    [
        ("rtsp://door/1", True),
        ("http://door/mjpg", True),
        ("0", True),
        ("/dev/video3", True),
        ("/dev/v4l/by-path/pci-0-video-index0", True),
        ("gst:rtsp://door/1", True),
        ("gst:filesrc location=a.mp4 ! decodebin", False),
        ("gst:v4l2src ! appsink", True),
        ("csi:0", True),
        ("clip.mp4", False),
        ("synthetic:?live=1", False),
        ("file:///clip.mp4", False),
        ("frames/", False),
    ],
)
def test_only_devices_and_streams_can_come_back(uri, answer):
    assert may_return(uri) is answer


@pytest.mark.parametrize(
    ("text", "name", "uri"),
    [
        ("door=rtsp://cam/1?a=b", "door", "rtsp://cam/1?a=b"),
        ("back-yard.2=0", "back-yard.2", "0"),
        ("hall=clip.mp4", "hall", "clip.mp4"),
        ("ball=gst:videotestsrc pattern=ball ! appsink", "ball",
         "gst:videotestsrc pattern=ball ! appsink"),
        ("rtsp://cam/1?a=b", None, "rtsp://cam/1?a=b"),
        ("synthetic:?seed=3", None, "synthetic:?seed=3"),
        ("gst:videotestsrc pattern=ball", None, "gst:videotestsrc pattern=ball"),
        ("videotestsrc pattern=ball ! appsink", None, "videotestsrc pattern=ball ! appsink"),
        ("/data/a=b.mp4", None, "/data/a=b.mp4"),
        ("take=1.mp4", None, "take=1.mp4"),
        ("take=*.mp4", None, "take=*.mp4"),
        ("takes=*.mkv", "takes", "*.mkv"),
        ("door=", None, "door="),
    ],
)  # fmt: skip
def test_a_name_before_a_source(text, name, uri, tmp_path, monkeypatch):
    (tmp_path / "take=1.mp4").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert split_name(text) == (name, uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("0?format=MJPG", "/dev/video0"),
        ("rtsp://me:secret@cam/1", "rtsp://***@cam/1"),
        ("gst:rtsp://me:secret@cam/1", "rtsp://***@cam/1"),
        ("csi:0", "csi:0"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_what_a_source_is_called(uri, shown):
    assert shown_name(uri) == shown
