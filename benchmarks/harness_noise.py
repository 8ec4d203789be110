"""Does `edgevid bench` keep its word: do two runs of one thing differ by no more than it says?

    python -m edgevid.benchmarks.harness_noise BUNDLE --runs 21

Runs the same command again and again, each time in a process of its own, and looks at every two
neighbours: does the figure of the second lie where the first one expects another run? Of 95 %
intervals 19 of 20 should hold it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, permutations
from pathlib import Path

from edgevid.benchmarks.harness.results import Figure, Result, load
from edgevid.errors import SpecError

_FIGURES = ("p50_ms", "mean_ms", "p90_ms")


@dataclass(frozen=True)
class Noise:
    """One figure of all runs.

    Attributes:
        name: As in the result.
        values: Of each run, in order.
        wide: Median width of the intervals, half of it, as a share of the value.
        tries, held: Pairs of neighbours, and those of which the first expected the second.
        any_tries, any_held: The same of any two runs, in both orders.
    """

    name: str
    values: tuple[float, ...]
    wide: float
    tries: int
    held: int
    any_tries: int
    any_held: int

    @property
    def kept(self) -> bool:
        """At least 19 of 20 neighbours were as expected."""
        return self.held >= 0.95 * self.tries


def measure(bundle: Path, runs: int, arguments: Sequence[str]) -> list[Noise]:
    """Run the command `runs` times.

    Raises:
        SpecError: The command failed.
    """
    results = []
    for number in range(runs):
        results.append(_run(bundle, arguments))
        print(f"run {number + 1} of {runs}: {_shown(results[-1])}", file=sys.stderr, flush=True)
    return [_noise(name, [r.figures[name] for r in results]) for name in _FIGURES]


def _run(bundle: Path, arguments: Sequence[str]) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.json"
        command = [sys.executable, "-m", "edgevid", "bench", str(bundle), *arguments]
        done = subprocess.run(
            [*command, "--json", str(path), "--quiet"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SpecError(f"{' '.join(command)} failed: {done.stderr}")
        return load(path)


def _noise(name: str, figures: Sequence[Figure]) -> Noise:
    neighbours, any_two = list(pairwise(figures)), list(permutations(figures, 2))
    widths = sorted(((f.high or 0.0) - (f.low or 0.0)) / 2 / f.value for f in figures)
    return Noise(
        name=name,
        values=tuple(f.value for f in figures),
        wide=widths[len(widths) // 2],
        tries=len(neighbours),
        held=sum(_expected(*pair) for pair in neighbours),
        any_tries=len(any_two),
        any_held=sum(_expected(*pair) for pair in any_two),
    )


def _expected(first: Figure, second: Figure) -> bool:
    return (first.low or 0.0) <= second.value <= (first.high or 0.0)


def _shown(result: Result) -> str:
    figures = ((name, result.figures[name]) for name in _FIGURES)
    return ", ".join(f"{n} {f.value:g} ({f.low:g} to {f.high:g})" for n, f in figures)


def render(noises: Sequence[Noise]) -> str:
    """A line for each figure."""
    lines = ["figure    median   runs differ by   interval   held of neighbours   of any two"]
    for n in noises:
        ordered = sorted(n.values)
        middle = ordered[len(ordered) // 2]
        lines.append(
            f"{n.name:8}{middle:8.3f}   {(ordered[-1] - ordered[0]) / middle:13.1%}   "
            f"±{n.wide:7.1%}   {n.held:8} of {n.tries:<7}   {n.any_held / n.any_tries:9.1%}"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 where an interval did not keep its word."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--runs", type=int, default=21, help="one more than there are tries")
    parser.add_argument("--json", type=Path)
    args, more = parser.parse_known_args(argv)
    if args.runs < 2:
        parser.error(f"--runs {args.runs} must be at least 2")
    noises = measure(args.bundle, args.runs, more or ["--engine-only", "--duration", "4"])
    print(render(noises))
    if args.json:
        args.json.write_text(json.dumps([asdict(n) for n in noises], indent=2) + "\n")
    return 0 if all(n.kept for n in noises) else 1


if __name__ == "__main__":
    sys.exit(main())
