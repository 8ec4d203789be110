"""From windows that are due to scores: the one place of the pipeline that calls the engine.

    requests ──► whole windows, batched ──────────────────────────► scores
             ├─► with the states of their streams, batched ─► scores, or None: broken
             └─► new frames, batched ─► backbone ─► stores of features ─► head ─► scores

A request is a window and the memory of the stream that it is of. Requests come in lists, so
that windows of several streams can share a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np

from edgevid.clips import FeatureStore
from edgevid.engines.split_engine import SplitEngine
from edgevid.protocols import Engine, LendingEngine
from edgevid.spec import StateSpec
from edgevid.states import States, can_batch, gather, scatter
from edgevid.types import Array, Clip, Float32Array, record


@dataclass
class Memory:
    """What one stream carries from one window to the next.

    Attributes:
        states: What the graph handed over; empty for a model without states.
        features: Of frames that a later window may hold; empty for a model that is not split.
    """

    states: States
    features: FeatureStore = field(default_factory=FeatureStore)

    def reset(self) -> None:
        """Forget the stream: it starts anew, or has a gap."""
        self.states.reset()
        self.features.clear()


@record
class Request:
    """A window that is due, and the memory of its stream."""

    clip: Clip
    memory: Memory


class Executor(Protocol):
    """Turns windows into scores."""

    @property
    def shares_calls(self) -> bool:
        """Several windows cost one call of the engine."""
        ...

    @property
    def shares_streams(self) -> bool:
        """Where windows share a call, several of them may be of one stream."""
        ...

    def new_memory(self) -> Memory:
        """For a stream that begins."""
        ...

    def run(self, requests: Sequence[Request]) -> list[Float32Array | None]:
        """Scores `(C,)` for each request, in their order.

        None where a state of that stream is NaN or infinite: there is no answer, and its
        states are zeros again.

        Args:
            requests: At most one of each stream, but where it `shares_streams`; these in order.

        Raises:
            EngineError: The engine failed.
        """
        ...


def new_executor(
    engine: Engine, states: Sequence[StateSpec] = (), most: int | None = None
) -> Executor:
    """The executor for an engine.

    Args:
        engine: Runs the bundle's graph; stays the caller's to close.
        states: What the graph hands from one call to the next.
        most: Windows to feed at once, where several may be of one stream; None: all.
    """
    if isinstance(engine, SplitEngine):
        return SplitWindows(engine)
    return StatefulWindows(engine, states) if states else WholeWindows(engine, most)


class Feeds:
    """Puts the windows of several requests into one batch, where the engine reads it if it can."""

    def __init__(self, engine: Engine) -> None:
        self._lender = engine if isinstance(engine, LendingEngine) else None
        self._room: dict[str, Array] = {}
        self._parts: dict[int, dict[str, Array]] = {}

    def __call__(self, requests: Sequence[Request]) -> dict[str, Array]:
        """Every input that comes from windows, by name, batch first, C-contiguous.

        The arrays are good for one call of the engine.
        """
        names = requests[0].clip.arrays
        windows = {name: [r.clip.arrays[name] for r in requests] for name in names}
        if self._lender is not None and len(requests) <= self._lender.max_batch:
            room = self._lender.lend(len(requests))
        elif len(requests) == 1:
            return {name: batched(arrays) for name, arrays in windows.items()}
        else:
            room = self._part(len(requests), windows)
        return {name: np.stack(arrays, out=room[name]) for name, arrays in windows.items()}

    def _part(self, count: int, windows: Mapping[str, Sequence[Array]]) -> dict[str, Array]:
        """The same arrays for all batches of a size: new memory, and to tell the engine of it,
        would cost more than to copy the windows."""
        if count > max(self._parts, default=0):
            self._parts.clear()
            self._room = {
                name: np.empty((count, *arrays[0].shape), arrays[0].dtype)
                for name, arrays in windows.items()
            }
        if count not in self._parts:
            self._parts[count] = {name: room[:count] for name, room in self._room.items()}
        return self._parts[count]


class WholeWindows:
    """Feeds every window whole; several in one call where the graph's batch is open."""

    shares_streams = True

    def __init__(self, engine: Engine, most: int | None = None) -> None:
        self._engine = engine
        self._most = most
        self._feeds = Feeds(engine)
        self._output = engine.outputs[0].name
        self.shares_calls = all(info.shape[:1] == (None,) for info in engine.inputs)

    def new_memory(self) -> Memory:
        return Memory(States(()))

    def run(self, requests: Sequence[Request]) -> list[Float32Array | None]:
        most = self._most or max(len(requests), 1)
        step = most if self.shares_calls else 1
        calls = [requests[at : at + step] for at in range(0, len(requests), step)]
        return [scores for call in calls for scores in self._call(call)]

    def _call(self, requests: Sequence[Request]) -> Array:
        return self._engine.infer(self._feeds(requests))[self._output]


