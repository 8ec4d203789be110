"""PyTorch models of every kind."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from torch_models import SHAPE, Net, export, saved_program

from edgevid.convert.session import Session
from edgevid.convert.torch_export import ExportedModel
from edgevid.errors import (
    SpecError,
)

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def dims(value: Any) -> list[Any]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def check(exported: ExportedModel, module: Any, shape: tuple[int, ...] = SHAPE) -> Any:
    """The exported graph; it must answer like `module`, for batches never seen before."""
    proto = onnx.load(str(exported.path))
    onnx.checker.check_model(proto)
    assert proto.opset_import[0].version >= 17
    assert dims(proto.graph.input[0]) == ["batch", *shape[1:]]
    assert dims(proto.graph.output[0])[0] == "batch"
    session = Session(proto)
    for batch in (1, 2, 5):
        clip = torch.randn(batch, *shape[1:], generator=torch.Generator().manual_seed(9))
        with torch.no_grad():
            expected = module.eval()(clip).numpy()
        actual = session.run({proto.graph.input[0].name: clip.numpy()})
        (scores,) = actual.values()
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    return proto


def test_a_program(tmp_path: Path) -> None:
    module = Net().eval()
    path = saved_program(tmp_path / "net.pt2", module, torch.randn(2, *SHAPE[1:]))
    exported = export(path, tmp_path / "out")
    proto = check(exported, module)
    assert exported.path == tmp_path / "out" / "net.onnx"
    assert [v.name for v in proto.graph.input] == ["clip"]
    assert [v.name for v in proto.graph.output] == ["output"]
    assert any("torch.export" in note for note in exported.notes)
    assert "outputs differ by at most" in exported.notes[-1]


@pytest.mark.parametrize("how", ["trace", "script"])
def test_a_script(tmp_path: Path, how: str) -> None:
    module = Net().eval()
    code = (
        torch.jit.trace(module, torch.randn(SHAPE)) if how == "trace" else torch.jit.script(module)
    )
    torch.jit.save(code, tmp_path / "net.pt")
    # A traced archive keeps its example; a scripted one has to be told.
    shape = None if how == "trace" else SHAPE
    proto = check(export(tmp_path / "net.pt", tmp_path, example_shape=shape), module)
    assert [v.name for v in (*proto.graph.input, *proto.graph.output)] == ["clip", "output"]


@pytest.mark.parametrize("attribute", ["build", "Zoo.small", "finished", "Net"])
def test_a_factory(tmp_path: Path, factory: Any, attribute: str) -> None:
    name = factory("""
print("importing")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv3d(3, 5, 3)
        self.drop = nn.Dropout(0.9)
    def forward(self, frames, scale=2.0):
        return scale * self.drop(self.conv(frames).mean((2, 3, 4)))
def build():
    return Net()
class Zoo:
    small = staticmethod(build)
finished = build()
""")
    exported = export(name + attribute, tmp_path, example_shape=SHAPE)
    module = sys.modules[name[:-1]].build()
    proto = check(exported, module)
    assert exported.path.name == f"{attribute.rpartition('.')[2]}.onnx"
    assert proto.graph.input[0].name == "frames"
    assert str(Path.cwd()) not in sys.path


def test_nothing_is_printed_to_stdout(
    tmp_path: Path, factory: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    name = factory("def build():\n    print('building')\n    return nn.Conv3d(3, 2, 3)")
    export(name + "build", tmp_path, example_shape=SHAPE)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == ["building"]


def test_no_path_of_this_machine_is_written(tmp_path: Path, factory: Any) -> None:
    exported = export(factory("build = lambda: nn.Conv3d(3, 2, 3)") + "build", tmp_path,
                      example_shape=SHAPE)  # fmt: skip
    data = exported.path.read_bytes()
    assert b".py" not in data
    assert str(tmp_path).encode() not in data


def test_recurrent_layers_stay_whole(tmp_path: Path, factory: Any) -> None:
    name = factory("""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 3, stride=2), nn.Linear(12, 5)
        self.lstm, self.gru = nn.LSTM(8, 12, batch_first=True), nn.GRU(12, 12, batch_first=True)
    def forward(self, clip):
        n, t, c, h, w = clip.shape
        x = self.conv(clip.reshape(n * t, c, h, w)).relu().mean((2, 3)).reshape(n, t, 8)
        return self.out(self.gru(self.lstm(x)[0])[0][:, -1]).softmax(1)
