"""How many settings `edgevid tune` tries a second, on a trace of ten minutes.

    python -m edgevid.benchmarks.tuning [--classes 8] [--windows-a-second 12.5]

The scores are made: labels of some seconds each, with noise and wrong stretches between them.
One thread, as `tune` itself.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from edgevid.evaluation import Segment
from edgevid.smoothing import parse_smoother
from edgevid.tuning import ScoredVideo, choose, front, try_events, try_smoothers
from edgevid.tuning.candidates import event_rules, smoothers

_MINUTES = 10
_FPS = 25.0
_AFTER = 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--windows-a-second", type=float, default=12.5)
    options = parser.parse_args()
    video = made_video(options.classes, options.windows_a_second)
    specs = [(text, parse_smoother(text)) for text in smoothers(multi_label=False)]
    started = time.perf_counter()
    labels = try_smoothers([video], specs)
    between = time.perf_counter()
    best = [t.smooth for t in front(labels)][:_AFTER]
    events = try_events([video], [s for s in specs if s[0] in best], event_rules())
    ended = time.perf_counter()
    print(f"{len(video.ends_s)} windows of {options.classes} classes, {_MINUTES} minutes")
    for name, count, seconds in (
        ("smoothers", len(labels), between - started),
        ("rules of events", len(events), ended - between),
        ("settings in all", len(labels) + len(events), ended - started),
    ):
        print(f"{name:18}{count:6} in {seconds:6.1f} s: {count / seconds:6.1f} a second")
    chosen = choose(labels, labels[0])
    print(f"raw {labels[0].accuracy:.3f}, chosen {chosen.smooth} {chosen.accuracy:.3f}")


def made_video(classes: int, rate: float) -> ScoredVideo:
    """Ten minutes of labels of 4 to 12 s, seen 0.8 s late and through noise."""
    rng = np.random.default_rng(0)
    truth: list[Segment] = []
    end_s = _MINUTES * 60.0
    while not truth or truth[-1].end_s < end_s:
        start = truth[-1].end_s if truth else 0.0
        label = int(rng.integers(classes))
        truth.append(Segment(label, start, min(start + rng.uniform(4, 12), end_s)))
    ends_s = np.arange(1.6, end_s, 1 / rate)
    starts = np.array([s.start_s for s in truth])
    seen = np.array([truth[int(i)].label for i in np.searchsorted(starts, ends_s - 0.8) - 1])
    wrong = np.repeat(rng.random(len(ends_s) // 10 + 1) < 0.1, 10)[: len(ends_s)]
    seen[wrong] = rng.integers(classes, size=int(wrong.sum()))
    logits = rng.normal(0, 1.5, (len(ends_s), classes))
    logits[np.arange(len(ends_s)), seen] += 4
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    frames_s = np.arange(round(end_s * _FPS)) / _FPS
    return ScoredVideo(
        "made", tuple(truth), scores, ends_s - 1.6, ends_s, np.zeros(len(ends_s), bool), end_s,
        frames_s,
    )  # fmt: skip


if __name__ == "__main__":
    main()
