"""`edgevid bench`: how fast, how late and how hot a bundle runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from edgevid.cli._benching import Outputs, compare_files, measure_one, short_names, sweep_over
from edgevid.cli._bundles import open_bundle
from edgevid.cli._output import json_option
from edgevid.errors import SpecError

_EPILOG = """\b
Examples:
  edgevid bench gesture.edgevid
  edgevid bench gesture.edgevid --engine-only --percentile 99.9 --html bench.html
  edgevid bench gesture.edgevid --scenario server --target-ms 50
  edgevid bench gesture.edgevid --scenario live --clips hall.mp4 --json bench.json
  edgevid bench gesture.edgevid --sweep threads=1,2,4 --sweep engine=onnxruntime,openvino
  edgevid bench old.edgevid new.edgevid --fail-if-slower 5
  edgevid bench --compare yesterday.json today.json

Exit status: 0 done; 4 slower than --fail-if-slower allows; 3 that cannot be told (throttled,
another machine, too few rounds); 2 a mistake, or nothing could be measured.

Intervals say where another run of the same command is expected, 95 % sure.
"""


@click.command(name="bench", epilog=_EPILOG)
@click.argument("models", metavar="[BUNDLE|MODEL.onnx]...", nargs=-1)
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
@click.option(
    "--sweep", "axes", multiple=True, metavar="AXIS=V,V...",
    help="Measure every value of batch, streams, threads, hop or engine, rounds in turns; of "
    "several axes every combination. Several bundles are an axis of their own.",
)  # fmt: skip
@click.option(
    "--compare", nargs=2, type=click.Path(path_type=Path), metavar="A.json B.json",
    help="Measure nothing; say whether B is faster than A, as far as noise allows.",
)  # fmt: skip
@click.option(
    "--fail-if-slower", "most_slower", type=click.FloatRange(min=0), is_flag=False, flag_value=0.0,
    metavar="[PERCENT]",
    help="Of two (--compare, two bundles): exit with status 4 where the second is surely slower, "
    "by more than PERCENT.  [default: 0]",
)  # fmt: skip
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
def command(models: tuple[str, ...], compare: tuple[Path, Path] | None, **options: Any) -> int:
    """Measure BUNDLE: percentiles, throughput, stages, power and heat.

    Of several bundles, or with --sweep, all are measured in turns and shown side by side.
    """
    import cv2

    from edgevid.benchmarks.harness.measure import Options, check

    files = [options.pop(name) for name in ("json_target", "markdown", "html", "quiet")]
    outputs = Outputs(*files)
    most_slower = options.pop("most_slower")
    if compare:
        _refuse_others(models)
        return compare_files(compare, outputs, most_slower)
    # Decoder and engine share the cores; OpenCV's own threads would only fight them.
    cv2.setNumThreads(1)
    conversion = {name: options.pop(name) for name in ("spec", "preset", "labels")}
    axes = options.pop("axes")
    asked = Options(command=shlex.join(["edgevid", *sys.argv[1:]]), **options)
    check(asked)
    if not models:
        raise SpecError("there is no bundle to measure", "Name one: edgevid bench gesture.edgevid")
    if len(models) > 1 or axes:
        names = short_names(models)
        bundles = {n: open_bundle(m, conversion) for n, m in zip(names, models, strict=True)}
        return sweep_over(bundles, axes, asked, outputs, most_slower)
    if most_slower is not None:
        raise SpecError(
            "--fail-if-slower needs two to judge", "Give two bundles, --sweep or --compare"
        )
    return measure_one(open_bundle(models[0], conversion), asked, outputs)


def _refuse_others(models: tuple[str, ...]) -> None:
    """Raise SpecError where something is to be measured that --compare would ignore."""
    context = click.get_current_context()
    shared = ("compare", "most_slower", "json_target", "markdown", "html", "quiet")
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in shared
        and parameter.name is not None
        and context.get_parameter_source(parameter.name) == click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        what = models[0] if models else given[0]
        raise SpecError(f"--compare measures nothing, so {what} has no place beside it")
