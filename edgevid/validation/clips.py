"""Scores of labelled clips: every clip gets one answer, the mean over its views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from edgevid.api import stream
from edgevid.errors import SourceError
from edgevid.manifest import Bundle
from edgevid.pipeline.executor import Request, new_executor
from edgevid.protocols import Engine
from edgevid.sources import open_source
from edgevid.sources.clip_list import ListedClip
from edgevid.sources.part import Part
from edgevid.types import Float32Array
from edgevid.validation.borrowed import borrowed
from edgevid.validation.views import Views
from edgevid.validation.windows import ReadViews, ViewReader

_T = TypeVar("_T")


@dataclass(frozen=True)
class ClipScores:
    """The answer to one clip.

    Attributes:
        scores: `(C,)` float32, the mean over the views whose scores are finite.
        views: How many these are.
        dropped: Views whose scores were NaN or infinite.
        padded: Frames that repeat the last one, as the clip is shorter than a window.
        lost: Frames of the video that did not decode.
    """

    scores: Float32Array
    views: int
    dropped: int
    padded: int
    lost: int = 0


Scored = ClipScores | SourceError
"""The answer to a clip, or why there is none."""


def score_clips(
    bundle: Bundle, clips: Sequence[ListedClip], views: Views, engine: Engine, batch: int
) -> Iterator[Scored]:
    """One answer for each clip, in their order; the next clip is read meanwhile.

    Args:
        batch: Views in one call of the graph, at most, where its batch is open.
    """
    if bundle.manifest.states:
        yield from (_tried(partial(_last_answer, bundle, engine, c)) for c in clips)
        return
    reader = ViewReader(bundle.manifest.clip, bundle.manifest.inputs, views)
    executor = new_executor(engine)

    def scored(read: ReadViews) -> ClipScores:
        requests = [Request(view, executor.new_memory()) for view in read.views]
        rows = [
            scores
            for at in range(0, len(requests), batch)
            for scores in executor.run(requests[at : at + batch])
        ]
        padded = max(view.padded for view in read.views)
        return replace(mean_of(rows, read.views[0].source_id, padded), lost=read.lost)

    with ThreadPoolExecutor(1, thread_name_prefix="edgevid-eval") as pool:
        for read in _read_ahead(pool, [partial(reader.read, clip) for clip in clips]):
            yield read if isinstance(read, SourceError) else _tried(partial(scored, read))


def mean_of(rows: Sequence[Float32Array | None], source_id: str, padded: int) -> ClipScores:
    """The mean of the rows that are finite.

    Raises:
        SourceError: None is.
    """
    finite = [row for row in rows if row is not None and np.isfinite(row).all()]
    if not finite:
        raise SourceError(f"the model's scores of {source_id} are NaN or infinite")
    mean = np.mean(np.asarray(finite, np.float64), axis=0).astype(np.float32)
    return ClipScores(mean, len(finite), len(rows) - len(finite), padded)


def _read_ahead(
    pool: ThreadPoolExecutor, tasks: Sequence[Callable[[], _T]]
) -> Iterator[_T | SourceError]:
    """The results in order; while one is used, the next is made."""
    ahead: Future[_T | SourceError] | None = None
    for task in tasks:
        before, ahead = ahead, pool.submit(_tried, task)
        if before is not None:
            yield before.result()
    if ahead is not None:
        yield ahead.result()


def _tried(task: Callable[[], _T]) -> _T | SourceError:
    """What `task` gives; what is wrong with a video is given too, not raised."""
    try:
        return task()
    except SourceError as exc:
        return exc


def _last_answer(bundle: Bundle, engine: Engine, clip: ListedClip) -> ClipScores:
    """Of a model with states: its last answer, when it has seen the whole clip."""
    source = Part(open_source(clip.uri), clip.start_s, clip.end_s)
    answers = list(stream(bundle, source, engine=borrowed(engine)))
    if not answers:
        raise SourceError(f"{clip.uri} gave no answer", "Check that the part holds frames")
    return mean_of([answers[-1].scores], clip.uri, answers[-1].padded)
