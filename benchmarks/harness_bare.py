"""Does `edgevid bench` measure what bare calls of ONNX Runtime take?

    python -m edgevid.benchmarks.harness_bare BUNDLE

One side is the scenario `single` on the engine alone. The other is what onnxruntime_perf_test
does: a session, its inputs in memory, `run` again and again, the clock before and after. Both
have the same graph, clips and options. Rounds take turns, so that a drift of the machine touches
both.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

import edgevid
from edgevid.benchmarks.harness.feeds import Window, noise
from edgevid.benchmarks.harness.ratios import Ratio, paired_ratio
from edgevid.benchmarks.harness.recording import Job, Recording
from edgevid.benchmarks.harness.results import Settings
from edgevid.benchmarks.harness.scenarios.closed import measure_round
from edgevid.benchmarks.harness.subject import RealClock
from edgevid.benchmarks.harness.subjects import EngineSubject
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.errors import SpecError

_WARM_UP = 20


@dataclass(frozen=True)
class Agreement:
    """Medians of both sides, in milliseconds a call, and bare over bench."""

    model: str
    threads: int
    rounds: int
    bare_ms: float
    bench_ms: float
    ratio: Ratio


def measure(bundle_path: Path, rounds: int, seconds: float, threads: int) -> Agreement:
    """Measure both sides in turns.

    Raises:
        BundleError: `bundle_path` is no bundle.
        SpecError: Its model is split or carries states: there is no one bare call.
    """
    bundle = edgevid.load(bundle_path)
    manifest = bundle.manifest
    if manifest.states or manifest.features:
        raise SpecError("a split model or one with states is no single call", "Give another one")
    windows = noise(manifest.clip, manifest.inputs, seed=0)
    bare: list[list[float]] = []
    bench: list[list[float]] = []
    for number in range(rounds):
        sides = [(bare, _bare), (bench, _bench)]
        for kept, side in sides if number % 2 else reversed(sides):
            kept.append(side(bundle.file("model"), windows, seconds, threads))
    medians = [[float(np.median(part)) for part in side] for side in (bare, bench)]
    return Agreement(
        model=manifest.model.name,
        threads=threads,
        rounds=rounds,
        bare_ms=float(np.median(np.concatenate(bare))),
        bench_ms=float(np.median(np.concatenate(bench))),
        ratio=paired_ratio(medians[0], medians[1]),
    )


def _bare(model: Path, windows: list[Window], seconds: float, threads: int) -> list[float]:
    """Milliseconds of each call."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if threads > 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    feeds = [{name: array[np.newaxis] for name, array in w.items()} for w in windows]
    for n in range(_WARM_UP):
        session.run(outputs, feeds[n % len(feeds)])
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        session.run(outputs, feeds[len(taken) % len(feeds)])
        taken.append((time.perf_counter() - begun) * 1e3)
    return taken


def _bench(model: Path, windows: list[Window], seconds: float, threads: int) -> list[float]:
    """Milliseconds of each query of the scenario."""
    settings = Settings(engine_only=True, clips=("random",), duration_s=seconds, rounds=1)
    subject = EngineSubject(OnnxRuntimeEngine(model, threads), windows, (), 1, 1)
    job = Job(settings, lambda _: subject, RealClock())
    recording = Recording(job.clock.now_s())
    with job.subject(1) as opened:
        measure_round(job, opened, recording, 1, seconds)
    return list(recording.rounds[0].steady_ms)


def render(a: Agreement) -> str:
    """The comparison in a few lines."""
    between = "" if a.ratio.low is None else f" ({a.ratio.low:.4f} to {a.ratio.high:.4f})"
    return "\n".join(
        [
            f"{a.model}, {a.threads} thread(s), {a.rounds} rounds in turns, medians",
            f"  bare calls     {a.bare_ms:8.4f} ms",
            f"  edgevid bench  {a.bench_ms:8.4f} ms",
            f"  bare / bench   {a.ratio.value:8.4f}{between}",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 where they are more than 3 % apart."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    found = measure(args.bundle, args.rounds, args.seconds, args.threads)
    print(render(found))
    return 0 if abs(found.ratio.value - 1) <= 0.03 else 1


if __name__ == "__main__":
    sys.exit(main())