class StatefulWindows:
    """Feeds windows with the states of their streams, and lets each keep what comes back.

    Several streams share a call where every state has a batch axis.
    """

    shares_streams = False

    def __init__(self, engine: Engine, states: Sequence[StateSpec]) -> None:
        self._engine = engine
        self._feeds = Feeds(engine)
        self._states = tuple(states)
        self.shares_calls = can_batch(states)
        carried = {s.output for s in self._states}
        self._output = next(o.name for o in engine.outputs if o.name not in carried)

    def new_memory(self) -> Memory:
        return Memory(States(self._states))

    def run(self, requests: Sequence[Request]) -> list[Float32Array | None]:
        if not self.shares_calls:
            return [scores for r in requests for scores in self._call([r])]
        return self._call(requests) if requests else []

    def _call(self, requests: Sequence[Request]) -> list[Float32Array | None]:
        streams = [r.memory.states for r in requests]
        outputs = self._engine.infer({**self._feeds(requests), **gather(streams)})
        kept = scatter(outputs, streams)
        rows: list[Float32Array | None] = []
        for row, stream, ok in zip(outputs[self._output], streams, kept, strict=True):
            if ok and not np.isfinite(row).all():
                stream.reset()
                ok = False
            rows.append(row if ok else None)
        return rows


class SplitWindows:
    """Computes the features of frames that no window had before, then the head of each window.

    Frames wait in the ring of pixels until a window is due, so that the backbone is called
    once for all that are new; frames of windows that are dropped cost nothing.
    """

    shares_streams = False

    def __init__(self, engine: SplitEngine) -> None:
        self._engine = engine
        self._input = engine.inputs[0].name
        features = engine.head.inputs[0]
        self._features = features.name
        self.shares_calls = features.shape[:1] == (None,)
        self._output = engine.outputs[0].name

    def new_memory(self) -> Memory:
        return Memory(States(()))

    def run(self, requests: Sequence[Request]) -> list[Float32Array | None]:
        windows = self._windows(requests)
        if not self.shares_calls:
            return [scores for window in windows for scores in self._call([window])]
        return [*self._call(windows)] if windows else []

    def _windows(self, requests: Sequence[Request]) -> list[Array]:
        """`(K, ...)` features of each request, new ones computed together."""
        at = self._engine.positions
        frames = [np.array(r.clip.frames[at.start : at.stop : at.step]) for r in requests]
        stores = [r.memory.features for r in requests]
        places = [store.missing(f) for store, f in zip(stores, frames, strict=True)]
        new = [r.clip.arrays[self._input][p] for r, p in zip(requests, places, strict=True) if p]
        rows = iter(self._engine.features({self._input: np.concatenate(new)}) if new else ())
        for request, store, used, missing in zip(requests, stores, frames, places, strict=True):
            store.add(used[missing], islice(rows, len(missing)))
            store.forget_before(request.clip.frames[0])
        return [store.window(used) for store, used in zip(stores, frames, strict=True)]

    def _call(self, windows: Sequence[Array]) -> Array:
        return self._engine.head.infer({self._features: batched(windows)})[self._output]


def batched(arrays: Sequence[Array]) -> Array:
    """Arrays of one shape as one C-contiguous batch; a single contiguous one is not copied."""
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0])[np.newaxis]
    return np.stack(arrays)
