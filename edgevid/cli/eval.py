"""`edgevid eval`: how good a bundle's answers are, on labelled videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevid.cli._messages import notice, warning
from edgevid.cli._output import console, json_option, write_json
from edgevid.files import check_target, write_atomic

EXIT_INCOMPLETE = 3
"""Some of the manifest's videos could not be evaluated; the figures are of the others."""

EXIT_UNMET = 4
"""A figure is not as `--require` asks."""

_EPILOG = """\b
Examples:
  edgevid eval gesture.edgevid --manifest test.csv
  edgevid eval gesture.edgevid --manifest test.csv --clips 10 --crops 3 --html report.html
  edgevid eval gesture.edgevid --manifest stream.json --smooth mean:8 --json -
  edgevid eval gesture.edgevid --manifest test.csv --require 'top1>=0.9'

Exit status: 0 everything was evaluated; 4 a figure is not as --require asks; 3 some videos
could not be evaluated (the figures are of the others); 2 a mistake, or nothing was evaluated.
"""


@click.command(name="eval", epilog=_EPILOG)
@click.argument("bundle")
@click.option(
    "--manifest", required=True, type=click.Path(path_type=Path), metavar="CSV|JSON",
    help="CSV: path,label[,start_s,end_s], paths relative to it. JSON: segments of one video.",
)  # fmt: skip
@click.option(
    "--task", type=click.Choice(["clips", "segments"]),
    help="One answer a row, or labels over time.  [default: segments for JSON and where a "
    "video has several rows with times]",
)  # fmt: skip
@click.option(
    "--clips", type=int, default=1, show_default=True, metavar="N",
    help="Average the scores of N windows spread evenly over each clip.",
)  # fmt: skip
@click.option(
    "--overlap", type=float, metavar="SHARE",
    help="Instead: of windows from beginning to end that overlap by this share, such as 0.5.",
)  # fmt: skip
@click.option(
    "--crops", type=click.Choice(["1", "3"]), default="1", show_default=True,
    help="3: average over three crops along the longer side.",
)  # fmt: skip
@click.option(
    "--smooth", metavar="SPEC",
    help="Segments: judge the scores smoothed, beside the raw ones.  [default: the bundle's own]",
)  # fmt: skip
@click.option("--hop", "hop_s", type=float, metavar="S", help="Segments: as for `run`.")
@click.option("--window", "window_s", type=float, metavar="S", help="Segments: as for `run`.")
@click.option("--stride", type=int, metavar="N", help="Segments: as for `run`.")
@click.option(
    "--background", metavar="LABEL",
    help="Segments: the label that means that nothing happens.  [default: 'background', if known]",
)  # fmt: skip
@click.option("--skip-unknown", is_flag=True, help="Leave rows out whose label is not known.")
@click.option(
    "--root", type=click.Path(path_type=Path), metavar="DIR",
    help="Folder that the manifest's paths are relative to.  [default: its own]",
)  # fmt: skip
@click.option("--video", metavar="FILE", help="JSON: the video, where it does not name it.")
@click.option(
    "--require", multiple=True, metavar="FIGURE>=X",
    help="Exit with status 4 where a figure (a share, a time, a count) is not so. May be given "
    "several times; also <=.",
)  # fmt: skip
@click.option("--engine", default="auto", show_default=True, help="See `edgevid doctor`.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the engine.")
@click.option(
    "--batch", type=int, default=1, show_default=True, metavar="N",
    help="Windows and crops of one clip in one call, at most: for GPUs, with --clips or --crops.",
)  # fmt: skip
@json_option
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write one page with charts."
)
def command(bundle: str, json_target: str | None, html: Path | None, **options: Any) -> int:
    """Evaluate BUNDLE on labelled videos.

    Clips get one answer each: top-1, top-5, figures of every class, confusion, calibration.
    Videos with labels over time: frame accuracy, segmental F1, edit score, mAP, onset delay,
    and how often the label switches.
    """
    from edgevid.cli._evaluation import render_evaluation
    from edgevid.cli._progress import progress_bar
    from edgevid.pipeline import SamplingOptions
    from edgevid.validation import Views, evaluate

    json_file = None if json_target in (None, "-") else Path(str(json_target))
    for target in (html, json_file):
        if target is not None:
            check_target(target)
    with progress_bar("Evaluating") as progress:
        found = evaluate(
            bundle,
            options.pop("manifest"),
            views=Views(options.pop("clips"), options.pop("overlap"), int(options.pop("crops"))),
            options=SamplingOptions(
                hop_s=options.pop("hop_s"),
                window_s=options.pop("window_s"),
                frame_interval=options.pop("stride"),
            ),
            progress=progress,
            notify=notice,
            **options,
        )
    if json_target is not None:
        write_json(found.model_dump(mode="json"), json_target)
    if html is not None:
        from edgevid.validation.page import render

        write_atomic(html, render(found).encode())
    if json_target != "-":
        render_evaluation(found, console())
    for problem in found.problems:
        warning(f"not evaluated: {problem.reason}")
    unmet = [r for r in found.requirements if not r.met]
    for r in unmet:
        value = "unknown" if r.value is None else f"{r.value:.4g}"
        warning(f"required: {r.figure} {r.relation} {r.limit:g}; it is {value}")
    if unmet:
        return EXIT_UNMET
    return 0 if found.complete else EXIT_INCOMPLETE
