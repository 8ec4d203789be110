"""A picture and a line of figures for each smoother, from a trace: docs/smoothing.md shows them.

    edgevid run demo.edgevid --source edgevid/demo/demo.mp4 --smooth none --trace demo.npz
    python -m edgevid.benchmarks.smoothing_pictures demo.npz edgevid/demo/truth.json \\
        --out docs/smoothing

The table goes to standard output, as Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgevid.pages.files import svg_file
from edgevid.pages.timelines import time_lines
from edgevid.pipeline import read_rules
from edgevid.smoothing import parse_smoother
from edgevid.traces import read_trace
from edgevid.tuning import Tried, try_smoothers, videos_of_trace
from edgevid.tuning.timelines import time_rows
from edgevid.validation.annotations import Classes, read_annotations

PICTURES = {
    "mean": "mean:4",
    "logmean": "logmean:4",
    "ema": "ema:0.5s",
    "vote": "vote:5",
    "median": "median:5",
    "hysteresis": "hysteresis:0.3,for=0.4s",
    "hmm": "hmm:3s",
    "lag": "hmm:30s,weight=0.5,lag=1s",
    "chain": "mean:3+hysteresis:0.1",
}
"""Name of the picture, and the smoother that it shows."""

SPECS = ("none", "mean:8", "ema:0.4", *PICTURES.values())


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", help="of one video")
    parser.add_argument("truth", type=Path, help="its true labels over time, as JSON")
    parser.add_argument("--out", type=Path, help="folder for the pictures; default: none are made")
    parser.add_argument("--smooth", action="append", default=[], help="one more line")
    options = parser.parse_args()
    trace = read_trace(options.trace)
    labels = trace.info.labels
    truth = read_annotations(
        options.truth, Classes(labels), task="segments", video=trace.sources[0]
    )
    videos = videos_of_trace(trace, truth.videos)
    specs = dict.fromkeys([*SPECS, *options.smooth])
    print("| smoothing | accuracy | switches | a minute | mean onset delay |")
    print("|---|---|---|---|---|")
    for tried in try_smoothers(videos, [(s, parse_smoother(s, labels=labels)) for s in specs]):
        print(_line(tried))
    if options.out is None:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for name, spec in PICTURES.items():
        rows = time_rows(videos[0], read_rules(spec, (), labels, False), labels)
        drawing = time_lines(f"Labels over time, smoothed by {spec}", rows, videos[0].end_s)
        (options.out / f"{name}.svg").write_text(svg_file(drawing), encoding="utf-8")


def _line(tried: Tried) -> str:
    figures = tried.figures
    delay = "-" if figures.onset_delay_s is None else f"{figures.onset_delay_s:.2f} s"
    return (
        f"| `{tried.smooth}` | {tried.accuracy:.1%} | {figures.switches} (truth "
        f"{figures.true_switches}) | {figures.switches_per_minute or 0:.1f} | {delay} |"
    )


if __name__ == "__main__":
    main()
