"""The GStreamer source, with Debian's GStreamer."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from source_media import index_of, make_video, read_indices, read_times

from edgevid.errors import SourceError
from edgevid.sources import open_source
from edgevid.sources.gst_pipeline import has_jetson_decoder, pipeline_for
from edgevid.sources.gstreamer import GStreamerSource
from edgevid.sources.raw_pictures import FORMATS
from edgevid.sources.reconnecting import ReconnectingSource, RetryPolicy

PATTERN = "gst:videotestsrc num-buffers={count} pattern={pattern} ! {caps}"
needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None,
    reason="no GStreamer here; on Debian: apt install gstreamer1.0-tools "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav",
)


def children() -> list[psutil.Process]:
    return [c for c in psutil.Process().children() if c.name().startswith("gst-launch")]


@pytest.fixture(autouse=True)
def nothing_leaks():
    before = psutil.Process().num_fds()
    yield
    assert children() == []
    assert psutil.Process().num_fds() <= before


@needs_gstreamer
@pytest.mark.parametrize(
    ("codec", "size", "options"),
    [
        ("libx264", (160, 120), {"g": "10"}),
        ("libx264", (162, 122), {"bf": "2"}),
        ("libx264", (162, 122), {"pixels": "yuv422p"}),
        ("libx264", (160, 120), {"pixels": "yuv444p"}),
        ("libx265", (162, 122), {"pixels": "yuv420p10le", "x265-params": "log-level=none"}),
        ("mpeg4", (160, 120), {}),
        ("mjpeg", (160, 120), {}),
    ],
)
def test_pictures_and_times_are_those_of_pyav(tmp_path, codec, size, options):
    path = make_video(tmp_path / "a.mp4", codec=codec, size=size, **options)
    ours = open_source(path, decoder="gstreamer")
    theirs = open_source(path, decoder="pyav")
    assert isinstance(ours, GStreamerSource)
    assert (ours.info.width, ours.info.height, ours.info.fps) == (*size, 25.0)
    for _ in range(30):
        got, expected = ours.read(), theirs.read()
        assert got is not None
        assert expected is not None
        assert (got.time.index, got.time.pts_s) == (
            expected.time.index,
            pytest.approx(expected.time.pts_s, abs=1e-6),
        )
        # Both decode JPEG with their own inverse transform; of 10 bits PyAV alone takes into
        # account where between the pixels the colour lies.
        most = {"mjpeg": 1.0, "libx265": 2.0}.get(codec, 0.0)
        assert np.abs(got.data.astype(int) - expected.data).mean() <= most
    assert ours.read() is None
    assert theirs.read() is None
    theirs.close()
    ours.close()
    assert ours.read() is None


@needs_gstreamer
@pytest.mark.parametrize("size", [(64, 48), (53, 37)])
@pytest.mark.parametrize("colours", ["bt601", "bt709"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_its_colours(name, colours, size):
    caps = f"video/x-raw,format={name},width={size[0]},height={size[1]}"
    if name not in ("BGR", "BGRx", "GRAY8"):
        caps += f",colorimetry={colours}"
    colour = "solid-color foreground-color=0xff808080" if name == "GRAY8" else (
        "solid-color foreground-color=0xffd03060"
    )  # fmt: skip
    source = open_source(PATTERN.format(count=2, pattern=colour, caps=caps))
    frame = source.read()
    source.close()
    assert frame is not None
    assert frame.data.shape == (size[1], size[0], 3)
    expected = np.array([128] * 3 if name == "GRAY8" else [0x60, 0x30, 0xD0])
    assert np.abs(frame.data.astype(int) - expected).max() <= (4 if "BGR" not in name else 0)


@needs_gstreamer
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_file_is_upright(tmp_path, degrees):
    path = make_video(tmp_path / "a.mp4")
    turned = tmp_path / "turned.mp4"
    with av.open(str(path)) as given, av.open(str(turned), "w") as out:
        copied = out.add_stream_from_template(given.streams.video[0])
        copied.set_display_rotation(degrees)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                out.mux(packet)
    ours, theirs = open_source(turned, decoder="gstreamer"), open_source(turned)
    assert (ours.info.width, ours.info.height) == (theirs.info.width, theirs.info.height)
    a, b = ours.read(), theirs.read()
    assert a is not None
    assert b is not None
    np.testing.assert_array_equal(a.data, b.data)
    ours.close()
    theirs.close()


@needs_gstreamer
def test_the_decoder_scales_where_it_is_told(tmp_path):
    path = make_video(tmp_path / "a clip.mp4", size=(320, 240))
    source = open_source(f"gst:{path}#size=80x60")
    assert (source.info.width, source.info.height) == (80, 60)
    assert read_indices(source) == list(range(30))
    source.close()


@needs_gstreamer
def test_refused_frames_are_counted_and_keep_the_others_in_place(tmp_path):
    source = open_source(make_video(tmp_path / "a.mp4"), decoder="gstreamer")
    frame = source.read(lambda t: t.index == 7)
    assert frame is not None
    assert index_of(frame.data) == 7
    assert frame.time.pts_s == pytest.approx(7 / 25)
    assert frame.time.next_pts_s == pytest.approx(8 / 25)
    assert len(read_times(source)) == 22
    assert source.stats.frames_read == 30
    source.close()


@needs_gstreamer
def test_a_slow_reader_of_a_live_pipeline_gets_the_newest():
    source = open_source(
        "gst:videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=100/1"
    )
    assert source.info.is_live
    first = source.read()
    assert first is not None
    time.sleep(1.0)
    late = [source.read() for _ in range(4)]
    source.close()
    times = [frame.time for frame in (first, *late) if frame is not None]
    assert all(a.pts_s < b.pts_s for a, b in pairwise(times))
    assert times[-1].pts_s > 0.9, "what had waited for long was dropped"
    assert times[-1].index == 4


@needs_gstreamer
def test_a_slow_reader_of_a_file_loses_nothing(tmp_path):
    source = open_source(make_video(tmp_path / "a.mp4", size=(320, 240)), decoder="gstreamer")
    assert not source.info.is_live
    source.read()
    time.sleep(0.5)
    assert read_indices(source) == list(range(1, 30))
    source.close()


@needs_gstreamer
def test_a_size_that_changes_in_the_middle():
    part = "videotestsrc num-buffers=5 ! video/x-raw,format=BGR,width={},height=48 ! c. "
    source = open_source("gst:" + part.format(64) + part.format(96) + "concat name=c")
    widths = []
    while (frame := source.read()) is not None:
        widths.append(frame.data.shape[1])
    source.close()
    assert widths == [64] * 5 + [96] * 5
    assert "the format of the pictures changed 1 time(s)" in source.stats.notes


@needs_gstreamer
def test_what_is_shown_runs_in_a_shell(tmp_path):
    source = open_source(make_video(tmp_path / "a (clip).mp4"), decoder="gstreamer")
    source.close()
    command = source.info.pipeline.replace("autovideosink", "fakesink")
    subprocess.run(["bash", "-c", command], check=True, timeout=20, capture_output=True)


@needs_gstreamer
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("gst:nosuch ! fakesrc", r'no element "nosuch".*check its name'),
        ("gst:nvvidconv", r"sudo apt install nvidia-l4t-gstreamer$"),
        ("csi:0", r"csi:0 does not start: no element .*sudo apt install .*nvidia-l4t-camera"),
        ("gst:videotestsrc foo=3", r'no property "foo" in element "videotestsrc"'),
        ("gst:audiotestsrc ! videoconvert", r"could not link audiotestsrc0"),
        ("gst:videotestsrc ! autovideosink", r"ends in autovideosink.*raw video, or with appsink"),
        ("gst:videotestsrc ! ", r"has an element that is empty"),
        ("gst:videotestsrc ! 'x", r"cannot be read: No closing quotation"),
        ("gst:v4l2src device=/dev/video97", r"Cannot identify device '/dev/video97'.*\(v4l2src0\)"),
        ("gst:rtsp://me:secret@127.0.0.1:1/x", r"rtsp://\*\*\*@127.*Failed to connect.*password"),
        ("gst:http://host/x", r"cannot read 'http://host/x'.*whole pipeline"),
        ("gst:nowhere/a.mp4", r"no such file: nowhere/a.mp4"),
        ("gst:rtsp://host/x#size=big", r"size=big is no size.*size=640x360"),
        ("gst:rtsp://host/x#width=3", r"no option 'width'.*size"),
        ("csi:front", r"names no CSI camera.*csi:0"),
        ("csi:0?fps=0", r"fps=0 is no frame rate"),
        ("csi:0?gain=3", r"no option 'gain'.*size and fps"),
        (__file__, r"text file.*GStreamer can read"),
    ],
)
def test_what_cannot_be_opened_is_one_line_that_says_why(uri, message, capfd):
    with pytest.raises(SourceError, match=message) as caught:
        open_source(uri, decoder="gstreamer", open_timeout_s=8)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_without_gstreamer_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SourceError, match=r"needs gst-launch-1\.0.*apt install gstreamer1\.0-tools"
    ):
        open_source("gst:videotestsrc")


@needs_gstreamer
def test_a_pipeline_that_gives_nothing_is_given_up():
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"nothing came for 0.5 s"):
        open_source("gst:appsrc ! appsink", open_timeout_s=0.5)
    assert time.monotonic() - started < 4


@needs_gstreamer
def test_a_crash_is_an_error_of_the_source_alone():
    source = open_source("gst:videotestsrc is-live=true")
    assert source.read() is not None
    children()[0].send_signal(signal.SIGSEGV)
    with pytest.raises(SourceError, match=r"broke off: GStreamer was ended by SIGSEGV.*gst-launch"):
        read_times(source)
    source.close()


def fake_launch(folder: Path, monkeypatch, script: str) -> None:
    path = folder / "gst-launch-1.0"
    path.write_text("#!/bin/bash\nfd=$(grep -o 'fd=[0-9]*' <<< \"$*\" | cut -d= -f2)\n" + script)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_crash_in_the_middle_of_a_picture_is_no_end(tmp_path, monkeypatch):
    def packet(kind: int, payload: bytes) -> bytes:
        return struct.pack(">BBBBHI52x", 1, 0, 1, 0, kind, len(payload)) + payload

    stream = packet(2, b"video/x-raw, format=(string)BGR, width=(int)16, height=(int)10;\0")
    stream += packet(1, bytes(480)) * 2
    (tmp_path / "stream").write_bytes(stream[:-100])
    fake_launch(tmp_path, monkeypatch, f"cat {tmp_path}/stream >&$fd; kill -SEGV $$")
    source = open_source("gst:videotestsrc")
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"broke off: GStreamer was ended by SIGSEGV"):
        source.read()
    source.close()


def test_what_a_plugin_prints_is_no_picture(tmp_path, monkeypatch):
    fake_launch(tmp_path, monkeypatch, "echo noise; echo more >&2; echo $(seq 99) >&$fd; sleep 9")
    with pytest.raises(SourceError, match=r"broke off: a header that begins with 3120"):
        open_source("gst:videotestsrc")


def test_one_that_does_not_end_is_killed(tmp_path, monkeypatch):
    fake_launch(tmp_path, monkeypatch, "trap '' INT TERM; while :; do sleep 0.1; done")
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"nothing came for 0.3 s"):
        open_source("gst:videotestsrc", open_timeout_s=0.3)
    assert time.monotonic() - started < 6


def test_chatter_never_blocks_the_pipeline(tmp_path, monkeypatch):
    fake_launch(tmp_path, monkeypatch, "for i in $(seq 20000); do echo line $i; done; exit 1")
    with pytest.raises(SourceError, match=r"does not start\. Try it by hand"):
        open_source("gst:videotestsrc")


def test_passwords_are_hidden_and_the_command_can_be_pasted():
    pipeline = pipeline_for("gst:rtsp://me:secret@cam/1?a=1&token=abc", on_jetson=False)
    assert pipeline.place == "rtsp://***@cam/1?a=1&token=***"
    assert "secret" not in pipeline.shown
    assert "abc" not in pipeline.shown
    assert pipeline.shown.startswith("gst-launch-1.0 rtspsrc location='rtsp://***@cam/1?a=1")
    assert "location=rtsp://me:secret@cam/1?a=1&token=abc" in pipeline.words(7)
    assert pipeline.words(7)[-3:] == ["fdsink", "fd=7", "sync=false"]


def test_a_jetson_decodes_and_scales_without_the_cpu():
    pipeline = pipeline_for("rtsp://cam/1#size=640x360", on_jetson=True)
    words = " ".join(pipeline.words(5))
    assert "! decodebin ! nvvidconv ! video/x-raw,format=BGRx,width=640,height=360 ! queue" in words
    assert "videoconvert" not in words
    assert pipeline.environment["GST_PLUGIN_FEATURE_RANK"] == "nvv4l2decoder:MAX"
    csi = pipeline_for("csi:1?size=1920x1080&fps=60", on_jetson=True)
    assert " ".join(csi.words(5)).startswith(
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1920,height=1080,"
        "framerate=60/1,format=NV12 ! nvvidconv ! video/x-raw,format=BGRx ! queue leaky=downstream"
    )
    assert (csi.is_live, csi.place) == (True, "csi:1")


@pytest.mark.parametrize("lacking", ["", "gst-launch-1.0", "nvvideo4linux2", "nvvidconv", "gdp"])
def test_the_jetsons_decoder_is_chosen_where_all_of_it_is_installed(tmp_path, lacking):
    folder = tmp_path / "usr/lib/aarch64-linux-gnu/gstreamer-1.0"
    names = [f"libgst{name}.so" for name in ("nvvideo4linux2", "nvvidconv", "rtsp", "gdp")]
    for path in [tmp_path / "usr/bin/gst-launch-1.0", *(folder / name for name in names)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not lacking or lacking not in path.name:
            path.touch()
    assert has_jetson_decoder(tmp_path) is not bool(lacking)


def test_rtsp_goes_the_jetsons_way_only_there(monkeypatch):
    monkeypatch.setattr("edgevid.sources.gst_pipeline.has_jetson_decoder", lambda: True)
    with pytest.raises(SourceError, match=r"nvvidconv|gst-launch"):
        open_source("rtsp://127.0.0.1:1/x")
    with pytest.raises(SourceError, match=r"cannot be opened: Connection refused"):
        open_source("rtsp://127.0.0.1:1/x", decoder="pyav")


@needs_gstreamer
@pytest.mark.parametrize("place", ["camera", "clip"])
def test_rtsp_has_the_times_of_the_camera(rtsp_server, place):
    """To the tick of its clock, whenever the packets arrive and whatever was dropped between."""
    source = open_source(rtsp_server.url(place), decoder="gstreamer")
    assert source.info.is_live
    times = [frame.time.pts_s for frame in (source.read() for _ in range(10)) if frame is not None]
    source.close()
    assert len(times) == 10
    ticks = np.array(times) * 25
    np.testing.assert_allclose(ticks, ticks.round(), atol=0.01)
    assert (np.diff(ticks.round()) >= 1).all()


@needs_gstreamer
def test_rtsp_of_a_clip_has_its_pictures(rtsp_url):
    """Not to the end: on a busy machine the server closes before all is sent."""
    source = open_source(rtsp_url, decoder="gstreamer")
    frames = [frame for frame in (source.read() for _ in range(10)) if frame is not None]
    source.close()
    first = index_of(frames[0].data)
    assert [index_of(f.data) - first for f in frames] == [round(f.time.pts_s * 25) for f in frames]


@needs_gstreamer
def test_a_server_that_is_killed_comes_back(rtsp_server):
    outages = []
    policy = RetryPolicy(stall_after_s=2.0)

    def opening():
        return open_source(rtsp_server.url("camera"), decoder="gstreamer", read_timeout_s=2.0)

    source = ReconnectingSource(opening(), opening, policy, outages.append, threading.Event())
    for _ in range(5):
        assert source.read() is not None
    rtsp_server.kill()
    killed = time.monotonic()
    threading.Timer(random.uniform(0.2, 0.8), rtsp_server.start).start()
    frame = source.read()
    while frame is not None and not frame.time.restart:
        frame = source.read()
    assert frame is not None
    assert time.monotonic() - killed < 10
    assert [o.lasted_s is None for o in outages] == [True, False]
    source.close()


@needs_gstreamer
def test_a_server_that_falls_silent_is_found_by_its_silence(rtsp_server):
    source = open_source(rtsp_server.url("camera"), decoder="gstreamer", read_timeout_s=0.6)
    assert source.read() is not None
    rtsp_server.signal(signal.SIGSTOP)
    with pytest.raises(SourceError, match=r"broke off: nothing came for 0.6 s"):
        read_times(source)
    rtsp_server.signal(signal.SIGCONT)
    source.close()
