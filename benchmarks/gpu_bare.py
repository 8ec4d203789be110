"""The calls of an engine's own library that `infer` cannot do without, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgevid.engines.onnxruntime_engine import PROVIDERS
from edgevid.engines.threads import default_threads
from edgevid.manifest import Bundle
from edgevid.protocols import Engine
from edgevid.types import Array


def bare_call(
    bundle: Bundle, engine: Engine, name: str, feeds: Mapping[str, Array]
) -> Callable[[], object]:
    """One call of the library with these feeds, up to its answer on the host.

    Args:
        bundle: Of one graph.
        engine: The same through edgevid.
        name: Of the engine, from `edgevid.engines.ENGINES`.
        feeds: For the engine.
    """
    if name in PROVIDERS:
        return _onnxruntime(bundle, name, feeds)
    from edgevid.engines.tensorrt_engine import TensorRTEngine

    assert isinstance(engine, TensorRTEngine)
    engine.infer(feeds)
    (slot,) = engine.slots

    def call() -> None:
        slot.queue()
        slot.wait()

    return call


def _onnxruntime(bundle: Bundle, name: str, feeds: Mapping[str, Array]) -> Callable[[], object]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = default_threads()
    options.log_severity_level = 4
    path = str(bundle.file("model"))
    session = ort.InferenceSession(path, options, providers=[PROVIDERS[name]])
    outputs = [output.name for output in session.get_outputs()]
    if name == "onnxruntime":
        plain = dict(feeds)
        return lambda: session.run(outputs, plain)
    binding = session.io_binding()
    values = {key: ort.OrtValue.ortvalue_from_numpy(a, "cuda", 0) for key, a in feeds.items()}
    for key, value in values.items():
        binding.bind_ortvalue_input(key, value)
    answers = session.run(outputs, dict(feeds))
    kept = [np.empty_like(a) for a in answers]
    for key, array in zip(outputs, kept, strict=True):
        binding.bind_output(key, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def call() -> None:
        for key, value in values.items():
            value.update_inplace(feeds[key])
        session.run_with_iobinding(binding)

    return call
