"""Lists split by group: no group on both sides, classes near their shares, files whole."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.cli import main
from edgevid.errors import OutputError
from edgevid.validation.annotations import Classes, read_annotations
from edgevid.validation.split import choose, split

UCF = r"(v_.*_g\d+)_c\d+"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ucf_list(folder: Path, classes=("Diving", "Punch"), groups=25, clips=4) -> Path:
    lines = [
        f"v_{name}_g{g:02}_c{c:02}.avi,{name},camera {g % 3}"
        for name in classes
        for g in range(1, groups + 1)
        for c in range(1, clips + 1)
    ]
    path = folder / "list.csv"
    path.write_text("\n".join(["path,label,camera", *lines]) + "\n")
    return path


def test_clips_of_one_ucf101_video_stay_together(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    done = split(ucf_list(tmp_path), train, test, group_regex=UCF)
    sides = [{r["path"].rsplit("_", 1)[0] for r in rows_of(p)} for p in (train, test)]
    assert not sides[0] & sides[1]
    assert done.groups == (40, 10)
    assert done.rows == (160, 40)
    assert done.counts == {"Diving": (80, 20), "Punch": (80, 20)}
    assert done.one_sided == []


def test_a_column_can_name_the_groups(tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    done = split(ucf_list(tmp_path), train, test, group="camera", test_share=1 / 3)
    assert done.groups == (2, 1)
    assert len({r["camera"] for r in rows_of(test)}) == 1


def test_without_a_group_the_parts_of_one_video_stay_together(tmp_path):
    path = tmp_path / "list.csv"
    lines = [f"{v}.mp4,wave,{s},{s + 1}" for v in "abcde" for s in range(4)]
    path.write_text("\n".join(["path,label,start_s,end_s", *lines]))
    done = split(path, tmp_path / "train.csv", tmp_path / "test.csv")
    assert done.rows == (16, 4)
    assert len({r["path"] for r in rows_of(tmp_path / "test.csv")}) == 1


def test_rows_keep_their_order_and_columns_and_none_is_lost(tmp_path):
    path = ucf_list(tmp_path)
    split(path, tmp_path / "train.csv", tmp_path / "test.csv", group_regex=UCF, seed=3)
    parts = [rows_of(tmp_path / name) for name in ("train.csv", "test.csv")]
    whole = rows_of(path)
    for part in parts:
        assert [r for r in whole if r in part] == part
    assert len(parts[0]) + len(parts[1]) == len(whole)


def test_the_seed_decides(tmp_path):
    path = ucf_list(tmp_path)

    def tested(seed, name):
        out = tmp_path / f"{name}-test.csv"
        split(path, tmp_path / f"{name}-train.csv", out, group_regex=UCF, seed=seed)
        return out.read_text()

    assert tested(1, "a") == tested(1, "b")
    assert len({tested(seed, f"s{seed}") for seed in range(5)}) == 5


def test_paths_are_right_from_another_folder(tmp_path):
    path = tmp_path / "list.csv"
    web = "http://host/c.mp4"
    path.write_text(f"path,label\na.mp4,wave\nsub/b.mp4,wave\n{web},wave\n/d.mp4,wave\n")
    out = tmp_path / "lists/deep"
    split(path, out / "train.csv", out / "test.csv", test_share=0.5)
    found = {r["path"] for name in ("train.csv", "test.csv") for r in rows_of(out / name)}
    assert found == {"../../a.mp4", "../../sub/b.mp4", web, "/d.mp4"}
    seen = read_annotations(out / "train.csv", Classes(["wave"])).clips[0].listed.uri
    local = {str(tmp_path / name) for name in ("a.mp4", "sub/b.mp4")}
    assert seen == web or os.path.normpath(seen) in {*local, "/d.mp4"}


def test_cells_with_commas_quotes_and_other_scripts_come_through(tmp_path):
    path = tmp_path / "list.csv"
    cells = [["a,b.mp4", 'say "hi"'], ["ö.mp4", "手を振る"], ["c.mp4", "x;y"]]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([["path", "label"], *cells])
    done = split(path, tmp_path / "train.csv", tmp_path / "test.csv", test_share=0.4)
    both = rows_of(tmp_path / "train.csv") + rows_of(tmp_path / "test.csv")
    assert sorted([r["path"], r["label"]] for r in both) == sorted(cells)
    assert set(done.counts) == {'say "hi"', "手を振る", "x", "y"}


def test_existing_files_are_left_alone_unless_forced(tmp_path):
    path, train, test = ucf_list(tmp_path), tmp_path / "train.csv", tmp_path / "test.csv"
    test.write_text("mine")
    with pytest.raises(OutputError, match=r"test\.csv exists\. Say --force"):
        split(path, train, test, group_regex=UCF)
    assert test.read_text() == "mine"
    assert not train.exists()
    split(path, train, test, group_regex=UCF, force=True)
    assert len(rows_of(test)) == 40


def test_both_files_or_neither(tmp_path):
    path = ucf_list(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*test\.csv"):
        split(path, tmp_path / "train.csv", tmp_path / "file/test.csv", group_regex=UCF)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*folder: Is a directory"):
        split(path, tmp_path / "train.csv", tmp_path / "folder", group_regex=UCF, force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder", "list.csv"]


MISTAKES = {
    "no list": (None, [], "cannot be read"),
    "no csv": ("not a list\n", [], "has no column 'path'"),
    "empty": ("path,label\n", [], "lists no clip"),
    "one video": ("path,label\na.mp4,x\na.mp4,y\n", [], "all rows are of one group"),
    "column": ("path,label\na.mp4,x\nb.mp4,y\n", ["--group", "who"], "has no column 'who'"),
    "no cell": ("path,label,who\na.mp4,x,1\nb.mp4,y,\n", ["--group", "who"], "row 3: 'who' is"),
    "no match": ("path\na.mp4\nb1.mp4\n", ["--group-regex", r"\d\."], "row 2: --group-regex"),
    "no pattern": ("path,label\na.mp4,x\nb.mp4,y\n", ["--group-regex", "("], "is no pattern"),
    "both": ("path\na\nb\n", ["--group", "path", "--group-regex", "."], "exclude each other"),
    "share": ("path\na\nb\n", ["--test", "1"], "--test 1 must lie between"),
    "nan": ("path\na\nb\n", ["--test", "nan"], "--test nan must lie between"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(name, tmp_path, capsys):
    text, options, words = MISTAKES[name]
    path = tmp_path / "list.csv"
    if text is not None:
        path.write_text(text)
    out = f"{tmp_path}/train.csv,{tmp_path}/test.csv"
    assert main(["split", str(path), "--out", out, *options]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("edgevid: error: ")
    assert words in line
    assert not list(tmp_path.glob("t*.csv"))


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("train.csv", "--out names 1 files, not two"),
        ("a.csv,b.csv,c.csv", "--out names 3 files"),
        ("a.csv,./a.csv", "--out names a.csv twice"),
        ("list.csv,test.csv", "--out names the list itself"),
    ],
)
def test_what_out_may_name(tmp_path, monkeypatch, capsys, out, words):
    monkeypatch.chdir(tmp_path)
    ucf_list(tmp_path)
    assert main(["split", "list.csv", "--out", out, "--force"]) == 2
    assert words in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["list.csv"]


def test_the_command_prints_both_sides(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ucf_list(tmp_path)
    arguments = ["list.csv", "--out", "train.csv,test.csv", "--group-regex", UCF]
    assert main(["split", *arguments]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Diving", "80", "20", "20.0%"] in lines
    assert ["groups", "40", "10", "20.0%"] in lines


def test_a_class_with_one_group_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("path,label\na,x\nb,x\nc,y\n")
    assert main(["split", "list.csv", "--out", "train.csv,test.csv", "--test", "0.4"]) == 0
    assert "on one side only, as there are too few groups: y" in capsys.readouterr().err


LISTS = st.lists(
    st.tuples(st.integers(0, 12), st.lists(st.sampled_from("xyz"), max_size=2)),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({g for g, _ in rows}) > 1)


@given(LISTS, st.floats(0.05, 0.95), st.integers(0, 5))
def test_groups_are_whole_and_no_side_is_empty(rows, share, seed):
    groups, labels = [str(g) for g, _ in rows], [x for _, x in rows]
    in_test = choose(groups, labels, share, seed)
    sides = [{g for g, t in zip(groups, in_test, strict=True) if t == side} for side in (0, 1)]
    assert not sides[0] & sides[1]
    assert sides[0]
    assert sides[1]


@given(st.integers(0, 20), st.sampled_from([0.1, 0.2, 0.5]))
def test_shares_are_near_where_groups_are_many(seed, share):
    rng = np.random.default_rng(seed)
    groups, labels = [], []
    for label in "abcd":
        for g in range(25):
            for _ in range(int(rng.integers(4, 8))):
                groups.append(f"{label}{g}")
                labels.append([label])
    in_test = choose(groups, labels, share, seed)
    for label in "abcd":
        inside = np.array([x == [label] for x in labels])
        assert abs(in_test[inside].mean() - share) <= 4 / inside.sum() + 1e-9
