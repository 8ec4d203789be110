"""How many cameras an engine carries: a real run of a few seconds for each row."""

from __future__ import annotations

import pytest

from edgevid.benchmarks import live_cameras
from edgevid.benchmarks.live_runs import demo_bundle


@pytest.mark.timeout(120)
def test_twice_the_cameras_give_twice_the_labels(capsys, monkeypatch):
    monkeypatch.setattr(live_cameras, "_WARM_UP_S", 1.0)
    words = f"--bundle {demo_bundle()} --engine onnxruntime --cameras 1 2 --size 160 96 --seconds 3"
    assert live_cameras.main(words.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == live_cameras.HEAD.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in rows] == ["1", "2"]
    one, two = (float(row[1]) for row in rows)
    assert one > 0
    assert two == pytest.approx(2 * one, rel=0.25)
    for row in rows:
        p50, p99, engine = map(float, row[2:5])
        assert 0 < engine < p50 <= p99
        assert int(row[5]) > 25
        assert row[7] == "0"
