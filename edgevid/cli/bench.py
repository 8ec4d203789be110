"""`edgevid bench`: how fast, how late and how hot a bundle runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli._bundles import open_bundle
from edgevid.cli._messages import notice
from edgevid.cli._output import console, json_option
from edgevid.files import check_target, write_atomic

if TYPE_CHECKING:
    from edgevid.benchmarks.harness.results import Result

EXIT_INTERRUPTED = 130

_EPILOG = """\b
Examples:
  edgevid bench gesture.edgevid
  edgevid bench gesture.edgevid --engine-only --percentile 99.9 --html bench.html
  edgevid bench gesture.edgevid --scenario server --target-ms 50
  edgevid bench gesture.edgevid --scenario live --clips hall.mp4 --json bench.json

Intervals say where another run of the same command is expected, 95 % sure.
"""


@click.command(name="bench", epilog=_EPILOG)
@click.argument("model", metavar="BUNDLE|MODEL.onnx")
@click.option(
    "--scenario", type=click.Choice(["single", "multi", "offline", "server", "live"]),
    default="single", show_default=True,
    help="single: one clip after another. multi: one of each of --streams at once. offline: most "
    "clips a second. server: by chance, the highest rate within --target-ms. live: paced "
    "sources, as many as hold.",
)  # fmt: skip
@click.option(
    "--engine-only", is_flag=True, help="Ready clips to the engine, not frames to labels."
)
@click.option(
    "--clips", multiple=True, metavar="PATH",
    help="Videos, folders or a CSV to take clips from; for live also cameras and URLs. May be "
    "given several times.  [default: the demo clip; with --engine-only, noise]",
)  # fmt: skip
@click.option("--engine", default="auto", show_default=True, help="See `edgevid doctor`.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the engine.")
@click.option(
    "--batch", type=int, metavar="N",
    help="offline, server, live: clips in one call, at most.  [default: 1; offline: the best]",
)  # fmt: skip
@click.option(
    "--streams", type=int, metavar="N",
    help="multi, live: streams side by side.  [default: 1; live: as many as hold]",
)  # fmt: skip
@click.option("--hop", "hop_s", type=float, metavar="S", help="Seconds between windows.")
@click.option(
    "--target-ms", type=float, metavar="MS",
    help="server, live: what the percentile of the latency is held to.",
)  # fmt: skip
@click.option(
    "--percentile", type=float, metavar="P",
    help="Go on until there are samples enough for it, such as 99.9.  [default: 99, as far as "
    "the duration allows]",
)  # fmt: skip
@click.option(
    "--duration", "duration_s", type=float, metavar="S",
    help="Seconds to measure; warming up and searching come on top.  [default: 10 or 20]",
)  # fmt: skip
@click.option(
    "--rounds", type=int, metavar="N",
    help="Parts that the time is cut into; the engine is opened anew for each.  [default: 4 to 10]",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of noise and of arrivals.")  # fmt: skip
@json_option
@click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write tables.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write one page with plots."
)
@click.option("--spec", type=click.Path(path_type=Path), help="For a MODEL.onnx: its spec.toml.")
@click.option("--preset", help="For a MODEL.onnx: its preprocessing, such as imagenet.")
@click.option(
    "--labels", type=click.Path(path_type=Path), help="For a MODEL.onnx: one label a line."
)
@click.option("--quiet", "-q", is_flag=True, help="No console output but errors.")
def command(
    model: str, json_target: str | None, markdown: Path | None, html: Path | None, **options: Any
) -> int:
    """Measure BUNDLE: percentiles, throughput, stages, power and heat."""
    import cv2

    from edgevid.benchmarks.harness.measure import Options, check, measure
    from edgevid.cli._progress import progress_bar

    # Decoder and engine share the cores; OpenCV's own threads would only fight them.
    cv2.setNumThreads(1)
    quiet = options.pop("quiet")
    conversion = {name: options.pop(name) for name in ("spec", "preset", "labels")}
    asked = Options(command=shlex.join(["edgevid", *sys.argv[1:]]), **options)
    check(asked)
    json_file = None if json_target in (None, "-") else Path(str(json_target))
    for target in (json_file, markdown, html):
        if target is not None:
            check_target(target)
    bundle = open_bundle(model, conversion)
    with progress_bar("Measuring") as progress:
        result = measure(
            bundle, asked, notify=(lambda _: None) if quiet else notice, progress=progress
        )
    _write(result, json_target, markdown, html)
    if not quiet and json_target != "-":
        from edgevid.benchmarks.harness.table import print_result

        print_result(result, console())
    return EXIT_INTERRUPTED if result.marked("interrupted") else 0


def _write(
    result: Result, json_target: str | None, markdown: Path | None, html: Path | None
) -> None:
    """Write the files that were asked for."""
    from edgevid.benchmarks.harness.results import dump

    if json_target == "-":
        click.echo(dump(result), nl=False)
    elif json_target is not None:
        write_atomic(Path(json_target), dump(result).encode())
    if markdown is not None:
        from edgevid.benchmarks.harness.markdown import render as render_markdown

        write_atomic(markdown, render_markdown(result).encode())
    if html is not None:
        from edgevid.benchmarks.harness.html import render

        write_atomic(html, render(result).encode())
