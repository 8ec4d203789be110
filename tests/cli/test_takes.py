"""The time line that `inspect` draws of which frames feed which input."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.cli._takes import Symbols, draw, is_plain, takes, to_json
from edgevid.spec import ClipSpec, InputSpec, check_time_axes


def made(name: str = "x", **fields) -> InputSpec:
    layout = "NTCHW" if fields.get("frames", "all") in ("all", "pair") else "NCHW"
    return InputSpec(**{"name": name, "layout": layout, "size": (32, 32), **fields})


def test_the_drawing_of_the_docstring():
    inputs = [made("fast"), made("slow", every=4), made("flow", modality="flow")]
    lines = draw(ClipSpec(num_frames=8, fps=10), inputs, 40)
    assert lines == [
        "fast  #---#---#---#---#---#---#---#",
        "slow  #---------------#------------",
        "flow  #--->--->--->--->--->--->--->",
        "      0 s                     0.7 s",
        "      # frame  > flow goes to",
    ]
    assert all(line in (draw.__doc__ or "") for line in lines)


@pytest.mark.parametrize(
    ("clip", "inputs", "rows"),
    [
        (
            ClipSpec(num_frames=5, fps=30, frame_interval=4),
            [made("rgb"), made("flow", modality="flow", flow_interval=1)],
            [
                "rgb   #------#------#------#------#--",
                "flow  #->----#->----#->----#->----#->",
                "      0 s                     0.567 s",
            ],
        ),
        (
            ClipSpec(num_frames=2, fps=30, frame_interval=15),
            [made("old", frames="first"), made("new", frames="last")],
            [
                "old  #----------------------------------",
                "new  ----------------------------------#",
                "     0 s                           0.5 s",
            ],
        ),
        (
            ClipSpec(),
            [made("context", layout="NCHW"), made("fovea", layout="NCHW", crop="fovea")],
            ["context  #", "fovea    +", "         frame 0"],
        ),
        (
            ClipSpec(num_frames=6, fps=25),
            [made("a_long_name_of_an_input", modality="rgb_diff")],
            ["a_long_nam~  #---->---->---->---->---->"],
        ),
        (
            ClipSpec(frame_interval=4),
            [made(layout="NCHW", modality="flow", flow_interval=2)],
            [
                "x  #----------------------------------->",
                "   frame 0                             2",
            ],
        ),
    ],
)
def test_rows(clip, inputs, rows):
    assert draw(clip, inputs, 40)[: len(rows)] == rows


@st.composite
def contracts(draw_):
    sampling = draw_(st.sampled_from(["interval", "uniform", "segments"]))
    interval = draw_(st.integers(1, 16))
    fps = draw_(st.floats(1, 120)) if sampling == "interval" else None
    clip = ClipSpec(
        num_frames=draw_(st.integers(1, 90)), sampling=sampling, frame_interval=interval, fps=fps
    )
    flow_interval = draw_(st.none() | st.integers(1, interval))
    kinds = st.sampled_from(
        [
            {},
            {"every": 2},
            {"frames": "pair"},
            {"frames": "first"},
            {"frames": "last"},
            {"crop": "fovea"},
            {"modality": "rgb_diff"},
            {"modality": "flow", "flow_interval": flow_interval},
        ]
    )
    fields = draw_(st.lists(kinds, min_size=1, max_size=4))
    names = draw_(st.lists(st.text("abcxyz_", min_size=1, max_size=30), min_size=4, unique=True))
    inputs = [made(name, **more) for name, more in zip(names, fields, strict=False)]
    fitting = []
    for spec in inputs:
        try:
            check_time_axes(clip, (spec,))
        except ValueError:
            continue
        fitting.append(spec)
    return clip, fitting or [made("x", layout="NTHWC")]


@settings(max_examples=60, deadline=None)
@given(contracts(), st.integers(20, 120))
def test_any_contract_fits_any_width(contract, width):
    clip, inputs = contract
    lines = draw(clip, inputs, width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) > len(inputs)
    for spec, line in zip(inputs, lines, strict=False):
        taken = takes(spec, clip)
        assert len(taken) == spec.depth(clip.num_frames)
        drawn = [c for c in line.split()[-1] if c in "#+>"]
        assert 1 <= len(drawn) <= 2 * len(taken)
    for spec in inputs:
        assert all(t.to is None or t.at < t.to <= t.at + max(clip.num_frames, 1)
                   for t in takes(spec, clip))  # fmt: skip


def test_the_same_as_data():
    clip = ClipSpec(num_frames=3, fps=10, frame_interval=2)
    inputs = [made("last", frames="last"), made("flow", modality="flow", flow_interval=1)]
    assert to_json(clip, inputs) == {
        "last": [{"frame": 2, "at_s": 0.4, "to_s": None}],
        "flow": [
            {"frame": 0, "at_s": 0.0, "to_s": 0.1},
            {"frame": 1, "at_s": 0.2, "to_s": 0.3},
            {"frame": 2, "at_s": 0.4, "to_s": 0.5},
        ],
    }
    [one] = to_json(ClipSpec(), [made(layout="NCHW")])["x"]
    assert json.dumps(one) == '{"frame": 0, "at_s": null, "to_s": null}'


def test_one_input_of_plain_frames_needs_no_drawing():
    assert is_plain([made()], ClipSpec(num_frames=4, fps=10))
    for fields in ({"frames": "pair"}, {"crop": "fovea"}, {"modality": "rgb_diff"}):
        assert not is_plain([made(**fields)], ClipSpec(num_frames=4, fps=10))
    assert not is_plain([made("a"), made("b")], ClipSpec(num_frames=4, fps=10))


def test_other_symbols():
    symbols = Symbols("●", "◉", "▸", "─")
    inputs = [made("fovea", crop="fovea"), made("d", modality="rgb_diff")]
    assert draw(ClipSpec(num_frames=3, fps=1), inputs, 30, symbols) == [
        "fovea  ◉──────────◉──────────◉",
        "d      ●──────────▸──────────▸",
        "       0 s                 2 s",
        "       ● frame",
        "       ◉ its centre",
        "       ▸ difference to",
    ]
