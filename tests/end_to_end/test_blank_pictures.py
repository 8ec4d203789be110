"""A camera that delivers one colour for a while: marked, counted and told, not just labelled."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgevid.cli import main
from edgevid.samples import is_blank

FPS = 25
GREY_FROM_S, GREY_TO_S, END_S = 3.0, 7.0, 10.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Ten seconds of noise in blocks; from 3 to 7 s grey, as a decoder gives without a signal."""
    path = tmp_path_factory.mktemp("clip") / "grey.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(round(END_S * FPS)):
            image = np.kron(rng.integers(0, 255, (6, 8, 3), np.uint8), np.ones((40, 40, 1)))
            if GREY_FROM_S <= number / FPS < GREY_TO_S:
                image = np.full((240, 320, 3), 128)
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def test_grey_windows_are_marked(demo_bundle, clip, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    files = ["--jsonl", "labels.jsonl", "--summary", "run.json", "--log", "facts.jsonl"]
    assert main(["run", str(demo_bundle), "-s", f"hall={clip}", *files]) == 0
    lines = [json.loads(line) for line in Path("labels.jsonl").read_text().splitlines()]
    marked = [line["blank"] for line in lines]
    expected = [
        line["start_s"] >= GREY_FROM_S and line["end_s"] < GREY_TO_S for line in lines
    ]  # fmt: skip
    assert marked == expected
    assert 3 <= sum(marked) < len(lines)
    summary = json.loads(Path("run.json").read_text())
    assert summary["clips_blank"] == summary["sources"][0]["clips_blank"] == sum(marked)
    facts = [json.loads(line) for line in Path("facts.jsonl").read_text().splitlines()]
    told = [(f["level"], f["fact"], f["source"]) for f in facts if "picture" in f["fact"]]
    assert told == [("warning", "picture blank", "hall"), ("info", "picture back", "hall")]
    said = capfd.readouterr().err
    assert said.count("hall shows nothing but one colour") == 1
    assert said.count("hall shows a picture again") == 1
    assert f"{sum(marked)} of one colour" in said


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (48, 64), (720, 1280)])
def test_one_colour_is_blank_and_a_detail_is_not(shape):
    picture = np.full((*shape, 3), (90, 120, 7), np.uint8)
    noise = np.random.default_rng(1).integers(0, 4, picture.shape, np.uint8)
    assert is_blank(picture)
    assert is_blank(picture + noise)
    if shape[0] > 3:
        picture[: shape[0] // 4, : shape[1] // 4] = 40
        assert not is_blank(picture)
