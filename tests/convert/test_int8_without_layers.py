"""A model of which nothing can be INT8 becomes FP16, and the report says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_models import save
from onnx import helper

from edgevid import demo
from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings

pytestmark = pytest.mark.timeout(120)


def test_a_net_of_few_channels_becomes_fp16(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    shape = ["N", 3, 32, 32]
    model = save(tmp_path / "few.onnx", nodes, [("x", shape)], [("y", ["N", 4])], {"w": weights})
    settings = QuantizeSettings(calib=(str(demo.CLIP),), calib_clips=4, eval_clips=8)
    report = convert(model, tmp_path / "b.edgevid", quantize=settings, target="onnx").report
    assert report.precision == "fp16"
    assert report.quantisation is not None
    assert report.quantisation.groups == ()
