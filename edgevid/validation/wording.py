"""How figures are written for people, on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterator

from edgevid.evaluation import StreamFigures
from edgevid.validation.results import Protocol


def segment_figures(f: StreamFigures) -> Iterator[tuple[str, str]]:
    """Names and values of labels over time, in the order in which they are shown."""
    yield "videos, segments", f"{f.videos}, {f.segments}"
    yield "frame accuracy", percent(f.frame_accuracy)
    for overlap, value in f.f1.items():
        yield f"F1@{100 * overlap:g}", percent(value)
    yield "edit score", percent(f.edit_score)
    for overlap, ap in f.mean_ap.items():
        yield f"mAP@{overlap:g}", percent(ap)
    yield "onset delay, mean", seconds(f.onset_delay_s)
    yield "onset delay, largest", seconds(f.max_onset_delay_s)
    yield "segments missed", str(f.missed)
    yield "switches (truth)", f"{f.switches} ({f.true_switches})"
    rates = (f.switches_per_minute, f.true_switches_per_minute)
    rate, true_rate = ("–" if r is None else f"{r:.1f}" for r in rates)
    yield "switches a minute (truth)", f"{rate} ({true_rate})"


def protocol_words(p: Protocol) -> str:
    """How answers were made, in a phrase."""
    if p.task == "segments":
        said = {"window": p.window_s, "hop": p.hop_s}
        times = [f"{name} {value:g} s" for name, value in said.items() if value is not None]
        stride = [] if p.frame_interval is None else [f"stride {p.frame_interval}"]
        smooth = "without smoothing" if p.smooth == "none" else f"smoothed by {p.smooth}"
        return ", ".join(["sliding windows", *times, *stride, smooth])
    windows = "1 window" if p.clips == 1 else f"{p.clips} windows"
    if p.overlap is not None:
        windows = f"windows that overlap by {100 * p.overlap:g} %"
    return f"one answer a clip: mean over {windows}, {p.crops} crop{'s' * (p.crops > 1)}"


def percent(share: float | None) -> str:
    """A share of 1 in percent, with one decimal; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f} %"


def seconds(value: float | None) -> str:
    """A time with two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f} s"
