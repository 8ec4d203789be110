"""edgevid itself, by the same protocol: `edgevid.stream` with the engine that the job names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def prepare(job: dict[str, Any]) -> Callable[[], list[int]]:
    """Load the model; a function that labels the video once."""
    import edgevid
    from edgevid.engines import open_engine

    bundle = edgevid.load(job["bundle"])
    engine = _Kept(open_engine(bundle, job["engine"], threads=job["threads"]))
    options = edgevid.SamplingOptions(frame_interval=job["stride"])

    def run() -> list[int]:
        predictions = edgevid.stream(
            bundle, job["video"], smooth="none", options=options, engine=engine
        )
        return [int(prediction.scores.argmax()) for prediction in predictions]

    return run


class _Kept:
    """An engine that outlives the stream that it is lent to."""

    def __init__(self, engine: Any) -> None:
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self.infer = engine.infer

    def close(self) -> None:
        """Stay open."""
