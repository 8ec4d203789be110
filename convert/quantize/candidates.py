"""The graphs that may be kept, and how long each takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from edgevid.convert.frames import Window
from edgevid.convert.journal import Journal
from edgevid.convert.quantize.layer_times import LayerTime
from edgevid.convert.quantize.speed import CandidatePrecision, Timing, time_candidates
from edgevid.convert.quantize.timed_engine import (
    TimedEngine,
    first_call,
    open_for_timing,
    timing_engine,
)
from edgevid.errors import EdgevidError

if TYPE_CHECKING:
    from onnx import ModelProto

FP32 = "FP32"
"""Name of the candidate that the others are compared with."""


@dataclass
class Candidate:
    """A graph that may be kept. `judged` is what stands in for it at the gate."""

    name: str
    precision: CandidatePrecision
    graph: ModelProto
    judged: ModelProto
    fp32_nodes: dict[str, str] = field(default_factory=dict)

    @property
    def megabytes(self) -> float:
        return len(self.graph.SerializeToString()) / 1e6


@dataclass(frozen=True)
class Times:
    """What candidates took.

    Attributes:
        timings: By name; empty where FP32 itself cannot be timed.
        engine: What they were taken on, for people.
        is_device: That is the kind of engine the bundle is for.
        layers: Tells which layers of a candidate take the time; none where it was not timed.
    """

    timings: dict[str, Timing]
    engine: str
    is_device: bool
    layers: Callable[[str], tuple[LayerTime, ...]]


@contextmanager
def timed(
    candidates: Sequence[Candidate],
    reference: ModelProto,
    feeds: Window,
    journal: Journal,
    not_built: dict[str, str],
) -> Iterator[Times]:
    """Time candidates on the engine of this machine; they stay open in the block.

    Args:
        candidates: FP32 among them.
        reference: The FP32 graph, to tell what one call takes.
        feeds: One clip.
        journal: Told what could not be timed, and progress.
        not_built: Takes the reason for each that the engine refuses.
    """
    on = timing_engine()
    engines: dict[str, TimedEngine] = {}
    with ExitStack() as stack:
        for candidate in candidates:
            try:
                opened = open_for_timing(candidate.graph, candidate.precision, on)
            except EdgevidError as exc:
                not_built[candidate.name] = exc.message
                journal.note(f"{candidate.name} was not timed: {exc}")
                continue
            stack.callback(opened.close)
            engines[candidate.name] = opened
        if FP32 not in engines:
            yield Times({}, "", False, lambda _: ())
            return
        first = first_call(reference, feeds)
        timings = time_candidates(
            {name: partial(engine.run, first) for name, engine in engines.items()},
            baseline=FP32,
            progress=lambda done, total: journal.progress("Timing", done, total),
        )

        def layers(name: str) -> tuple[LayerTime, ...]:
            return engines[name].layers(first) if name in engines else ()

        yield Times(timings, engines[FP32].name, engines[FP32].is_device, layers)
