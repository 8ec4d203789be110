"""Labels over time as text, and the files that `--plot` names."""

from __future__ import annotations

import json

import pytest

from edgevid.cli import main
from edgevid.cli._timelines import check_plot, text_lines
from edgevid.convert import convert
from edgevid.demo import CLIP, MODEL, SPEC, TRUTH
from edgevid.errors import SpecError
from edgevid.pages.timelines import Stretch


def test_a_letter_for_each_label() -> None:
    rows = {
        "true": [Stretch("left", 0, 5), Stretch("right", 5, 10)],
        "raw": [Stretch("left", 0, 4), Stretch("up", 4, 6), Stretch("right", 7, 10)],
    }
    assert text_lines(rows, 10.0, 30) == [
        "  true  aaaaaaaaaaabbbbbbbbbbb",
        "  raw   aaaaaaaaacccc··bbbbbbb",
        "        0               10.0 s",
        "  a left  b right  c up",
    ]


def test_more_labels_than_letters() -> None:
    rows = {"raw": [Stretch(str(i), i, i + 1) for i in range(60)]}
    lines = text_lines(rows, 60.0, 68)
    assert lines[0].endswith("XYZ########")
    assert lines[-1].endswith("Z 51  # others")


@pytest.mark.parametrize(
    ("path", "sources", "says"),
    [("a.gif", 1, "no format"), ("a", 1, "no format"), ("a.svg", 2, "shows one video")],
)
def test_plots_that_cannot_be(path: str, sources: int, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_plot(path, sources)
    check_plot("a.html", 2)


def test_a_replay_with_the_truth_beside(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    convert(MODEL, "demo.edgevid", spec=SPEC, target="onnx")
    run = ["run", "demo.edgevid", "--source", str(CLIP), "--quiet", "--trace", "t.npz"]
    assert main(run) == 0
    rule = ["--events", "onset=0.6,offset=0.4"]
    for name in ("a.svg", "a.png", "a.html"):
        options = ["--truth", str(TRUTH), "--smooth", "mean:4", "--plot", name]
        assert main(["replay", "t.npz", *options, *rule]) == 0
        assert (tmp_path / name).stat().st_size > 2000
    out = capsys.readouterr().out
    for row in ("  true ", "  raw ", "  smoothed ", "  events "):
        assert row in out
    assert "a left  b clockwise" in out
    assert "raw:      accuracy 8" in out
    assert "smoothed: accuracy" in out
    assert "events" in (tmp_path / "a.svg").read_text()

    (tmp_path / "bad.json").write_text(
        json.dumps({"segments": [{"label": "wave", "start_s": 0, "end_s": 1}]})
    )
    assert main(["replay", "t.npz", "--truth", "bad.json", "--plot", "b.svg"]) == 2
    assert "does not know" in capsys.readouterr().err
    assert not (tmp_path / "b.svg").exists()
