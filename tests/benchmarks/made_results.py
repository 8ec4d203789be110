"""Results of benchmarks made by hand, with everything that a page can show."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np

from edgevid.benchmarks.harness.readings import Gaps, Heat, Power, Series
from edgevid.benchmarks.harness.results import (
    Figure,
    Mark,
    Memory,
    Model,
    Probe,
    Result,
    Round,
    Samples,
    Settings,
    StageFigures,
)
from edgevid.benchmarks.harness.roofline import Roofline
from edgevid.benchmarks.harness.statistics import interval_of_rounds, outliers, statistic
from edgevid.device.state import MachineState


def made_round(rng: np.random.Generator, begun: float, ms: float, n: int, warm: int = 30) -> Round:
    """Latencies about `ms`, slower while warm-up lasts, some far from the others."""
    latency = ms * np.exp(rng.normal(0, 0.04, n)) + ms * 0.6 * np.exp(-np.arange(n) / (warm / 3))
    far = rng.choice(np.arange(warm, n), max(n // 150, 1), replace=False)
    latency[far] *= rng.uniform(1.6, 3, len(far))
    marked = np.flatnonzero(outliers(latency[warm:])) + warm
    return Round(
        started_s=round(begun, 6),
        at_s=tuple(np.round(begun + np.concatenate([[0], np.cumsum(latency[:-1])]) / 1e3, 6)),
        latency_ms=tuple(np.round(latency, 4)),
        steady_from=warm,
        outliers=tuple(int(i) for i in marked),
    )


def made_figure(rounds: list[tuple[float, ...]], name: str) -> Figure:
    """A percentile as the harness would state it."""
    found = interval_of_rounds(rounds, name).of_another_run()
    return Figure(
        value=round(found.value, 3), unit="ms", better="lower", low=round(found.low, 3),
        high=round(found.high, 3), rounds=tuple(round(statistic(r, name), 3) for r in rounds),
    )  # fmt: skip


def made_result(ms: float = 12.0, seed: int = 0, rounds: int = 8, n: int = 200, **changes: Any):
    """A `single` result; `changes` replace fields."""
    rng = np.random.default_rng(seed)
    begun, made = 0.5, []
    for _ in range(rounds):
        made.append(made_round(rng, begun, ms * float(np.exp(rng.normal(0, 0.01))), n))
        begun = made[-1].at_s[-1] + 0.4
    steady = [r.steady_ms for r in made]
    p90, p50 = made_figure(steady, "p90"), made_figure(steady, "p50")
    rate = Figure(
        value=round(1e3 / p50.value, 2), unit="clips/s", better="higher",
        low=round(1e3 / p50.high, 2), high=round(1e3 / p50.low, 2),
        rounds=tuple(round(1e3 / v, 2) for v in p50.rounds),
    )  # fmt: skip
    figures = {"p90_ms": p90, "p50_ms": p50, "p99_ms": made_figure(steady, "p99"), "rate": rate}
    fields: dict[str, Any] = {
        "command": "edgevid bench gesture.edgevid --scenario single --json a.json",
        "started": datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc),
        "seconds": round(begun, 2),
        "environment": {"edgevid": "0.1.0", "CPU": "Cortex-A78AE, 6 cores", "L4T": "36.4.3"},
        "model": Model(
            name="gesture", bundle="gesture.edgevid", sha256={"model.onnx": "ab" * 32},
            precision="int8", engine="onnxruntime 1.23 (CPU, 1 thread)",
        ),
        "scenario": "single",
        "settings": Settings(
            engine_only=False, clips=("random",), duration_s=20.0, rounds=rounds, threads=1
        ),
        "figures": figures,
        "samples": Samples(rounds=tuple(made)),
        "stages": {
            "preprocess": stage(ms * 0.1), "infer": stage(ms * 0.85), "post": stage(ms * 0.01),
        },
    }  # fmt: skip
    return Result(**(fields | changes))


def stage(ms: float) -> StageFigures:
    return StageFigures(
        mean_ms=round(ms, 3), p50_ms=round(ms * 0.98, 3), p90_ms=round(ms * 1.1, 3),
        p99_ms=round(ms * 1.4, 3), max_ms=round(ms * 2, 3),
    )  # fmt: skip


def full_result() -> Result:
    """One with power, heat, memory, roofline, a search and marks."""
    at_s = tuple(np.round(np.arange(0, 22, 0.25), 3).tolist())
    rng = np.random.default_rng(3)

    def series(level: float, spread: float, rise: float = 0.0) -> Series:
        values = level + rng.normal(0, spread, len(at_s)) + rise * np.linspace(0, 1, len(at_s))
        return Series(at_s=at_s, values=tuple(np.round(values, 2).tolist()))

    return made_result(
        search=tuple(
            Probe(
                load=load, queries=900, percentile_ms=p, low_ms=p * 0.96, high_ms=p * 1.05,
                holds=p < 40,
            )
            for load, p in ((20, 15.1), (40, 19.8), (60, 33.0), (70, 61.5), (65, 42.0), (62, 36.9))
        ),
        machine_before=MachineState(
            governors=("schedutil",), cpu_mhz=(1510, 1510), gpu_mhz=306, power_mode="15W",
            temperatures_c={"cpu-thermal": 48.0, "gpu-thermal": 46.5},
        ),
        machine_after=MachineState(
            governors=("schedutil",), cpu_mhz=(1510, 1344), gpu_mhz=624, power_mode="15W",
            temperatures_c={"cpu-thermal": 71.0, "gpu-thermal": 69.5},
            throttle_events={"cpu-thermal": 1},
        ),
        power=Power(
            source="INA3221", mean_mw=9340.0, peak_mw=11200.0, joules=205.5,
            joules_per_clip=0.132, total="VDD_IN", interval_s=0.25,
            gaps=Gaps(count=1, longest_s=1.5, total_s=1.5), total_mw=series(9300, 400),
            rails_mw={
                "VDD_CPU_GPU_CV": series(5100, 300),
                "VDD_SOC": series(1900, 80),
            },
        ),
        heat=Heat(
            zones_c={"cpu": series(50, 0.3, 20), "gpu": series(48, 0.3, 21)},
            cpu_mhz=series(1510, 0, -90), gpu_mhz=series(624, 0),
        ),
        memory=Memory(
            peak_rss_mb=412.0, gpu_mb=260.0, stages_mb={"load": 300.0, "run": 412.0}
        ),
        roofline=Roofline(
            gflop_per_clip=1.2, mb_per_clip=14.0, peak_gflop_s=900.0, peak_gb_s=68.0,
            peaks_from="measured on this machine", bound="compute", reached_gflop_s=110.0,
            share=0.12, limit_ms=1.33, gflop_by_numbers={"fp32": 1.2}, gflop_by_kind={"Conv": 1.2},
            layers_mb_per_clip=61.0, layers_limit_ms=2.0, layers_share=0.18, memory_bound_share=0.3,
        ),
        marks=(
            Mark(kind="throttled", text="the CPU was throttled: cpu-thermal reached 70 °C"),
            Mark(kind="few-samples", text="p99.9 needs 3688 clips; there were 1600"),
        ),
    )  # fmt: skip
