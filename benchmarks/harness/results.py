"""What a benchmark found: the schema of `edgevid bench --json` (docs/bench.schema.json).

Times are in the unit that their name ends with; `at_s` counts from the start of the run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from edgevid.benchmarks.harness.readings import Heat, Memory, Power
from edgevid.benchmarks.harness.roofline import Roofline
from edgevid.device.state import MachineState
from edgevid.errors import SpecError
from edgevid.files import write_atomic
from edgevid.manifest import Precision
from edgevid.strict import Strict, parse

SCHEMA_VERSION: Literal[1] = 1

ScenarioName = Literal["single", "multi", "offline", "server", "live"]
Stage = Literal["capture", "preprocess", "queue", "infer", "post"]
MarkKind = Literal[
    "throttled", "not-steady", "few-samples", "interrupted", "busy", "dropped", "note"
]


class Model(Strict):
    """What was measured."""

    name: str
    bundle: str = Field(description="Folder of the bundle, without its path.")
    sha256: dict[str, str] = Field(description="SHA-256 of each graph that runs, by file.")
    precision: Precision
    engine: str = Field(description='As it names itself: "onnxruntime 1.23 (CPU, 1 thread)".')


class Settings(Strict):
    """How it was measured."""

    engine_only: bool = Field(description="Ready clips to the engine; else frames to labels.")
    clips: tuple[str, ...] = Field(description='Files without their path, or "random".')
    batch: int = Field(1, description="Clips in one call of the engine, at most.")
    streams: int = Field(1, description="Streams side by side (multi, live).")
    threads: int | None = Field(None, description="CPU threads asked of the engine; null: own.")
    hop_s: float | None = Field(None, description="Where it was asked for.")
    percentile: float = Field(99.0, description="The highest one that is asked for.")
    target_ms: float | None = Field(None, description="Server and live: what p99 is held to.")
    duration_s: float = Field(description="Time asked for, without warm-up.")
    rounds: int = Field(description="Parts that the time was cut into; the engine opens anew.")
    seed: int = 0


class Figure(Strict):
    """One number and how sure it is.

    The interval holds the figure of another run of the same command on the same machine with
    the stated confidence; null where it cannot be told.
    """

    value: float
    unit: str
    better: Literal["lower", "higher"]
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    rounds: tuple[float, ...] = Field((), description="The same figure of each round alone.")


class Round(Strict):
    """Queries one after the other on an engine that was opened for them."""

    started_s: float
    at_s: tuple[float, ...] = Field(description="When each query was due.")
    latency_ms: tuple[float, ...] = Field(description="From then until it was answered.")
    steady_from: int = Field(0, ge=0, description="Queries before this one are the warm-up.")
    outliers: tuple[int, ...] = Field((), description="Queries far from the others; they count.")

    @model_validator(mode="after")
    def _consistent(self) -> Round:
        if len(self.at_s) != len(self.latency_ms):
            raise ValueError("at_s and latency_ms differ in length")
        if self.steady_from > len(self.at_s):
            raise ValueError(f"steady_from {self.steady_from} is beyond the last query")
        if self.outliers and max(self.outliers) >= len(self.at_s):
            raise ValueError(f"outliers: there is no query {max(self.outliers)}")
        return self

    @property
    def steady_ms(self) -> tuple[float, ...]:
        """Latencies without the warm-up."""
        return self.latency_ms[self.steady_from :]


class Samples(Strict):
    """Every query, none left out."""

    clips_per_query: int = Field(1, ge=1)
    rounds: tuple[Round, ...]


class StageFigures(Strict):
    """What one stage of the pipeline takes of one clip's time."""

    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Probe(Strict):
    """One load that a search tried."""

    load: float = Field(description="Clips a second (server), streams (live).")
    queries: int
    percentile_ms: float = Field(description="Latency at the percentile that the target is for.")
    low_ms: float | None = None
    high_ms: float | None = None
    late: float | None = Field(None, description="Share of the queries beyond the target.")
    dropped: int = Field(0, description="Windows and frames that were dropped (live).")
    fps: float | None = Field(None, description="Frames read a second, of all streams (live).")
    holds: bool
    note: str = ""


class Mark(Strict):
    """Something that a reader of the figures must know."""

    kind: MarkKind
    text: str


class Result(Strict):
    """Everything that a benchmark found."""

    schema_version: Literal[1] = SCHEMA_VERSION
    command: str
    started: AwareDatetime
    seconds: float
    environment: dict[str, str]
    model: Model
    scenario: ScenarioName
    settings: Settings
    figures: dict[str, Figure] = Field(description="By name, the scenario's own metric first.")
    samples: Samples
    stages: dict[Stage, StageFigures] = Field({}, description="Of the clips in `samples`.")
    search: tuple[Probe, ...] = Field((), description="What server and live tried, in order.")
    machine_before: MachineState = MachineState()
    machine_after: MachineState = MachineState()
    power: Power | None = None
    heat: Heat | None = None
    memory: Memory | None = None
    roofline: Roofline | None = None
    marks: tuple[Mark, ...] = ()

    def marked(self, kind: MarkKind) -> bool:
        """True where a mark of that kind stands on it."""
        return any(mark.kind == kind for mark in self.marks)


def save(result: Result, path: Path) -> None:
    """Write a result, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    write_atomic(path, dump(result).encode())


def dump(result: Result) -> str:
    """The JSON of a result, on one line: it holds every sample."""
    return result.model_dump_json() + "\n"


def load(path: Path) -> Result:
    """Read what `edgevid bench --json` wrote.

    Raises:
        SpecError: There is no such file, it is no JSON, of another schema, a sweep, or malformed.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SpecError(
            f"{path} cannot be read: {reason}", "Give a file that `edgevid bench --json` wrote"
        ) from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise SpecError(
            f"{path} has schema_version {version!r}; this edgevid reads {SCHEMA_VERSION}",
            "Measure again: edgevid bench --json",
        )
    if "axes" in data:
        raise SpecError(
            f"{path} is a sweep, which holds several results", "Give the file of a single one"
        )
    result: Result = parse(Result, data, str(path))
    return result


def bench_schema() -> dict[str, Any]:
    """The JSON Schema of `edgevid bench --json`, as docs/bench.schema.json publishes it."""
    return Result.model_json_schema()
