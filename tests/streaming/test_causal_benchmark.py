"""The script that compares causal convolutions frame by frame with windows, in its short form."""

import json

import edgevid.demo
from edgevid.benchmarks import causal


def test_steps_answer_as_windows_do(tmp_path, capsys):
    out = tmp_path / "causal.json"
    video = edgevid.demo.MODEL.parent / "demo.mp4"
    arguments = ["--size", "48", "--blocks", "1,2", "--rounds", "1", "--duration", "2"]
    assert causal.main([str(video), *arguments, "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["windows"] > 10
    assert figures["difference"] <= 1e-5
    assert 1e-5 < figures["later_difference"] < 0.5
    assert "same best class" in capsys.readouterr().out
