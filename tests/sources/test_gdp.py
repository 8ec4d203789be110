from __future__ import annotations

import os
import struct
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.sources.gdp import GdpReader, NotGdp, TimedOut, new_picture, parse_caps
from edgevid.sources.raw_pictures import RawPictures

NO_TIME = 2**64 - 1
TIMES = st.one_of(st.just(NO_TIME), st.integers(0, 2**50))


def packet(kind: int, payload: bytes, pts: int = NO_TIME, duration: int = NO_TIME) -> bytes:
    head = struct.pack(">BBBBHIQQ", 1, 0, 1, 0, kind, len(payload), pts, duration)
    return head + bytes(62 - len(head)) + payload


@contextmanager
def reading(data: bytes, chunks: int = 1, ends: bool = True):
    """A reader of `data`, which a thread writes in so many pieces."""
    fd, theirs = os.pipe()
    messages, said = os.pipe()
    os.write(said, b"chatter")

    def write() -> None:
        step = max(1, len(data) // chunks)
        for at in range(0, len(data), step):
            os.write(theirs, data[at : at + step])
        if ends:
            os.close(theirs)

    thread = threading.Thread(target=write)
    thread.start()
    yield GdpReader(fd, messages)
    thread.join(10)
    for each in (fd, messages, said) if ends else (fd, messages, said, theirs):
        os.close(each)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=200), TIMES, TIMES), max_size=8),
    st.integers(1, 400),
)
def test_what_is_packed_comes_out_however_it_is_cut(pictures, chunks):
    data = packet(64, b"GstEventSegment;\0")
    data += packet(2, b"video/x-raw, format=(string)GRAY8, width=(int)3;\0")
    data += b"".join(packet(1, *picture) for picture in pictures)
    with reading(data, chunks) as reader:
        for payload, pts, duration in pictures:
            header = reader.next_header(5)
            assert header is not None
            assert header.pts_s == (None if pts == NO_TIME else pts / 1e9)
            assert header.duration_s == (None if duration == NO_TIME else duration / 1e9)
            assert reader.caps == {"media": "video/x-raw", "format": "GRAY8", "width": "3"}
            picture = new_picture(header.num_bytes)
            assert reader.read_into(picture, 5)
            assert picture.tobytes() == payload
        assert reader.next_header(5) is None
        assert not pictures or reader.said == b"chatter"


@given(st.binary(min_size=62, max_size=62).filter(lambda b: b[0] != 1))
@settings(max_examples=20, deadline=None)
def test_noise_is_told_from_pictures(noise):
    with reading(noise) as reader, pytest.raises(NotGdp, match="a header that begins with"):
        reader.next_header(5)


def test_a_header_that_promises_too_much_is_noise():
    head = struct.pack(">BBBBHIQQ", 1, 0, 1, 0, 1, 2**32 - 1, 0, 0) + bytes(36)
    with reading(head) as reader, pytest.raises(NotGdp):
        reader.next_header(5)


def test_a_stream_that_is_cut_off_or_stops():
    whole = packet(1, b"x" * 100)
    with reading(whole[:30]) as reader:
        assert reader.next_header(5) is None
    with reading(whole[:100]) as reader:
        assert reader.next_header(5) is not None
        assert not reader.read_into(new_picture(100), 5)
    with reading(whole[:100], ends=False) as reader:
        assert reader.next_header(5) is not None
        with pytest.raises(TimedOut):
            reader.read_into(new_picture(100), 0.05)
        with pytest.raises(TimedOut):
            reader.next_header(0.05)


@given(st.text())
def test_caps_of_any_text_are_fields(text):
    assert all(isinstance(value, str) for value in parse_caps(text).values())


def test_caps_as_gstreamer_writes_them():
    assert parse_caps(
        "video/x-raw, format=(string)I420, width=(int)384, "
        "multiview-flags=(GstVideoMultiviewFlagsSet)0:ffffffff:/right-view-first/left-flipped, "
        'title=(string)"a, b", framerate=(fraction)25000/1001;\0'
    ) == {
        "media": "video/x-raw",
        "format": "I420",
        "width": "384",
        "multiview-flags": "0:ffffffff:/right-view-first/left-flipped",
        "title": "a, b",
        "framerate": "25000/1001",
    }


@given(
    st.sampled_from(["BGR", "BGRx", "GRAY8", "I420", "NV12", "Y42B", "Y444"]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 255),
)
@settings(deadline=None)
def test_a_gray_picture_is_gray_whatever_its_size_and_layout(name, width, height, level):
    caps = {"format": name, "width": str(width), "height": str(height), "colorimetry": "1:4:0:0"}
    pictures = RawPictures({"media": "video/x-raw", **caps})
    data = np.full(pictures.num_bytes, level, np.uint8)
    if "4" in name or name == "NV12":
        rows = height if name.startswith("Y4") else height + height % 2
        luma = -(-width // 4) * 4 * rows
        data[luma:] = 128
    image = pictures(data)
    assert image.shape == (height, width, 3)
    assert np.abs(image.astype(int) - level).max() <= 2


@pytest.mark.parametrize(
    "caps",
    [{}, {"media": "video/x-raw", "format": "RGB16", "width": "3", "height": "3"},
     {"media": "video/x-h264", "format": "I420", "width": "3", "height": "3"},
     {"media": "video/x-raw", "format": "I420", "width": "3"}],
)  # fmt: skip
def test_what_is_no_raw_picture_is_refused(caps):
    with pytest.raises(ValueError, match="x"):
        RawPictures(caps)
