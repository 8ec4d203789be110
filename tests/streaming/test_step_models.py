"""Models that come as steps with states (shift buffers, LSTM, GRU) through convert and run."""

import numpy as np
import pytest
from clip_nets import SIZE, nn, torch
from step_nets import CellStep, LayerStep, ShiftStep, export

import edgevid
import edgevid.demo
from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.manifest import Bundle
from edgevid.states import States, gather, scatter

DEMO = str(edgevid.demo.MODEL.parent / "demo.mp4")
SPEC = {
    "clip": {"fps": 10.0},
    "inputs": [{"name": "frame", "resize": "stretch", "crop": "full", "scale": 1 / 255}
               | {"mean": [0.0] * 3, "std": [1.0] * 3}],
    "outputs": [{"name": "logits"}],
}  # fmt: skip
NETS = {
    "shift buffers": (ShiftStep, 0),
    "LSTM cell": (lambda: CellStep(nn.LSTMCell), 0),
    "GRU cell": (lambda: CellStep(nn.GRUCell), 0),
    "LSTM": (lambda: LayerStep(nn.LSTM), 1),
    "GRU": (lambda: LayerStep(nn.GRU), 1),
}


def by_torch(net, frames):
    """`(T, C)` probabilities, one frame after the other from zeros."""
    states = [torch.zeros(shape) for shape in net.states.values()]
    rows = []
    with torch.no_grad():
        for frame in frames:
            picture = torch.from_numpy(frame[None, ..., ::-1].copy()).permute(0, 3, 1, 2) / 255
            logits, *states = net(picture.float(), *states)
            rows.append(torch.softmax(logits[0], 0).numpy())
    return np.array(rows)


@pytest.mark.parametrize("name", NETS)
def test_streams_together_answer_as_torch_does_for_each(tmp_path, name):
    make, axis = NETS[name]
    torch.manual_seed(3)
    net = make()
    path = export(net, tmp_path / "m.onnx")
    out = tmp_path / "b.edgevid"
    precision = "fp16" if name == "shift buffers" else "fp32"
    result = convert(path, out, spec=SPEC, precision=precision, target="tensorrt-rtx")
    states = Bundle.load(out).manifest.states
    assert [s.batch_axis for s in states] == [axis] * len(net.states)
    assert result.report.plans[0].key is not None
    assert "-b1-4-" in result.report.plans[0].key
    engine = OnnxRuntimeEngine(Bundle.load(out).file("model"))
    frames = np.random.default_rng(4).integers(0, 256, (2, 6, SIZE, SIZE, 3), dtype=np.uint8)
    streams = [States(states), States(states)]
    rows = []
    for step in range(6):
        outputs = engine.infer({"frame": frames[:, step].copy(), **gather(streams)})
        assert scatter(outputs, streams) == [True, True]
        rows.append(outputs["scores"])
    expected = np.stack([by_torch(net, stream) for stream in frames], axis=1)
    assert np.abs(np.array(rows) - expected).max() <= (1e-5 if precision == "fp32" else 5e-3)
    assert np.abs(expected[0] - expected[-1]).max() > 1e-4


def test_int8_leaves_shift_buffers_in_their_type(tmp_path):
    path = export(ShiftStep(), tmp_path / "m.onnx")
    settings = QuantizeSettings(calib=(DEMO,), calib_clips=4, eval_clips=4, max_drop=0.9)
    out = tmp_path / "b.edgevid"
    convert(path, out, spec=SPEC, quantize=settings, target="tensorrt-rtx")
    bundle = edgevid.load(out)
    assert bundle.manifest.precision == "int8"
    assert {s.dtype for s in bundle.manifest.states} == {"float32"}
    assert all(s.batch_axis == 0 for s in bundle.manifest.states)
    predictions = list(edgevid.stream(bundle, DEMO, max_clips=20))
    assert len(predictions) == 20
    assert np.isfinite([p.scores for p in predictions]).all()
