"""What it costs to hand a streaming model's states from one call to the next.

    python -m edgevid.benchmarks.state_passing BUNDLE

One side is the bare engine call, again and again with the same frame and states. The other is
the pipeline's executor on the same engine: it gathers the states of a stream, calls the engine,
looks for NaN, and keeps what comes back. They take turns, call by call, so that a drift of the
machine touches both; the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import edgevid
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.errors import SpecError
from edgevid.pipeline.executor import Request, new_executor
from edgevid.states import States, gather
from edgevid.types import Clip


@dataclass(frozen=True)
class Passing:
    """Medians of one comparison, in milliseconds a call.

    `noise` is how far the bare calls of the first and of the second half of the run are apart,
    as a share: a cost below it says nothing.
    """

    model: str
    states: int
    megabytes: float
    calls: int
    bare_ms: float
    passed_ms: float
    noise: float

    @property
    def cost(self) -> float:
        """What passing the states adds to the bare call, as a share of it."""
        return self.passed_ms / self.bare_ms - 1


def measure(bundle_path: Path, calls: int = 200) -> Passing:
    """Compare both sides, one thread each.

    Raises:
        BundleError: `bundle_path` is no bundle.
        SpecError: Its model has no states.
    """
    bundle = edgevid.load(bundle_path)
    manifest = bundle.manifest
    if not manifest.states:
        raise SpecError(f"the model of {bundle_path} has no states", "Give a streaming model")
    rng = np.random.default_rng(0)
    arrays = {
        spec.name: rng.integers(0, 256, spec.feed_shape(manifest.clip.num_frames), np.uint8)
        for spec in manifest.inputs
    }
    engine = OnnxRuntimeEngine(bundle.file("model"), threads=1)
    feeds = {name: array[np.newaxis] for name, array in arrays.items()}
    feeds |= gather([States(manifest.states)])

    executor = new_executor(engine, manifest.states)
    num_frames = manifest.clip.num_frames
    numbers = tuple(range(num_frames))
    clip = Clip("stream", 0, numbers, numbers, arrays)
    request = Request(clip, executor.new_memory())
    bare, passed = _in_turns(calls, lambda: engine.infer(feeds), lambda: executor.run([request]))
    engine.close()
    halves = [statistics.median(part) for part in (bare[: calls // 2], bare[calls // 2 :])]
    return Passing(
        model=manifest.model.name,
        states=len(manifest.states),
        megabytes=sum(a.nbytes for a in States(manifest.states).feeds.values()) / 1e6,
        calls=calls,
        bare_ms=statistics.median(bare) * 1e3,
        passed_ms=statistics.median(passed) * 1e3,
        noise=abs(halves[0] / halves[1] - 1),
    )


def _in_turns(
    calls: int, one: Callable[[], object], other: Callable[[], object]
) -> tuple[list[float], list[float]]:
    """Seconds of every call; each side goes first every second time."""
    taken: dict[Callable[[], object], list[float]] = {one: [], other: []}
    for work in (one, other) * 5:
        work()
    for i in range(calls):
        for work in (one, other) if i % 2 else (other, one):
            start = time.perf_counter()
            work()
            taken[work].append(time.perf_counter() - start)
    return taken[one], taken[other]


def render(p: Passing) -> str:
    """The comparison in a few lines."""
    return "\n".join(
        [
            f"{p.model}: {p.states} states, {p.megabytes:.2f} MB a stream; median of {p.calls} "
            "calls, 1 thread",
            f"  bare engine call      {p.bare_ms:8.3f} ms",
            f"  with states passed    {p.passed_ms:8.3f} ms",
            f"  cost                  {p.cost:8.1%}  (noise of the bare call {p.noise:.1%})",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path, help="a bundle whose model has states")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    result = measure(args.bundle, args.calls)
    print(render(result))
    if args.json:
        args.json.write_text(json.dumps({**asdict(result), "cost": result.cost}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