""")
    exported = export(name + "Net", tmp_path, example_shape=(1, 6, 3, 16, 16))
    kinds = Counter(node.op_type for node in onnx.load(str(exported.path)).graph.node)
    assert kinds["LSTM"] == kinds["GRU"] == 1
    assert not {"Loop", "If", "Scan"} & set(kinds)


def test_several_inputs_and_outputs_of_a_program(tmp_path: Path) -> None:
    class Pathways(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, slow: Any, fast: Any) -> dict[str, Any]:
            return {"logits": slow.mean((2, 3, 4)) - fast.amax((2, 3, 4)), "map": slow * 2}

    clips = torch.randn(2, 3, 2, 8, 8), torch.randn(2, 3, 8, 8, 8)
    path = saved_program(tmp_path / "two.pt2", Pathways(), *clips)
    proto = onnx.load(str(export(path, tmp_path).path))
    assert [v.name for v in proto.graph.input] == ["slow", "fast"]
    assert [v.name for v in proto.graph.output] == ["logits", "map"]
    with pytest.raises(SpecError, match=r"takes 2 inputs \(slow, fast\)"):
        export(path, tmp_path, example_shape=SHAPE)


def test_a_program_with_a_fixed_batch(tmp_path: Path) -> None:
    module = Net().eval()
    path = saved_program(tmp_path / "net.pt2", module, torch.randn(SHAPE), dynamic=False)
    exported = export(path, tmp_path)
    assert dims(onnx.load(str(exported.path)).graph.input[0]) == list(SHAPE)
    assert any("fixes its batch at 1" in note for note in exported.notes)


def test_a_module_with_a_fixed_batch(tmp_path: Path, factory: Any) -> None:
    name = factory("""
class Net(nn.Module):
    def forward(self, x):
        return x.reshape(1, -1)[:, :7]
""")
    exported = export(name + "Net", tmp_path, example_shape=SHAPE)
    proto = onnx.load(str(exported.path))
    assert dims(proto.graph.input[0])[0] == dims(proto.graph.output[0])[0] == 1


def test_what_cannot_be_captured_is_traced_with_a_note(tmp_path: Path, factory: Any) -> None:
    name = factory("""
class Net(nn.Module):
    def forward(self, x):
        y = x * 2
        if y.untyped_storage().data_ptr() == 0:
            y = y + 1
        return y.mean((2, 3, 4))
""")
    exported = export(name + "Net", tmp_path, example_shape=SHAPE)
    proto = onnx.load(str(exported.path))
    assert dims(proto.graph.input[0])[0] == "batch"
    assert any("by tracing" in note for note in exported.notes)
    assert any("torch.export at all failed" in note for note in exported.notes)


def test_the_real_recurrent_classifier(tmp_path: Path, shared: Path) -> None:
    folder = shared / "models" / "lrcn-ucf50"
    exported = export(folder / "model.torchscript.pt", tmp_path)
    proto = onnx.load(str(exported.path))
    assert dims(proto.graph.input[0]) == ["batch", 20, 3, 128, 128]
    clips = np.random.default_rng(4).random((3, 20, 3, 128, 128), np.float32)
    actual = Session(proto).run({proto.graph.input[0].name: clips})["output"]
    reference = Session(onnx.load(str(folder / "model.onnx")))
    expected = reference.run_each([{"clip": clip[None]} for clip in clips], "probs")
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 1e-4
