"""`edgevid split`: one list of clips becomes two, without clips of one group on both sides.

UCF101 shows why: its clips `v_Diving_g01_c01.avi` to `c07` are cut from one video (group
g01), so a model that was trained on one of them has nearly seen the others (Soomro et al.
2012, arXiv:1212.0402, which therefore splits by group).
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevid.errors import OutputError, SpecError
from edgevid.files import write_all
from edgevid.sources.clip_list import located
from edgevid.sources.table import Table, TableRow, read_table

DEFAULT_TEST_SHARE = 0.2

_MOST_MOVES = 200
"""Groups that are moved once more, at most, after each was given its side."""

_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitResult:
    """What a split did.

    Attributes:
        counts: Label to its rows in training and in test, in alphabetical order; "" where rows
            have no label.
        rows, groups: In training and in test.
    """

    counts: dict[str, tuple[int, int]]
    rows: tuple[int, int]
    groups: tuple[int, int]

    @property
    def one_sided(self) -> list[str]:
        """Labels that stand on one side only."""
        return [label for label, pair in self.counts.items() if 0 in pair]


def split(
    path: Path,
    train: Path,
    test: Path,
    *,
    test_share: float = DEFAULT_TEST_SHARE,
    group: str | None = None,
    group_regex: str | None = None,
    seed: int = 0,
    force: bool = False,
) -> SplitResult:
    """Split a CSV list of clips in two, by groups, so that every class keeps its share.

    Both files have all columns, and the rows in their order; relative paths are written anew
    where a file lies in another folder than the list.

    Args:
        path: The list, with a column `path` and as a rule `label`.
        train, test: The files to write: both, or where something is wrong neither.
        test_share: Of the rows of each class, for the test; as near as whole groups allow.
        group: The column that names a row's group.
        group_regex: Or a pattern that is searched in `path`: its first group in parentheses,
            or else all of the match. With neither, the rows of one video are a group.
        seed: At least 0. The same seed and list give the same split.
        force: Overwrite files that exist.

    Raises:
        SpecError: The list or an option cannot be right, or all rows are of one group.
        OutputError: A file exists, or cannot be written.
    """
    if not 0 < test_share < 1:
        raise SpecError(f"--test {test_share:g} must lie between 0 and 1", "Say 0.2 for 20 %")
    if group is not None and group_regex is not None:
        raise SpecError("--group and --group-regex exclude each other", "Leave one out")
    _check_targets(path, train, test, force)
    table = read_table(path)
    groups = _groups(path, table, group, group_regex)
    labels = [_labels(row) for row in table.rows]
    in_test = choose(groups, labels, test_share, seed)
    write_all(
        {
            train: _written(table, path, train, ~in_test),
            test: _written(table, path, test, in_test),
        }
    )
    return _result(groups, labels, in_test)


def choose(
    groups: Sequence[str], labels: Sequence[Sequence[str]], test_share: float, seed: int
) -> _Flags:
    """`(n,)` bool: which rows go to the test; the rows of one group together.

    Groups are taken in random order. One goes to the test where that brings the classes nearer
    to their shares, in the sum over the classes of (rows in test - wanted)^2 / rows; at the
    end groups change sides for as long as that helps.

    Args:
        groups: One a row.
        labels: The labels of each row; may be empty.
        test_share: Wanted share of the rows of each class.
        seed: At least 0.

    Raises:
        SpecError: There is only one group.
    """
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise SpecError(
            f"all rows are of one group ({names[0]}): it cannot be on both sides",
            "Check --group or --group-regex, or list more videos",
        )
    place = {name: i for i, name in enumerate(names)}
    classes = {name: i for i, name in enumerate(dict.fromkeys(x for row in labels for x in row))}
    # The last column counts rows, so that lists without labels keep their share too.
    counts = np.zeros((len(names), len(classes) + 1))
    for name, row in zip(groups, labels, strict=True):
        counts[place[name], -1] += 1
        for label in row:
            counts[place[name], classes[label]] += 1
    chosen = _balanced(counts, test_share, np.random.default_rng(seed))
    return np.array([chosen[place[name]] for name in groups])


def _balanced(counts: npt.NDArray[np.float64], share: float, rng: np.random.Generator) -> _Flags:
    totals = counts.sum(axis=0)
    wanted = share * totals
    weight = 1 / np.maximum(totals, 1)
    chosen = np.zeros(len(counts), bool)
    missing = wanted.copy()
    for i in rng.permutation(len(counts)):
        gain = (weight * (missing**2 - (missing - counts[i]) ** 2)).sum()
        if gain > 0:
            chosen[i] = True
            missing -= counts[i]
    for _ in range(_MOST_MOVES):
        moved = np.where(chosen[:, None], counts, -counts)
        gains = (weight * (missing**2 - (missing + moved) ** 2)).sum(axis=1)
        gains[_would_empty(chosen)] = -np.inf
        best = int(gains.argmax())
        empty = not chosen.any() or chosen.all()
        if gains[best] <= 1e-12 and not empty:
            break
        missing += moved[best]
        chosen[best] = ~chosen[best]
    return chosen


def _would_empty(chosen: _Flags) -> _Flags:
    """Groups that are alone on their side."""
    alone: _Flags = (chosen & (chosen.sum() == 1)) | (~chosen & ((~chosen).sum() == 1))
    return alone


def _check_targets(path: Path, train: Path, test: Path, force: bool) -> None:
    if os.path.realpath(train) == os.path.realpath(test):
        raise SpecError(f"--out names {train} twice", "Give two different files")
    for target in (train, test):
        if os.path.realpath(target) == os.path.realpath(path):
            raise SpecError(f"--out names the list itself: {target}", "Give another file")
        if os.path.lexists(target) and not force:
            raise OutputError(f"{target} exists", "Say --force to overwrite it")


def _groups(path: Path, table: Table, column: str | None, regex: str | None) -> list[str]:
    if column is not None:
        if column not in table.columns:
            known = ", ".join(table.columns)
            raise SpecError(f"{path} has no column {column!r}", f"It has {known}")
        return [_filled(path, row, column) for row in table.rows]
    if regex is None:
        paths = [(located(_filled(path, r, "path"), path.parent)) for r in table.rows]
        return [os.path.realpath(p) if os.path.exists(p) else p for p in paths]
    try:
        pattern = re.compile(regex)
    except re.error as exc:
        raise SpecError(f"--group-regex {regex!r} is no pattern: {exc}") from None
    return [_matched(path, row, pattern) for row in table.rows]


def _filled(path: Path, row: TableRow, column: str) -> str:
    text = row.cells.get(column, "")
    if not text:
        raise SpecError(f"{path}, row {row.line}: {column!r} is missing", "Fill it in")
    return text


def _matched(path: Path, row: TableRow, pattern: re.Pattern[str]) -> str:
    text = _filled(path, row, "path")
    match = pattern.search(text)
    found = None if match is None else match[min(pattern.groups, 1)]
    if found is None:
        raise SpecError(
            f"{path}, row {row.line}: --group-regex {pattern.pattern!r} finds nothing in {text!r}",
            "Write a pattern that every path has",
        )
    return found


def _labels(row: TableRow) -> list[str]:
    return [name.strip() for name in row.cells.get("label", "").split(";") if name.strip()]


def _written(table: Table, source: Path, target: Path, chosen: _Flags) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for row, taken in zip(table.rows, chosen, strict=True):
        if taken:
            moved = {"path": _moved(row.cells.get("path", ""), source.parent, target.parent)}
            cells = {**row.cells, **moved}
            writer.writerow([cells.get(name, "") for name in table.columns])
    return text.getvalue().encode()


def _moved(path: str, source: Path, target: Path) -> str:
    """The same video, seen from another folder."""
    if located(path, source) == path or os.path.realpath(source) == os.path.realpath(target):
        return path
    return os.path.relpath(source / path, target)


def _result(groups: Sequence[str], labels: Sequence[Sequence[str]], in_test: _Flags) -> SplitResult:
    sides: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for row, side in zip(labels, in_test, strict=True):
        sides[int(side)].update(row or [""])
    names = sorted(sides[0] | sides[1])
    tested = {g for g, side in zip(groups, in_test, strict=True) if side}
    return SplitResult(
        counts={name: (sides[0][name], sides[1][name]) for name in names},
        rows=(int((~in_test).sum()), int(in_test.sum())),
        groups=(len(set(groups)) - len(tested), len(tested)),
    )
