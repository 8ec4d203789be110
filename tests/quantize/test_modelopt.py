"""Model Optimizer in place of edgevid's own quantizer: the real one, and stand-ins for it."""

from __future__ import annotations

import json
import sys
import tempfile
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hand_made import graph, node

import edgevid
from edgevid.cli import main
from edgevid.convert import convert
from edgevid.convert.graph import PREFIX, STATES
from edgevid.convert.quantize.clipset import ClipSet, draw
from edgevid.convert.quantize.gate import Gate, evaluate
from edgevid.convert.quantize.graph_view import GraphView
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.modelopt import describe_qdq, quantize_with_modelopt
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.procedure import QuantizeSettings
from edgevid.convert.quantize.ranges import Range, collect_ranges
from edgevid.errors import ConversionError, MissingDependencyError, SpecError
from edgevid.manifest import Bundle

DEMO = Path(edgevid.__file__).parent / "demo"
VIDEO = str(DEMO / "demo.mp4")
FEW = {"calib": (VIDEO,), "calib_clips": 8, "eval_clips": 24, "quantizer": "modelopt"}

needs_modelopt = pytest.mark.skipif(
    find_spec("modelopt") is None, reason="pip install 'edgevid[modelopt]'"
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[onnx.ModelProto, ClipSet]:
    """The demo model's FP32 graph as quantizers get it, and clips for it."""
    out = tmp_path_factory.mktemp("fp32") / "demo.edgevid"
    convert(DEMO / "model.onnx", out, spec=DEMO / "spec.toml", target="onnx")
    bundle = Bundle.load(out)
    clips = draw([VIDEO], bundle.manifest.clip, bundle.manifest.inputs, 32)
    return prepare(onnx.load(str(bundle.file("model")))), clips


@pytest.fixture
def stand_in(monkeypatch, tmp_path) -> Callable[[Callable[..., None]], None]:
    """Puts a function where Model Optimizer's `quantize` is looked for."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def install(quantize: Callable[..., None]) -> None:
        for name in ("modelopt", "modelopt.onnx", "modelopt.onnx.quantization"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        sys.modules[name].quantize = quantize

    return install


class Fake:
    """Chats, reads all clips, and writes edgevid's own Q/DQ with ranges times `factor`."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.calls: list[dict[str, Any]] = []

    def __call__(self, onnx_path: str, *, output_path: str, **options: Any) -> None:
        print("Finding optimal threshold for each tensor")
        print("100%|##########| 10/10", file=sys.stderr)
        reader = options["calibration_data_reader"]
        first, read = reader.get_first(), []
        while (feeds := reader.get_next()) is not None:
            read.append(feeds)
        reader.rewind()
        np.testing.assert_equal(reader.get_next(), first)
        self.calls.append({**options, "clips": len(read)})
        model = onnx.load(onnx_path)
        placement = plan_placement(model)
        ranges = collect_ranges(model, placement.tensors, read, "mse")
        scaled = {k: Range(r.low, r.high, r.amax * self.factor, False) for k, r in ranges.items()}
        onnx.save(insert_qdq(model, placement, scaled), output_path)


def test_asks_for_symmetric_int8_with_fp32_scales_on_all_clips(demo, stand_in, tmp_path, capfd):
    fake = Fake()
    stand_in(fake)
    model, clips = demo
    quantised = quantize_with_modelopt(model, clips, "minmax")
    (call,) = fake.calls
    assert call["clips"] == len(clips) == 32
    assert (call["quantize_mode"], call["calibration_method"]) == ("int8", "max")
    assert (call["high_precision_dtype"], call["calibration_eps"]) == ("fp32", ["cpu"])
    assert call["nodes_to_exclude"] == ["edgevid/.*"]
    assert len(describe_qdq(quantised).groups) == 6
    assert tuple(capfd.readouterr()) == ("", "")
    assert not list(tmp_path.iterdir())


def test_what_it_raises_is_one_line(demo, stand_in, tmp_path, capfd):
    def fail(*_: Any, **__: Any) -> None:
        print("Traceback to come")
        raise AttributeError("'Constant' object has no attribute 'inputs'\nat node 7")

    stand_in(fail)
    with pytest.raises(ConversionError) as caught:
        quantize_with_modelopt(*demo)
    assert caught.value.message == (
        "Model Optimizer cannot quantise the graph: AttributeError: 'Constant' object has no "
        "attribute 'inputs'"
    )
    assert "--quantizer" in caught.value.hint
    assert tuple(capfd.readouterr()) == ("", "")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_comes_back_in_float_is_not_called_int8(demo, stand_in):
    def copy(onnx_path: str, *, output_path: str, **_: Any) -> None:
        Path(output_path).write_bytes(Path(onnx_path).read_bytes())

    stand_in(copy)
    with pytest.raises(ConversionError, match="found nothing to quantise"):
        quantize_with_modelopt(*demo)


def test_unsigned_zero_points_are_refused(demo, stand_in):
    def unsigned(*_: Any, output_path: str, **__: Any) -> None:
        zero = {"s": np.array(0.5, np.float32), "z": np.array(128, np.uint8)}
        pair = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
        onnx.save(graph(pair, ["n", 4], **zero), output_path)

    stand_in(unsigned)
    with pytest.raises(ConversionError, match=r"TensorRT cannot take .* UINT8"):
        quantize_with_modelopt(*demo)


def test_states_are_refused(demo, stand_in):
    fake = Fake()
    stand_in(fake)
    model = graph([node("Relu", "x", "y")], ["n", 4])
    state = {"input": "x", "output": "y", "shape": [1, 4], "dtype": "float32"}
    onnx.helper.set_model_props(model, {STATES: json.dumps([state])})
    with pytest.raises(ConversionError, match="carries states"):
        quantize_with_modelopt(model, demo[1])
    assert not fake.calls


def test_without_the_package_it_says_how_to_get_it(demo, monkeypatch):
    monkeypatch.setitem(sys.modules, "modelopt", None)
    with pytest.raises(MissingDependencyError) as caught:
        quantize_with_modelopt(*demo)
    assert caught.value.package == "modelopt"
    assert caught.value.hint == "Run: pip install 'edgevid[modelopt]'"


def test_without_what_the_package_needs_that_is_named(demo, monkeypatch, tmp_path):
    package = tmp_path / "modelopt" / "onnx"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    text = "No module named 'lief'\\nPlease install optional ``[onnx]`` dependencies."
    (package / "__init__.py").write_text(f'raise ImportError("{text}")')
    for name in [n for n in sys.modules if n.partition(".")[0] == "modelopt"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match="needs the package 'lief'"):
        quantize_with_modelopt(*demo)
    sys.modules.pop("modelopt", None)


def converted(out: Path, **settings: Any) -> Any:
    return convert(
        DEMO / "model.onnx",
        out,
        spec=DEMO / "spec.toml",
        quantize=QuantizeSettings(**{**FEW, **settings}),
        target="onnx",
    ).report


def test_a_good_graph_is_kept_and_reported(stand_in, tmp_path):
    stand_in(Fake())
    report = converted(tmp_path / "d.edgevid")
    found = report.quantisation
    assert (report.precision, found.kept) == ("int8", "INT8 (ModelOpt)")
    assert [c.name for c in found.candidates] == ["INT8 (ModelOpt)", "FP16", "FP32"]
    assert found.winner.verdict.passed
    assert found.winner.timing is not None
    assert (found.method, found.calibration.clips) == ("entropy", 8)
    assert len(found.groups) == 6
    assert not any(g.in_float for g in found.groups)
    assert not found.trials
    manifest = Bundle.load(tmp_path / "d.edgevid").manifest
    assert (manifest.quantised.method, manifest.precision) == ("entropy", "int8")
    assert "INT8 (ModelOpt)" in (tmp_path / "d.edgevid" / "report.html").read_text()


def test_a_bad_graph_loses_at_the_gate(stand_in, tmp_path):
    stand_in(Fake(factor=0.01))
    report = converted(tmp_path / "d.edgevid", int8_only=True)
    found = report.quantisation
    assert (report.precision, found.kept) == ("fp16", "FP16")
    loser = found.candidates[0]
    assert loser.name == "INT8 (ModelOpt)"
    assert not loser.verdict.passed
    assert loser.timing is None
    assert "INT8 (ModelOpt) fails the gate" in found.reason


@pytest.mark.parametrize("wrong", [{"method": "mse"}, {"scales": "float16"}, {"depthwise": True}])
def test_what_it_cannot_do_is_refused_at_once(wrong):
    with pytest.raises(SpecError):
        QuantizeSettings(**FEW, **wrong)
    QuantizeSettings(**{**FEW, "quantizer": "edgevid"}, **wrong)


def test_methods_by_quantizer():
    assert QuantizeSettings(calib=(VIDEO,)).ranges_by == "mse"
    assert QuantizeSettings(**FEW).ranges_by == "entropy"
    assert QuantizeSettings(**FEW, method="minmax").ranges_by == "minmax"


def test_a_mistake_on_the_command_line_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--calib", VIDEO, "--quantizer", "modelopt", "--calib-method", "mse"]
    assert main(["convert", str(DEMO / "model.onnx"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "does not find ranges by 'mse'" in error
    assert not list(tmp_path.iterdir())


def test_the_command_line_hands_it_on(stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake = Fake()
    stand_in(fake)
    arguments = ["--spec", str(DEMO / "spec.toml"), "--calib", VIDEO, "--quantizer", "modelopt"]
    counts = ["--calib-clips", "4", "--eval-clips", "4", "--calib-method", "minmax"]
    command = ["convert", str(DEMO / "model.onnx"), *arguments, *counts, "--target", "onnx"]
    assert main(command) == 0
    assert [call["calibration_method"] for call in fake.calls] == ["max"]


@needs_modelopt
@pytest.mark.parametrize("method", ["minmax", "entropy"])
def test_the_real_one(demo, method, capfd):
    model, clips = demo
    calibration, evaluation = clips.split(0.5, 0)
    quantised = quantize_with_modelopt(model, calibration, method)
    assert tuple(capfd.readouterr()) == ("", "")
    onnx.checker.check_model(quantised, full_check=True)
    assert len(describe_qdq(quantised).groups) >= 4
    view = GraphView(quantised)
    own = [n for n in view.nodes if n.name.startswith(PREFIX)]
    makers = [view.producers.get(name) for n in own for name in n.input]
    assert own
    assert not [m for m in makers if m is not None and m.op_type == "DequantizeLinear"]
    comparison = evaluate(model, evaluation).compare(evaluate(quantised, evaluation))
    assert Gate().check(comparison).passed
    assert comparison.mean_sqnr_db > 15


@needs_modelopt
def test_the_real_one_in_a_conversion(tmp_path):
    report = converted(tmp_path / "d.edgevid")
    assert report.quantisation.kept == "INT8 (ModelOpt)"
