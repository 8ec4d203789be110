"""Which layers take the time, as the engine itself tells."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import Field

from edgevid.engines.threads import default_threads
from edgevid.spec import Strict
from edgevid.types import Array

CALLS = 3
"""Calls that a layer's time is the mean of, after one that is not counted."""

SHOWN = 40
"""Layers that a report holds, slowest first; the rest are one entry."""

_REST = "all others"


class LayerTime(Strict):
    """What one layer takes, as the engine runs it: fused layers are one.

    Attributes:
        name: As the engine calls it.
        op_type: Its operator, where the engine tells; else empty.
        mean_ms: Of one call, in milliseconds.
        share: Of all layers together, in [0, 1].
    """

    name: str
    op_type: str = ""
    mean_ms: float = Field(ge=0)
    share: float = Field(ge=0, le=1)


def rank(times: Iterable[tuple[str, str, float]]) -> tuple[LayerTime, ...]:
    """The slowest layers first, those beyond `SHOWN` as one entry.

    Args:
        times: Name, operator and mean milliseconds of each layer.
    """
    ordered = sorted(times, key=lambda t: -t[2])
    total_ms = sum(t[2] for t in ordered) or 1.0
    rest = ordered[SHOWN:]
    if rest:
        ordered = [*ordered[:SHOWN], (_REST, f"{len(rest)} layers", sum(t[2] for t in rest))]
    return tuple(
        LayerTime(name=name, op_type=op, mean_ms=ms, share=min(ms / total_ms, 1.0))
        for name, op, ms in ordered
    )


def onnxruntime_layers(graph: bytes, feeds: Mapping[str, Array]) -> tuple[LayerTime, ...]:
    """By ONNX Runtime's profiler, on as many threads as its engine takes here.

    Source: onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html; a node's event
    is called `<node>_kernel_time` and holds its duration in microseconds.

    Args:
        graph: Serialised.
        feeds: Every input by name, batch first.
    """
    import onnxruntime as ort

    with tempfile.TemporaryDirectory(prefix="edgevid-profile-") as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "ort")
        options.intra_op_num_threads = default_threads()
        options.log_severity_level = 4
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(1 + CALLS):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text())
    return rank(_nodes(events))


def _nodes(events: Iterable[Mapping[str, object]]) -> Iterable[tuple[str, str, float]]:
    """Each node's mean over the calls but the first."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        name = str(event.get("name"))
        arguments = event.get("args")
        if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
            continue
        op = str(arguments.get("op_name", "")) if isinstance(arguments, Mapping) else ""
        key = name.removesuffix("_kernel_time"), op
        taken[key].append(float(str(event["dur"])) / 1e3)
    for (name, op), durations in taken.items():
        # A node's name may be empty or shared: what one call adds up is its time.
        per_call = max(len(durations) // (1 + CALLS), 1)
        yield name or op, op, sum(durations[per_call:] or durations) / CALLS
