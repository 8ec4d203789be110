"""What sampling beside a run costs, and what it costs the run.

    python -m edgevid.benchmarks.sampling BUNDLE --roots tests/data/roots --rounds 12

First the price of one reading of power and one of heat and clocks, on recorded trees: files of an
ordinary file system, so without the half millisecond that a board's I2C bus takes for each
register, during which the sampling thread sleeps. Then rounds of the bundle's engine, alone and
with the recorder beside it (its readings taken off the dearest tree), in turns: the ratio of their
median times with its interval.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from edgevid.benchmarks.harness.ratios import paired_ratio
from edgevid.benchmarks.harness.recorder import INTERVAL_S, Recorder
from edgevid.device.power import find_power
from edgevid.device.state import read_state
from edgevid.engines import open_engine
from edgevid.engines.trial import trial_feeds
from edgevid.manifest import Bundle

_READINGS = 200


def main(arguments: list[str] | None = None) -> int:
    """Print the prices, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--roots", type=Path, required=True, help="folder of recorded trees")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    args = parser.parse_args(arguments)
    trees = sorted(folder for folder in args.roots.iterdir() if (folder / "proc").is_dir())
    print(f"{'tree':28} {'power (µs)':>10} {'state (µs)':>10} {'a core at 10 Hz':>16}")
    dearest, worst = trees[0], 0.0
    for tree in trees:
        power_s, state_s = _price(tree)
        share = (power_s + state_s / 10) / INTERVAL_S
        print(f"{tree.name:28} {power_s * 1e6:10.0f} {state_s * 1e6:10.0f} {share:16.2%}")
        if power_s + state_s / 10 > worst:
            dearest, worst = tree, power_s + state_s / 10
    _beside_a_run(args.bundle, dearest, args.rounds, args.seconds)
    return 0


def _price(tree: Path) -> tuple[float, float]:
    """Seconds of CPU for one reading of power, and for one of everything else."""
    sources = find_power(tree, find_nvml=lambda: None)
    begun = time.thread_time()
    for _ in range(_READINGS):
        for reader in sources.readers:
            reader.read()
    power_s = time.thread_time() - begun
    begun = time.thread_time()
    for _ in range(_READINGS):
        read_state(tree)
    return power_s / _READINGS, (time.thread_time() - begun) / _READINGS


def _beside_a_run(path: Path, tree: Path, rounds: int, seconds: float) -> None:
    engine = open_engine(Bundle.load(path))
    feeds = trial_feeds(engine, 1)
    alone, beside, shares = [], [], []

    def median_ms() -> float:
        times = []
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            engine.infer(feeds)
            times.append(time.perf_counter() - begun)
        return statistics.median(times) * 1e3

    median_ms()
    for _ in range(rounds):
        alone.append(median_ms())
        with Recorder(find_power(tree, find_nvml=lambda: None), root=tree) as recorder:
            beside.append(median_ms())
        shares.append(recorder.heat().sampler_cpu)
    engine.close()
    ratio = paired_ratio(beside, alone)
    ends = (
        "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.4f}, {ratio.high:.4f}]"
    )
    print(
        f"\n{engine.name}: {statistics.median(alone):.3f} ms a call alone; with the recorder "
        f"({tree.name}) {ratio.value:.4f}{ends} times that, over {rounds} rounds: "
        f"{ratio.verdict}; the recorder took {statistics.median(shares):.2%} of a core"
    )


if __name__ == "__main__":
    sys.exit(main())
