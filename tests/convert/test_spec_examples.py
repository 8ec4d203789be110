"""Every worked example of docs/spec.md fits the model that it says it is for."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from made_models import save
from onnx import helper

from edgevid.convert.journal import Journal
from edgevid.convert.load import load
from edgevid.convert.spec_file import read_spec
from edgevid.convert.spec_infer import Pictures, infer_inputs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = Path(__file__).parents[2] / "docs" / "spec.md"
BLOCKS = re.findall(r"^```toml\n(# takes .*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def averager(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """A model of these inputs, which averages them."""
    nodes = [helper.make_node("ReduceMean", [n], [f"{n}/mean"], keepdims=0) for n in shapes]
    nodes.append(helper.make_node("Sum", [f"{n}/mean" for n in shapes], ["y"]))
    return save(path, nodes, [(n, ["batch", *s]) for n, s in shapes.items()], [("y", [])])


def inferred(folder: Path, block: str) -> tuple[Pictures, dict[str, tuple[int, ...]]]:
    """The contract that `convert` takes from an example, and the shapes it is for."""
    said = re.findall(r"(\w+) \[N, ([\d, ]+)\]", block.splitlines()[0])
    shapes = {name: tuple(int(n) for n in numbers.split(",")) for name, numbers in said}
    spec: dict[str, Any] = tomllib.loads(block) | {"labels": list("abcd")}
    model = load(averager(folder / "m.onnx", shapes), Journal())
    return infer_inputs(model, read_spec(spec, labels=None, preset=None), Journal()), shapes


@pytest.mark.parametrize("block", BLOCKS, ids=[b.splitlines()[0][8:] for b in BLOCKS])
def test_an_example_fits_its_model(tmp_path: Path, block: str) -> None:
    pictures, shapes = inferred(tmp_path, block)
    for tensor in pictures.inputs:
        assert tensor.model_shape(pictures.clip.num_frames) == shapes[tensor.name]


def test_there_is_an_example_of_every_family(tmp_path: Path) -> None:
    seen: set[str] = set()
    for block in BLOCKS:
        for tensor in inferred(tmp_path, block)[0].inputs:
            seen |= {tensor.layout, tensor.modality, tensor.crop, tensor.frames}
            seen |= {"every"} if tensor.every > 1 else set()
            seen |= {"flow_interval"} if tensor.flow_interval else set()
    wanted = {"NCHW", "NCTHW", "NTCHW", "N(TC)HW", "rgb", "rgb_diff", "flow", "fovea", "pair"}
    assert wanted | {"first", "last", "every", "flow_interval"} <= seen
    assert len(BLOCKS) >= 14
