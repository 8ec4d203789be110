"""Stacked frames, differences and flow in FP16 and INT8, and as TensorRT-RTX plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_models import save
from onnx import helper

import edgevid
from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings
from edgevid.manifest import Bundle

SIDE = 32
VIDEOS = tuple(f"synthetic:?seconds=1&motions=left,grow,clockwise&seed={i}" for i in range(3))
CLIP = {"fps": 25.0, "hop_s": 0.2}


def convolutional(path: Path, channels: dict[str, int], gain: dict[str, float]) -> Path:
    """A branch of two convolutions for each input, their logits added.

    Args:
        channels: Input name to its channels.
        gain: Input name to how large its values are about.
    """
    rng = np.random.default_rng(2)
    # One class leads: of near ties INT8 rightly changes the winner.
    nodes, weights = [], {"bias": np.array([2, 0, 0, 0], np.float32)}
    for name, count in channels.items():
        first = rng.normal(0, (2 / (9 * count)) ** 0.5 / gain[name], (32, count, 3, 3))
        weights |= {
            f"{name}/first": first.astype("f4"),
            f"{name}/second": rng.normal(0, 0.1, (32, 32, 3, 3)).astype("f4"),
            f"{name}/dense": rng.normal(0, 0.5, (32, 4)).astype("f4"),
        }
        chain = [
            ("Conv", [f"{name}/first"], {"pads": [1] * 4, "strides": [2, 2]}),
            ("Relu", [], {}),
            ("Conv", [f"{name}/second"], {"pads": [1] * 4}),
            ("Relu", [], {}),
            ("GlobalAveragePool", [], {}),
            ("Flatten", [], {}),
            ("MatMul", [f"{name}/dense"], {}),
        ]
        current = name
        for i, (op, operands, attributes) in enumerate(chain):
            nodes.append(helper.make_node(op, [current, *operands], [f"{name}/{i}"], **attributes))
            current = f"{name}/{i}"
    nodes.append(
        helper.make_node("Sum", ["bias", *(f"{n}/{len(chain) - 1}" for n in channels)], ["y"])
    )
    inputs = [(name, ["batch", count, SIDE, SIDE]) for name, count in channels.items()]
    return save(path, nodes, inputs, [("y", ["batch", 4])], weights)


FAMILIES: dict[str, tuple[dict[str, int], dict[str, float], list[dict[str, Any]]]] = {
    "early fusion": (
        {"x": 12},
        {"x": 4.0},
        [{"layout": "N(TC)HW", "resize": "stretch"}],
    ),
    "differences": (
        {"x": 15},
        {"x": 0.3},
        [{"layout": "N(TC)HW", "modality": "rgb_diff", "resize": "stretch"}],
    ),
    "two streams": (
        {"rgb": 3, "flow": 10},
        {"rgb": 4.0, "flow": 0.1},
        [
            {"name": "rgb", "frames": "first", "resize": "stretch"},
            {"name": "flow", "resize": "stretch"},
        ],
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_passes_the_gate_and_answers_like_fp32(tmp_path: Path, family: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
    channels, gain, inputs = FAMILIES[family]
    model = convolutional(tmp_path / "m.onnx", channels, gain)
    settings = QuantizeSettings(
        calib=VIDEOS, calib_clips=12, eval_clips=12, budget_s=0.0, by_speed=False
    )
    answers = {}
    for precision in ("fp32", "fp16", "int8"):
        result = convert(
            model,
            tmp_path / f"{precision}.edgevid",
            spec={"clip": CLIP, "inputs": inputs},
            precision=precision,  # type: ignore[arg-type]
            quantize=settings if precision == "int8" else None,
            target="tensorrt-rtx",
            compute_capabilities=["8.6"],
        )
        assert result.report.precision == precision
        [plan] = result.report.plans
        assert plan.key
        assert precision in plan.key
        stream = edgevid.stream(result.bundle, VIDEOS[0], engine="onnxruntime", max_clips=5)
        answers[precision] = np.array([p.scores for p in stream])
    operators = [
        node.op_type
        for node in onnx.load(str(Bundle.load(tmp_path / "int8.edgevid").file("model"))).graph.node
    ]
    assert np.ptp(answers["fp32"], axis=0).max() > 1e-3, "the windows do not differ"
    assert operators.count("QuantizeLinear") >= 2 * len(channels)
    assert np.abs(answers["fp16"] - answers["fp32"]).max() < 0.01
    assert np.abs(answers["int8"] - answers["fp32"]).max() < 0.1
    assert (answers["int8"].argmax(axis=1) == answers["fp32"].argmax(axis=1)).mean() >= 0.8
