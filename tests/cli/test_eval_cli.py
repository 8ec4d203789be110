"""`edgevid eval` as a user types it: what it prints, writes and returns."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from edgevid import demo
from edgevid.cli import main
from edgevid.cli._progress import progress_bar
from edgevid.convert import convert
from edgevid.validation import Evaluation


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("bundles") / "demo.edgevid"
    convert(demo.MODEL, out, spec=demo.SPEC, precision="fp32", target="onnx")
    return str(out)


@pytest.fixture
def manifest(tmp_path):
    def write(*rows: str) -> str:
        path = tmp_path / "test.csv"
        path.write_text("\n".join(["path,label,start_s,end_s", *rows]) + "\n")
        return str(path)

    return write


UP = '"synthetic:?motions=up&seconds=1"'
GROW = '"synthetic:?motions=grow&seconds=1"'


def test_the_table_says_how_good_it_is(bundle, manifest, capsys):
    # "grow" is labelled wrongly: one of two is right.
    path = manifest(f"{UP},up,,", f"{GROW},down,,")
    assert main(["eval", bundle, "--manifest", path]) == 0
    out = capsys.readouterr().out
    assert "demo.edgevid on test.csv" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["top-1", "50.0", "%", "95", "%", "interval", "9.5", "%", "to", "90.5", "%"] in lines
    assert ["up", "1", "100.0", "%", "100.0", "%", "100.0", "%"] in lines
    assert ["down", "1", "–", "0.0", "%", "0.0", "%"] in lines
    assert lines[-4:] == [
        ["true", "\\", "taken", "for", "up", "down", "grow"],
        ["up", "1", ".", "."],
        ["down", ".", ".", "1"],
        ["grow", ".", ".", "."],
    ]


def test_json_and_page_hold_the_same(bundle, manifest, tmp_path, capsys):
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    path = manifest(f"{UP},up,,", f"{GROW},down,,")
    arguments = ["--json", str(figures), "--html", str(page)]
    assert main(["eval", bundle, "--manifest", path, *arguments]) == 0
    found = Evaluation.model_validate_json(figures.read_text())
    assert found.clips is not None
    assert found.clips.top1 == 0.5
    text = page.read_text()
    HTMLParser().feed(text)
    assert "1 of 2 clips got the right answer." in text
    assert text.count("<svg") == 3
    assert "http" not in text.replace("http-equiv", ""), "nothing comes from elsewhere"
    capsys.readouterr()
    assert main(["eval", bundle, "--manifest", path, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["clips"]["top1"] == 0.5


def test_labels_over_time_beside_their_smoothed_ones(bundle, tmp_path, capsys):
    page = tmp_path / "r.html"
    arguments = ["--manifest", str(demo.TRUTH), "--video", str(demo.CLIP), "--smooth", "mean:4"]
    assert main(["eval", bundle, *arguments, "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == ["figure", "raw", "mean:4"]
    for name in ("frame accuracy", "F1@10", "edit score", "mAP@0.5", "onset delay, mean"):
        assert name in out
    text = page.read_text()
    assert text.count("<svg") == 1
    assert "clockwise: 3.00 to 6.00 s" in text


def test_a_missing_video_is_told_and_the_status_says_so(bundle, manifest, capsys):
    path = manifest("absent.mp4,left,,", f"{UP},up,,")
    assert main(["eval", bundle, "--manifest", path]) == 3
    printed = capsys.readouterr()
    assert "top-1" in printed.out
    warned = [line for line in printed.err.splitlines() if "warning" in line]
    assert len(warned) == 1
    assert "not evaluated: no such file" in warned[0]
    assert "absent.mp4" in warned[0]


@pytest.mark.parametrize(
    ("required", "status"),
    [
        (["top1>=0.5"], 0),
        (["top1>=0.5", "calibration_error <= 1"], 0),
        (["top1>=0.51"], 4),
        (["top5>=0.1", "mean_ap>=0.1"], 4),
    ],
)
def test_what_is_required_decides_the_status(bundle, manifest, capsys, required, status):
    path = manifest(f"{UP},up,,", f"{GROW},down,,")
    options = [word for text in required for word in ("--require", text)]
    assert main(["eval", bundle, "--manifest", path, *options]) == status
    warned = [line for line in capsys.readouterr().err.splitlines() if "required" in line]
    assert bool(warned) == bool(status)


def test_required_figures_of_labels_over_time(bundle, capsys):
    arguments = ["eval", bundle, "--manifest", str(demo.TRUTH), "--smooth", "mean:4"]
    met = ["--require", "switches<=7", "--require", "f1@50>=0.99", "--require", "missed<=0"]
    assert main([*arguments, *met]) == 0
    assert main([*arguments, *met, "--require", "onset_delay_s<=0.1"]) == 4
    assert "required: onset_delay_s <= 0.1; it is 0." in capsys.readouterr().err


MISTAKES = {
    "no row": ([], [], "lists no clip"),
    "no video": (["a.mp4,left,,"], [], "no such file"),
    "unknown label": ([f"{UP},lefft,,"], [], "Did you mean 'left'?"),
    "negative segment": ([f"{UP},up,2,1"], [], "end_s 1 must lie after start_s 2"),
    "overlap": ([f"{UP},up,0,2", f"{UP},left,1,3"], [], "before row 2 ends"),
    "no clips": ([f"{UP},up,,"], ["--clips", "0"], "--clips 0"),
    "no crop": ([f"{UP},up,,"], ["--crops", "3"], "--crops 3 does not apply"),
    "overlap of 1": ([f"{UP},up,,"], ["--overlap", "1"], "--overlap 1"),
    "smoothed clips": ([f"{UP},up,,"], ["--smooth", "mean:4"], "belong to segments"),
    "requirement": ([f"{UP},up,,"], ["--require", "top1>0.9"], "'top1>0.9' cannot be read"),
    "no figure": ([f"{UP},up,,"], ["--require", "f1@50>=1"], "clips have no figure 'f1@50'"),
    "no number": ([f"{UP},up,,"], ["--require", "top1>=0.9.1"], "'0.9.1' is no number"),
    "engine": ([f"{UP},up,,"], ["--engine", "gpu"], "unknown engine 'gpu'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(name, bundle, manifest, tmp_path, capsys):
    rows, options, words = MISTAKES[name]
    written = tmp_path / "r.html"
    arguments = ["--manifest", manifest(*rows), *options, "--html", str(written)]
    assert main(["eval", bundle, *arguments]) == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.startswith("Engine:")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("edgevid: error: ")
    assert words in lines[0]
    assert not printed.out
    assert not written.exists()


def test_what_cannot_be_written_is_found_out_before_the_work(bundle, manifest, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    path = manifest(f"{UP},up,,")
    for option in ("--json", "--html"):
        for target in (tmp_path, tmp_path / "file/r"):
            assert main(["eval", bundle, "--manifest", path, option, str(target)]) == 2
            assert capsys.readouterr().err.startswith("edgevid: error: cannot write ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "test.csv"]


def test_progress_in_a_log_is_a_line_every_ten_seconds(capsys):
    times = iter([0.0, 4.0, 11.0, 12.0, 30.0])
    with progress_bar("Evaluating", clock=lambda: next(times)) as progress:
        for done in (1, 2.5, 3, 6):
            progress(done, 10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Evaluating: 25% of 10, 33 s left",
        "Evaluating: 60% of 10, 20 s left",
    ]
