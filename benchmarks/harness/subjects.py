"""What is measured: an engine alone, or everything from frames to labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice

import numpy as np

from edgevid.benchmarks.harness.feeds import Window
from edgevid.benchmarks.harness.video import WindowReader
from edgevid.engines.split_engine import SplitEngine
from edgevid.errors import SourceError, SpecError
from edgevid.manifest import Manifest
from edgevid.pipeline import Stream
from edgevid.pipeline.decisions import Decider, Scored
from edgevid.pipeline.executor import Memory, Request, batched, new_executor
from edgevid.protocols import Engine, LendingEngine
from edgevid.spec import StateSpec
from edgevid.states import can_batch
from edgevid.types import Array, Clip, StageTimings

_STATES_LAST = 64
"""Calls after which states begin anew, as noise may drive them out of any range."""


class EngineSubject:
    """The bare call of an engine, on clips that lie ready in memory.

    States go from one call to the next. Of a split model a clip is what it is on a stream: the
    backbone on the frames that are new in a window, then the head.

    Args:
        engine: Closed with this one.
        windows: To feed in turn; at least one.
        states: What the graph hands from one call to the next.
        new_frames: Of a window, on a stream (split models).
        most_clips: The largest query that will be asked.

    Raises:
        SpecError: The graph does not take that many clips in a call.
    """

    def __init__(
        self,
        engine: Engine,
        windows: Sequence[Window],
        states: Sequence[StateSpec],
        new_frames: int,
        most_clips: int,
    ) -> None:
        check_batch(engine, states, most_clips)
        self._engine = engine
        self._states = states
        self._calls = _prepared(windows, most_clips)
        self._next = 0
        self._carried: dict[str, Array] = {}
        self._split = (
            _SplitCalls(engine, self._calls, new_frames)
            if isinstance(engine, SplitEngine)
            else None
        )

    def answer(self, clips: int) -> list[StageTimings]:
        """One call of the engine.

        Args:
            clips: At most `most_clips`; how many are asked may change from call to call.
        """
        number = self._next % len(self._calls)
        begun = time.perf_counter()
        if self._split is not None:
            self._split(number, clips)
        else:
            self._call(number, clips)
        infer_ms = (time.perf_counter() - begun) * 1e3
        self._next += 1
        return [StageTimings(infer_ms=infer_ms, total_ms=infer_ms)] * clips

    def _call(self, number: int, clips: int) -> None:
        feeds = {name: array[:clips] for name, array in self._calls[number].items()}
        if isinstance(self._engine, LendingEngine) and clips <= self._engine.max_batch:
            room = self._engine.lend(clips)
            for name, array in feeds.items():
                np.copyto(room[name], array)
            feeds = {name: room[name] for name in feeds}
        if not self._states:
            self._engine.infer(feeds)
            return
        outputs = self._engine.infer({**feeds, **self._state_feeds(clips)})
        self._carried = {s.input: outputs[s.output] for s in self._states}

    def _state_feeds(self, clips: int) -> dict[str, Array]:
        first = self._states[0]
        axis = first.batch_axis
        kept = self._carried.get(first.input)
        fits = kept is not None and (axis is None or kept.shape[axis] == clips)
        if not fits or self._next % _STATES_LAST == 0:
            return {s.input: np.zeros(_shape(s, clips), s.dtype) for s in self._states}
        return self._carried

    def close(self) -> None:
        self._engine.close()


class _SplitCalls:
    """A window of a stream: new frames through the backbone, then the head."""

    def __init__(self, engine: SplitEngine, calls: Sequence[dict[str, Array]], new: int) -> None:
        self._engine = engine
        self._input = engine.inputs[0].name
        self._head_input = engine.head.inputs[0].name
        # Of one window: from its last frames alone.
        self._frames = [call[self._input][:, -new:] for call in calls]
        self._features = [self._whole(call[self._input]) for call in calls]

    def _whole(self, frames: Array) -> Array:
        rows = self._engine.features({self._input: frames.reshape(-1, *frames.shape[2:])})
        return rows.reshape(*frames.shape[:2], *rows.shape[1:])

    def __call__(self, number: int, clips: int) -> None:
        new = np.ascontiguousarray(self._frames[number][:clips])
        self._engine.features({self._input: new.reshape(-1, *new.shape[2:])})
        self._engine.head.infer({self._head_input: self._features[number][:clips]})


class PipelineSubject:
    """From frames to labels, one query after another, on the caller's thread.

    Decoding, sizes, rings, the engine and the decision are the pipeline's own. Nothing overlaps,
    as a query is answered before the next one is read; `live` and `offline` measure the
    pipeline with its threads.

    Args:
        engine: Closed with this one.
        readers: One of each stream; a query of n clips takes a window of each of the first n.
        deciders: One of each stream.
        manifest: Of the bundle.

    Raises:
        SpecError: The graph does not take as many clips in a call as there are readers.
    """

    def __init__(
        self,
        engine: Engine,
        readers: Sequence[WindowReader],
        deciders: Sequence[Decider],
        manifest: Manifest,
    ) -> None:
        check_batch(engine, manifest.states, len(readers))
        self._engine = engine
        self._executor = new_executor(engine, manifest.states)
        self._readers = readers
        self._deciders = deciders
        self._memories: list[Memory] = [self._executor.new_memory() for _ in readers]

    def answer(self, clips: int) -> list[StageTimings]:
        """Read a window of each stream, infer them in one call, decide."""
        windows = [reader.next_window() for reader in self._readers[:clips]]
        begun = time.perf_counter()
        rows = self._executor.run(
            [Request(w, m) for w, m in zip(windows, self._memories, strict=False)]
        )
        infer_ms = (time.perf_counter() - begun) * 1e3
        timings = []
        for window, row, decider in zip(windows, rows, self._deciders, strict=False):
            begun = time.perf_counter()
            if row is not None and np.isfinite(row).all():
                decider.take(_scored(window, row))
            post_ms = (time.perf_counter() - begun) * 1e3
            timings.append(
                StageTimings(
                    capture_ms=window.capture_ms,
                    preprocess_ms=window.preprocess_ms,
                    infer_ms=infer_ms,
                    post_ms=post_ms,
                    total_ms=window.capture_ms + window.preprocess_ms + infer_ms + post_ms,
                )
            )
        return timings

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self._engine.close()


def check_batch(engine: Engine, states: Sequence[StateSpec], clips: int) -> None:
    """Raise SpecError where a call does not take that many clips."""
    fixed = [info for info in engine.inputs if info.batch_axis is None]
    if clips > 1 and (fixed or not can_batch(states)):
        what = f"its input {fixed[0].name!r} has a fixed batch" if fixed else "its states do not"
        raise SpecError(
            f"the model takes one clip in a call, not {clips}: {what}",
            "Measure it with --batch 1 and --streams 1, or export it with an open batch",
        )


def _prepared(windows: Sequence[Window], clips: int) -> list[dict[str, Array]]:
    """One batch for each window, which is its first clip; the others follow it."""
    count = len(windows)
    return [
        {
            name: batched([windows[(first + i) % count][name] for i in range(clips)])
            for name in windows[0]
        }
        for first in range(count if clips == 1 else max(2, count // clips))
    ]


def _shape(spec: StateSpec, clips: int) -> tuple[int, ...]:
    shape = list(spec.shape)
    if spec.batch_axis is not None:
        shape[spec.batch_axis] = clips
    return tuple(shape)


def _scored(window: Clip, scores: Array) -> Scored:
    return Scored(
        source_id=window.source_id,
        index=window.index,
        start_s=window.start_s,
        end_s=window.end_s,
        scores=scores,
        gap=window.gap,
        padded=window.padded,
    )


class StreamSubject:
    """The whole pipeline on files, with its threads: how fast windows come out of it.

    Args:
        stream: Never ends; closed with this one.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def answer(self, clips: int) -> list[StageTimings]:
        """Wait for as many predictions.

        Raises:
            EdgevidError: The engine or the only source failed, or all sources ended.
        """
        predictions = list(islice(self._stream, clips))
        if len(predictions) < clips:
            errors = [s.error for s in self._stream.summary.sources if s.error]
            raise SourceError(errors[0] if errors else "the sources have ended")
        return [p.timings for p in predictions]

    def close(self) -> None:
        self._stream.close()
