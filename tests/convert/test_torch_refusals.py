"""Files that only look like PyTorch models, and models that cannot be exported."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_models import SHAPE, Net, export, saved_program

from edgevid.convert.session import Session
from edgevid.convert.torch_export import is_torch_source
from edgevid.errors import (
    ConversionError,
    MissingDependencyError,
    ModelError,
    ParityError,
    SpecError,
)

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Bomb:
    """Unpickling one leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def refused(source: str | Path, out: Path, error: Any, **options: Any) -> str:
    """The one line that refuses `source`; nothing may be written."""
    before = set(out.rglob("*"))
    with pytest.raises(error) as caught:
        export(source, out, **options)
    assert {p for p in set(out.rglob("*")) - before if p.suffix not in (".pyc", "")} == set()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_alone(tmp_path: Path, zipped: bool, wrapped: bool) -> None:
    weights = Net().state_dict()
    torch.save(
        {"state_dict": weights, "epoch": 3} if wrapped else weights,
        tmp_path / "net.pth",
        _use_new_zipfile_serialization=zipped,
    )
    line = refused(tmp_path / "net.pth", tmp_path, ModelError)
    assert f"weights alone ({len(weights)} tensors)" in line
    assert "pkg.module:factory" in line
    assert "torch.export.save" in line


@pytest.mark.parametrize("form", ["module", "object", "bare pickle"])
def test_a_pickle_is_never_run(tmp_path: Path, form: str) -> None:
    trace = tmp_path / "trace"
    module = Net()
    module.extra = Bomb(trace)
    if form == "bare pickle":
        (tmp_path / "net.pt").write_bytes(pickle.dumps(Bomb(trace)))
    else:
        torch.save(module if form == "module" else Bomb(trace), tmp_path / "net.pt")
    line = refused(tmp_path / "net.pt", tmp_path, ModelError)
    assert "would run code" in line
    assert not trace.exists()


