"""The comparison with other loops: those that run in this Python, and what the table says."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edgevid.benchmarks.peers import __main__ as command
from edgevid.benchmarks.peers import environments
from edgevid.benchmarks.peers.environments import Packages, python_of
from edgevid.benchmarks.peers.peers import AUTO, EDGEVID, PEERS, Peer
from edgevid.benchmarks.peers.rounds import Passes, take_turns
from edgevid.benchmarks.peers.table import table, versions
from edgevid.benchmarks.peers.variants import clip_of_one, unit_range
from edgevid.errors import EdgevidError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def model(quarters):
    return quarters


@pytest.fixture
def bundle(quarters_bundle):
    return quarters_bundle


DEMO = Path(__file__).parents[2] / "edgevid" / "demo" / "demo.mp4"


def here(*keys: str) -> list[Peer]:
    """These peers, in this Python."""
    return [dataclasses.replace(p, packages=None) for p in PEERS if p.key in keys]


def test_loops_take_turns_and_give_the_same_labels(bundle, model, tmp_path):
    peers = here(EDGEVID, "tutorial", "threaded", "supervision")
    job = command.job_for(bundle, model, DEMO, 5, 1, tmp_path)
    said: list[str] = []
    found = take_turns(peers, job, 2, tmp_path, said.append)
    labels = found[EDGEVID].labels
    assert len(labels) == 120
    assert len(set(labels)) > 1, "a model that always answers the same proves nothing"
    for key in ("tutorial", "threaded"):
        assert found[key].labels == labels
        assert len(found[key].seconds) == len(found[key].cpu_s) == 2
        assert found[key].peak_mb > 10
        assert "onnxruntime" in found[key].versions
    # supervision is not installed here: its row says so, and the others went on.
    assert "ModuleNotFoundError" in found["supervision"].failure
    assert said == [f"left out: {found['supervision'].failure}", "warming up",
                    "round 1 of 2", "round 2 of 2"]  # fmt: skip
    text = table(peers, found, 600)
    assert "| tutorial loop |" in text
    assert "100.0%" in text
    assert "did not run" in text
    assert "onnxruntime" in versions(found)


def test_the_same_graph_behind_other_inputs(bundle, model, tmp_path):
    (spec,) = bundle.manifest.inputs
    rng = np.random.default_rng(1)
    unit = rng.random((1, 3, 24, 32), np.float32)
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (spec.mean, spec.std))
    normalised = (unit - mean) / std
    wanted = answer(model, normalised)
    of_unit = unit_range(model, spec, bundle.labels, tmp_path / "unit.onnx")
    assert answer(of_unit, unit) == pytest.approx(wanted, abs=1e-5)
    of_clip = clip_of_one(model, spec, tmp_path / "clip.onnx")
    assert answer(of_clip, normalised[None, :, :, None]) == pytest.approx(wanted, abs=1e-6)


def answer(model: Path, values: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: values})[0]


def test_the_table_compares_round_by_round():
    edgevid, auto = Passes([1.0] * 8, [1.6] * 8, [1, 2, 3]), Passes([0.5] * 8, [0.9] * 8, [1, 2, 3])
    other = Passes([2.0] * 8, [2.0] * 8, [1, 2, 2], peak_mb=200)
    peers = [p for p in PEERS if p.key in (EDGEVID, AUTO, "ultralytics")]
    text = table(peers, {EDGEVID: edgevid, AUTO: auto, "ultralytics": other}, 100)
    row = text.splitlines()[-3]
    assert row.split(" | ")[1:4] == ["50", "20.00", "200"]
    assert "66.7%" in row
    assert "2.00× (2.00 to 2.00) | 4.00×" in row
    assert text.endswith("takes the last frame of each stride, antialiases, crops.")


def test_labels_that_change_from_round_to_round_are_a_failure(tmp_path):
    package = Path(command.__file__).parent
    fake = tmp_path / "peers"
    (fake / "loops").mkdir(parents=True)
    (fake / "loops" / "__init__.py").touch()
    (fake / "__init__.py").touch()
    (fake / "worker.py").write_text((package / "worker.py").read_text())
    (fake / "loops" / "moody.py").write_text(
        "import itertools\n\n\ndef prepare(job):\n    numbers = itertools.count()\n"
        "    return lambda: [next(numbers)]\n"
    )
    peer = Peer(EDGEVID, "moody", "moody")
    found = take_turns([peer], {}, 2, tmp_path, lambda _: None)
    assert found[EDGEVID].failure == "gave other labels in another round"


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(EdgevidError, match=r"environment of it could not be made: .*no-such"):
        python_of("it", Packages(("no-such-package==1",)), lambda _: None)
    assert not list(tmp_path.glob("edgevid/peers/*/installed"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["{bundle}", "gone.onnx"], "no such file: gone.onnx"),
        (["gone.edgevid", "{model}"], "gone.edgevid"),
        (["{bundle}", "{model}", "--only", "nobody"], "no peer 'nobody'"),
        (["{bundle}", "{model}", "gone.mp4", "--only", "edgevid"], "no such file: gone.mp4"),
    ],
)
def test_mistakes_are_one_line(bundle, model, capsys, arguments, complaint):
    words = [a.format(bundle=bundle.path, model=model) for a in arguments]
    assert command.main(words) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert complaint in told[0]


def test_pins_are_exact():
    for packages in vars(environments).values():
        if isinstance(packages, Packages):
            assert all("==" in name for name in (*packages.whole, *packages.bare))
    assert sys.version_info >= (3, 10)
