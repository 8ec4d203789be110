"""The calls of an engine's own library that `infer` cannot do without, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.engines.sized_engine import SizedEngine
from edgevid.engines.tensorrt_engine import TensorRTEngine
from edgevid.protocols import Engine
from edgevid.types import Array


def bare_call(engine: Engine, feeds: Mapping[str, Array]) -> Callable[[], None]:
    """One call of the library with these feeds, up to its answer on the host.

    It runs the very session or context that `infer` runs, so that nothing but edgevid's own
    work is between the two: ONNX Runtime's copy of the inputs and `run_with_iobinding`;
    TensorRT's copies, launch and wait.

    Args:
        engine: Of one graph.
        feeds: For it, of one batch.
    """
    for _ in range(4):
        engine.infer(feeds)
    batch = len(next(iter(feeds.values())))
    if isinstance(engine, SizedEngine):
        engine = engine.of_size(batch)
    if isinstance(engine, OnnxRuntimeEngine):
        bound = engine.calls[batch]
        return lambda: bound.execute(feeds)
    assert isinstance(engine, TensorRTEngine)
    [slot] = engine.slots

    def call() -> None:
        slot.queue()
        slot.wait()

    return call