def test_a_pickle_inside_a_program_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This setting would have PyTorch's own reader unpickle anything.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trace = tmp_path / "trace"
    path = saved_program(tmp_path / "net.pt2", Net().eval(), torch.randn(2, *SHAPE[1:]))
    torch.save(((Bomb(trace),), {}), tmp_path / "bomb")
    bad = tmp_path / "bad.pt2"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bad, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            if "sample_inputs" in entry:
                data = (tmp_path / "bomb").read_bytes()
            new.writestr(entry, data)
    line = refused(bad, tmp_path, ModelError)
    assert "pickled Python object" in line
    assert not trace.exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize(
    "entry", ["data/aotinductor/model/model.so", "data/constants/opaque_obj_0"]
)
def test_native_code_and_objects_inside_a_program(tmp_path: Path, entry: str) -> None:
    path = saved_program(tmp_path / "net.pt2", Net().eval(), torch.randn(2, *SHAPE[1:]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"net/{entry}", b"")
    assert "does not load" in refused(path, tmp_path, ModelError)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.pt2", b"", "is empty"),
        ("text.pt", b"# a readme\n" * 50, "is not a PyTorch file"),
        ("cut.pt", b"PK\x03\x04" + bytes(80), "damaged or cut short"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab", "git-lfs"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    line = refused(tmp_path / name, tmp_path, ModelError)
    assert words in line
    assert name in line


def test_numbers_alone(tmp_path: Path) -> None:
    torch.save([1.5, 2.5], tmp_path / "net.pt")
    assert "holds a list, not a model" in refused(tmp_path / "net.pt", tmp_path, ModelError)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such model file" in refused(tmp_path / "no.pt", tmp_path, ModelError)
    (tmp_path / "dir.pt").mkdir()
    assert "is a folder" in refused(tmp_path / "dir.pt", tmp_path, ModelError)


@pytest.mark.parametrize("suffix", [".pt2", ".pt"])
def test_an_archive_cut_short(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt2":
        saved_program(path, Net().eval(), torch.randn(2, *SHAPE[1:]))
    else:
        torch.jit.save(torch.jit.script(Net()), path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "damaged or cut short" in refused(path, tmp_path, ModelError)


@pytest.mark.parametrize("layer", [nn.BatchNorm3d(4), nn.Dropout(0.5)])
def test_a_program_in_training_mode(tmp_path: Path, layer: Any) -> None:
    module = nn.Sequential(nn.Conv3d(3, 4, 3), layer).train()
    path = saved_program(tmp_path / "net.pt2", module, torch.randn(2, *SHAPE[1:]))
    line = refused(path, tmp_path, ModelError)
    assert "training mode" in line
    assert "model.eval()" in line


@pytest.mark.parametrize("layer", [nn.BatchNorm3d(4), nn.Dropout(0.5)])
def test_a_script_traced_in_training_mode(tmp_path: Path, layer: Any) -> None:
    module = nn.Sequential(nn.Conv3d(3, 4, 3), layer).train()
    traced = torch.jit.trace(module, torch.randn(SHAPE), check_trace=False)
    torch.jit.save(traced, tmp_path / "net.pt")
    line = refused(tmp_path / "net.pt", tmp_path, (ModelError, ParityError))
    assert "training mode" in line
    assert "model.eval()" in line


@pytest.mark.parametrize(
    ("body", "attribute", "words"),
    [
        ("def build(): pass", "biuld", "It has: build"),
        ("build = 3", "build", "gives a int"),
        ("def build(): return {}", "build", "gives a dict, not a torch.nn.Module"),
        ("def build(): raise OSError('no weights.pth\\nthere')", "build",
         "raises OSError: no weights.pth"),
        ("def build(path): pass", "build", "works without arguments"),
        ("import nowhere_to_be_found", "build", "ModuleNotFoundError: No module named 'nowhere"),
        ("raise SystemExit(0)", "build", "SystemExit"),
        ("def build(:", "build", "SyntaxError"),
        ("class build(nn.Module):\n  def forward(self, slow, fast): pass", "build",
         r"takes 2 inputs (slow, fast)"),
    ],
)  # fmt: skip
def test_factories_that_give_no_model(
    tmp_path: Path, factory: Any, body: str, attribute: str, words: str
) -> None:
    assert words in refused(factory(body) + attribute, tmp_path, ModelError, example_shape=SHAPE)


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    line = refused("edgevid.nowhere:build", tmp_path, ModelError, example_shape=SHAPE)
    assert "no Python module 'edgevid.nowhere'" in line


def test_a_missing_example_shape_names_the_flag(tmp_path: Path, factory: Any) -> None:
    line = refused(factory("def build(): return nn.ReLU()") + "build", tmp_path, SpecError)
    assert "--example-shape 1,3,16,112,112" in line
    torch.jit.save(torch.jit.script(Net()), tmp_path / "net.pt")
    line = refused(tmp_path / "net.pt", tmp_path, SpecError)
    assert "input 'clip'" in line
    assert "--example-shape 1,3,16,112,112" in line


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "words"),
    [
        ((1,), "float32", SpecError, "cannot be"),
        ((1, 3, 0, 16, 16), "float32", SpecError, "1,3,0,16,16 cannot be"),
        (SHAPE, "int7", SpecError, "unknown dtype 'int7'"),
        ((1, 4, 4, 16, 20), "float32", ModelError, "fails on random input of the shape clip"),
        (SHAPE, "uint8", ModelError, "fails on random input"),
    ],
)
def test_examples_that_cannot_be(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, error: type[Exception], words: str
) -> None:
    torch.jit.save(torch.jit.script(Net()), tmp_path / "net.pt")
    line = refused(tmp_path / "net.pt", tmp_path, error, example_shape=shape, dtype=dtype)
    assert words in line


def test_an_example_that_a_program_was_not_exported_for(tmp_path: Path) -> None:
    path = saved_program(tmp_path / "net.pt2", Net().eval(), torch.randn(2, *SHAPE[1:]))
    line = refused(path, tmp_path, SpecError, example_shape=(1, 3, 8, 16, 20))
    assert "does not fit" in line
    assert export(path, tmp_path, example_shape=SHAPE).path.exists()


@pytest.mark.parametrize(
    "step",
    [
        "x = x if x.sum() > 0 else x * 2",
        "x = x[x > 0]",
        "x = x[:, :, : int(x.max().item())]",
        "x = torch.unique(x)",
    ],
)
def test_steps_that_depend_on_the_picture(
    tmp_path: Path, factory: Any, capfd: pytest.CaptureFixture[str], step: str
) -> None:
    name = factory(f"class Net(nn.Module):\n  def forward(self, x):\n    {step}\n    return x")
    line = refused(name + "Net", tmp_path, ModelError, example_shape=SHAPE)
    assert "depends on values in the picture" in line
    assert "torch.where" in line
    assert capfd.readouterr() == ("", "")


def test_indexing_with_constants_depends_on_nothing(tmp_path: Path, factory: Any) -> None:
    name = factory("""
class Net(nn.Module):
    def forward(self, x):
        keep = torch.arange(x.shape[-1]) % 2 == 0
        return x[..., keep.nonzero().squeeze(1)].mean((2, 3))
""")
    exported = export(name + "Net", tmp_path, example_shape=SHAPE)
    assert exported.path.exists()


def test_a_model_that_reads_the_world_does_not_agree(tmp_path: Path, factory: Any) -> None:
    name = factory("""
class Net(nn.Module):
    def forward(self, x):
        return x.mean((2, 3, 4)) + torch.as_tensor(x.detach().numpy().mean())
""")
    line = refused(name + "Net", tmp_path, ConversionError, example_shape=SHAPE)
    assert "tracing: ONNX Runtime's answers differ" in line


@pytest.mark.parametrize("step", ["x * float('nan')", "x / (x - x.detach())"])
def test_answers_that_are_no_numbers(tmp_path: Path, factory: Any, step: str) -> None:
    name = factory(f"class Net(nn.Module):\n  def forward(self, x): return ({step}).mean((2, 3))")
    line = refused(name + "Net", tmp_path, ModelError, example_shape=SHAPE)
    assert "NaN or infinite" in line


def test_an_exporter_that_spoils_the_answers(
    tmp_path: Path, factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Session.run

    def spoiled(self: Session, feeds: Any) -> Any:
        return {name: values * np.nan for name, values in run(self, feeds).items()}

    monkeypatch.setattr(Session, "run", spoiled)
    name = factory("class Net(nn.Module):\n  def forward(self, x): return x.mean((2, 3))")
    line = refused(name + "Net", tmp_path, ParityError, example_shape=SHAPE)
    assert "differ from PyTorch's by up to nan" in line


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    line = refused(tmp_path / "net.pt2", tmp_path, MissingDependencyError)
    assert "pip install 'edgevid[torch]'" in line


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("net.pt2", True), ("a/net.pt", True), ("net.pth", True), ("pkg.mod:build", True),
        ("m:Zoo.small", True), ("net.onnx", False), ("a/b:c", False), ("rtsp://host", False),
        ("B.edgevid", False),
    ],
)  # fmt: skip
def test_which_sources_are_torch(source: str, expected: bool) -> None:
    assert is_torch_source(source) is expected
