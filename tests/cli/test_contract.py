"""The temporal contract in words and as a drawing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.cli._contract import arithmetic, describe_input, ordinal, sentence, span_s, timeline
from edgevid.spec import ClipSpec, InputSpec


@pytest.mark.parametrize(
    ("clip", "text"),
    [
        (
            ClipSpec(num_frames=16, fps=30, frame_interval=4, hop_s=0.5),
            "16 frames: every 4th frame of the video at 30 fps, 0.133 s apart. "
            "A window spans 2.13 s, a new one every 0.5 s.",
        ),
        (
            ClipSpec(num_frames=8, fps=25),
            "8 frames: consecutive frames of the video at 25 fps, 0.04 s apart. "
            "A window spans 0.32 s, a new one with every sample (0.04 s).",
        ),
        (ClipSpec(), "One frame at a time: every frame of the source as it comes."),
        (
            ClipSpec(frame_interval=3, hop_s=2),
            "One frame at a time: every 3rd frame of the source as it comes, a new one every 2 s.",
        ),
        (
            ClipSpec(fps=10),
            "One frame at a time: every frame of the video at 10 fps, "
            "a new one with every sample (0.1 s).",
        ),
        (
            ClipSpec(num_frames=20, sampling="uniform", window_s=4, hop_s=0.5),
            "20 frames spread evenly over the whole file; "
            "on a live source over 4 s, a new one every 0.5 s.",
        ),
        (
            ClipSpec(num_frames=8, sampling="segments"),
            "The centre frames of 8 equal segments of the file; "
            "on a live source over 2 s, a new one with every sample (0.25 s).",
        ),
    ],
)
def test_sentences(clip, text):
    assert sentence(clip) == text


def test_the_drawing_of_the_docstring():
    clip = ClipSpec(num_frames=4, fps=1, hop_s=2)
    assert timeline(clip, 46) == [
        "window 1  #----#----#----#",
        "window 2            #----#----#----#",
        "window 3                      #----#----#----#",
        "          0 s                              7 s",
    ]
    for line in timeline(clip, 46):
        assert line in (timeline.__doc__ or "")


def test_one_frame_models_are_drawn_on_one_line():
    assert timeline(ClipSpec(fps=10), 40) == [
        "frames    #-------------#-------------#",
        "          0 s                     0.2 s",
    ]


def test_frames_are_evenly_spaced_where_there_is_room():
    clip = ClipSpec(num_frames=16, fps=30, frame_interval=4, hop_s=0.5)
    first, second, *_ = timeline(clip, 76)
    assert first == "window 1  " + "-".join("#" * 16)
    assert second == "window 2  " + " " * 8 + "-".join("#" * 16)


def test_frames_of_a_file():
    [uniform, *_] = timeline(ClipSpec(num_frames=4, sampling="uniform"), 40)
    assert uniform == "file      [#------#------#------#------]"
    [segments, *_] = timeline(ClipSpec(num_frames=4, sampling="segments"), 40)
    assert segments == "file      [---#------#------#------#---]"


def test_a_source_taken_as_it_comes_has_no_time_line():
    assert timeline(ClipSpec(), 76) == []


@st.composite
def clips(draw):
    sampling = draw(st.sampled_from(["uniform", "segments", "interval"]))
    hop_s = draw(st.none() | st.floats(0.001, 1000))
    num_frames = draw(st.integers(1, 200))
    if sampling != "interval":
        window_s = draw(st.none() | st.floats(0.01, 1000))
        return ClipSpec(num_frames=num_frames, sampling=sampling, hop_s=hop_s, window_s=window_s)
    return ClipSpec(
        num_frames=num_frames,
        frame_interval=draw(st.integers(1, 500)),
        fps=draw(st.floats(0.1, 1000)),
        hop_s=hop_s,
    )


@given(clips(), st.integers(40, 200))
def test_any_contract_fits_the_width_and_keeps_its_frames(clip, width):
    lines = timeline(clip, width)
    assert all(len(line) <= width for line in lines)
    windows = [line for line in lines if line.startswith("window")]
    columns = width - 10
    for line in windows:
        marks = line[10:].count("#")
        assert 1 <= marks <= min(clip.num_frames, columns)
    if windows:
        starts = [line.index("#") for line in windows]
        assert starts == sorted(starts)
        assert starts[0] == 10
        assert len(windows[-1]) > width // 2
    assert span_s(clip) == pytest.approx(clip.num_frames * clip.period_s)


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th")],
)
def test_ordinals(number, text):
    assert ordinal(number) == text


def test_ordinals_beyond_twenty():
    assert [ordinal(n) for n in (21, 111, 112, 122)] == ["21st", "111th", "112th", "122nd"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "x = pixel"),
        ({"scale": 1 / 255}, "x = pixel / 255"),
        ({"scale": 0.3}, "x = pixel * 0.3"),
        ({"mean": (127.5,) * 3, "std": (127.5,) * 3}, "x = (pixel - 127.5) / 127.5"),
        ({"mean": (1, 2, 3)}, "x = pixel - [1, 2, 3]"),
        ({"std": (2, 2, 2)}, "x = pixel / 2"),
    ],
)
def test_arithmetic_leaves_out_what_changes_nothing(fields, text):
    assert arithmetic(InputSpec(name="x", layout="NCHW", size=(8, 8), **fields)) == text


def test_a_slow_pathway_takes_every_fourth_frame():
    spec = InputSpec(name="slow", layout="NCTHW", size=(8, 9), every=4)
    first, second, third = describe_input(spec, 32).split("\n")
    assert first == "8 frames, every 4th of the window, 8 high, 9 wide, layout NCTHW"
    assert second == "whole frame stretched (linear)"
    assert third == "RGB, x = pixel"
