"""`edgevid bench` beyond one result: comparing two, and sweeping over many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._messages import notice, warning
from edgevid.cli._output import console
from edgevid.errors import SpecError
from edgevid.files import check_target, write_atomic

if TYPE_CHECKING:
    from edgevid.benchmarks.harness.compare import Comparison
    from edgevid.benchmarks.harness.measure import Options
    from edgevid.manifest import Bundle

EXIT_UNRELIABLE = 3
"""The verdict that was asked for cannot be relied on."""

EXIT_SLOWER = 4
"""The second is slower, surely and by more than allowed."""

EXIT_INTERRUPTED = 130


class Outputs:
    """Where results go.

    Args:
        json_target: A file, "-" for stdout, or None.
        markdown, html: Files, or None.
        quiet: No text on the console.

    Raises:
        OutputError: One of the files cannot be written.
    """

    def __init__(
        self, json_target: str | None, markdown: Path | None, html: Path | None, quiet: bool
    ) -> None:
        self._json, self._markdown, self._html = json_target, markdown, html
        self.shows_text = not quiet and json_target != "-"
        json_file = None if json_target in (None, "-") else Path(str(json_target))
        for target in (json_file, markdown, html):
            if target is not None:
                check_target(target)

    def write(self, json: str, markdown: Any, html: Any) -> None:
        """Write what was asked for; `markdown` and `html` are called only then."""
        if self._json == "-":
            click.echo(json, nl=False)
        elif self._json is not None:
            write_atomic(Path(self._json), json.encode())
        if self._markdown is not None:
            write_atomic(self._markdown, markdown().encode())
        if self._html is not None:
            write_atomic(self._html, html().encode())


def measure_one(bundle: Bundle, options: Options, outputs: Outputs) -> int:
    """Measure one bundle.

    Raises:
        EdgevidError: It cannot be measured.
    """
    from edgevid.benchmarks.harness import html, markdown
    from edgevid.benchmarks.harness.measure import measure
    from edgevid.benchmarks.harness.results import dump
    from edgevid.benchmarks.harness.table import print_result
    from edgevid.cli._progress import progress_bar

    tell = notice if outputs.shows_text else (lambda _: None)
    with progress_bar("Measuring") as progress:
        found = measure(bundle, options, notify=tell, progress=progress)
    outputs.write(dump(found), lambda: markdown.render(found), lambda: html.render(found))
    if outputs.shows_text:
        print_result(found, console())
    return EXIT_INTERRUPTED if found.marked("interrupted") else 0


def short_names(paths: Sequence[str]) -> list[str]:
    """What bundles are called in tables: their folders, as far as these tell them apart."""
    names = [Path(path).resolve().name.removesuffix(".edgevid") for path in paths]
    if len(set(names)) < len(names):
        names = list(paths)
    before = (names[:number].count(name) for number, name in enumerate(names))
    return [f"{n} ({b + 1})" if b else n for n, b in zip(names, before, strict=True)]


def compare_files(paths: tuple[Path, Path], outputs: Outputs, most_slower: float | None) -> int:
    """Compare two results that were written before.

    Args:
        most_slower: Percent by which the second may be slower; None: no verdict is asked for.

    Raises:
        SpecError: A file is no result, or the two are of different questions.
    """
    from edgevid.benchmarks.harness import compare_page, markdown
    from edgevid.benchmarks.harness.compare import compare
    from edgevid.benchmarks.harness.results import load
    from edgevid.benchmarks.harness.table import print_comparison

    first, second = (load(path) for path in paths)
    names = [path.name for path in paths]
    if names[0] == names[1]:
        names = [str(path) for path in paths]
    found = compare(first, second, (names[0], names[1]))
    outputs.write(
        found.model_dump_json(indent=2) + "\n",
        lambda: markdown.render_comparison(found),
        lambda: compare_page.render(found, first, second),
    )
    if outputs.shows_text:
        print_comparison(found, console())
    return _judged(found, most_slower)


def _judged(found: Comparison, most_slower: float | None) -> int:
    if most_slower is None:
        return 0
    if not found.reliable:
        reasons = "; ".join(found.reservations) or "too few rounds"
        warning(f"the verdict cannot be relied on: {reasons}")
        return EXIT_UNRELIABLE
    return EXIT_SLOWER if found.slower_than(most_slower) else 0


def sweep_over(
    bundles: dict[str, Bundle],
    axes: Sequence[str],
    options: Options,
    outputs: Outputs,
    most_slower: float | None,
) -> int:
    """Measure every combination; `most_slower` judges the second of two points.

    Raises:
        EdgevidError: An axis is impossible, or no point can be measured.
    """
    from edgevid.benchmarks.harness import markdown, sweep_page
    from edgevid.benchmarks.harness.compare import compare
    from edgevid.benchmarks.harness.sweep import parse_axes, settings_of
    from edgevid.benchmarks.harness.sweep_words import setting_text
    from edgevid.benchmarks.harness.sweeping import run_sweep
    from edgevid.benchmarks.harness.table import print_comparison, print_sweep
    from edgevid.cli._progress import progress_bar

    parsed = parse_axes(axes)
    count = len(bundles) * len(settings_of(parsed))
    if most_slower is not None and count != 2:
        raise SpecError(
            f"--fail-if-slower judges the second of two, and there are {count} points to measure",
            "Give two bundles, or one axis with two values",
        )
    tell = notice if outputs.shows_text else (lambda _: None)
    with progress_bar("Measuring") as progress:
        found = run_sweep(bundles, parsed, options, notify=tell, progress=progress)
    outputs.write(
        found.model_dump_json() + "\n",
        lambda: markdown.render_sweep(found),
        lambda: sweep_page.render(found),
    )
    if outputs.shows_text:
        print_sweep(found, console())
    status = 0
    if count == 2 and not found.skipped:
        first, second = found.points
        names = setting_text(first.setting), setting_text(second.setting)
        pair = compare(first.result, second.result, names)
        if outputs.shows_text:
            console().print()
            print_comparison(pair, console())
        status = _judged(pair, most_slower)
    interrupted = any(point.result.marked("interrupted") for point in found.points)
    return EXIT_INTERRUPTED if interrupted else status
