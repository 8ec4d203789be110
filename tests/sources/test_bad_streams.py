"""Streams that change, run backwards, or send nothing that can be seen; made by PyAV."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import pytest
from source_media import index_of, make_video, read_times

from edgevid.errors import SourceError
from edgevid.sources import container, open_source

pytestmark = pytest.mark.timeout(60)


# FFmpeg marks the packet at the break as corrupt; nothing is shown from there to the key frame.
@pytest.mark.parametrize(("decoder", "whole"), [("pyav", 58), ("gstreamer", 60)])
def test_size_rate_and_clock_change_in_the_middle(tmp_path, decoder, whole):
    """A transmitter that was set up anew: another size, another rate, its clock from the start."""
    first = make_video(tmp_path / "a.ts", frames=60, fps=25, bf="0")
    second = make_video(tmp_path / "b.ts", frames=20, fps=10, size=(96, 64), bf="0")
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    source = open_source(both, decoder=decoder)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    source.close()
    assert [index_of(f.data) for f in frames] == [*range(whole), *range(20)]
    assert [f.data.shape for f in frames] == [(120, 160, 3)] * whole + [(64, 96, 3)] * 20
    times = [f.time.pts_s for f in frames]
    assert all(a < b for a, b in pairwise(times))
    steps = [b - a for a, b in pairwise(times)]
    assert steps[: whole - 1] == pytest.approx([1 / 25] * (whole - 1), abs=1e-4)
    assert steps[-18:] == pytest.approx([1 / 10] * 18, abs=1e-4)
    changed = "the size of the pictures changed 1 time(s)"
    assert changed.replace("size", "format" if decoder == "gstreamer" else "size") in (
        source.stats.notes
    )


@pytest.mark.parametrize(
    ("pts", "repaired"),
    [
        ([0, 1, 2, 2, 3, 4, 4, 4, 5, 6], 3),  # frames that last for no time
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0),
    ],
)
def test_frames_of_no_duration_are_placed_between_the_others(tmp_path, pts, repaired):
    path = make_video(tmp_path / "whole.mkv", frames=len(pts), g="1", bf="0")
    spoilt = tmp_path / "spoilt.mkv"
    with av.open(str(path)) as given, av.open(str(spoilt), "w") as out:
        copied = out.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(p for p in given.demux(video=0) if p.dts is not None):
            packet.pts = packet.dts = pts[number] * 40
            packet.duration = 0
            packet.stream = copied
            out.mux(packet)
    source = open_source(spoilt)
    times = read_times(source)
    source.close()
    assert len(times) == len(pts)
    assert all(a.pts_s < b.pts_s for a, b in pairwise(times))
    assert all(t.next_pts_s > t.pts_s for t in times)
    assert source.stats.pts_repaired == repaired
    good = [i for i in range(len(pts)) if i == 0 or pts[i] > max(pts[:i])]
    assert [times[i].pts_s for i in good] == pytest.approx([pts[i] * 0.04 for i in good])


def without_key_frames(path: Path) -> bytes:
    """The stream of a file, of whose key frames only the headers (SPS, PPS) are left."""
    stripped = path.with_name("stripped.ts")
    with av.open(str(path)) as given, av.open(str(stripped), "w") as out:
        copied = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is None:
                continue
            kept = packet
            if packet.is_keyframe:
                units = bytes(packet).split(b"\0\0\1")
                headers = [unit for unit in units if unit and unit[0] & 31 in (7, 8, 9)]
                kept = av.Packet(b"".join(b"\0\0\1" + unit for unit in headers))
                kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = copied
            out.mux(kept)
    return stripped.read_bytes()


@pytest.fixture
def serve() -> Iterator:
    """Sends one connection the first bytes at once, the rest at a camera's pace."""
    stop = threading.Event()
    threads = []

    def start(at_once: bytes, rest: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def send() -> None:
            connection, _ = listener.accept()
            try:
                connection.sendall(at_once)
                for at in range(0, len(rest), 188):
                    if stop.wait(0.02):
                        break
                    connection.sendall(rest[at : at + 188])
            except OSError:
                pass
            finally:
                connection.close()
                listener.close()

        threads.append(threading.Thread(target=send))
        threads[-1].start()
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("starts_whole", [True, False])
def test_packets_without_a_key_frame_are_given_up_with_their_reason(
    tmp_path, serve, monkeypatch, starts_whole
):
    monkeypatch.setattr(container, "NO_PICTURE_S", 1.0)
    path = make_video(tmp_path / "a.ts", frames=300, g="9999", bf="0", sc_threshold="0")
    stripped = without_key_frames(path)
    whole = make_video(tmp_path / "b.ts", frames=60, bf="0").read_bytes()
    head = stripped[: len(stripped) // 4]
    at_once = whole + head if starts_whole else head
    url = serve(at_once, stripped[len(head) :])
    started = time.monotonic()
    with pytest.raises(SourceError, match=r"packets came for 1 s, and no .* key frame.*GOP of 1"):
        read_times(open_source(url))
    assert time.monotonic() - started < 20
