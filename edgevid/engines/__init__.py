"""Engines: what runs a bundle's graph. One file each, imported only when asked for."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path

from edgevid.engines.plans import FLAVOURS, Flavour
from edgevid.engines.split_engine import open_stages
from edgevid.engines.trial import choose
from edgevid.errors import EdgevidError, EngineError
from edgevid.manifest import Bundle, Stage
from edgevid.protocols import Engine

ONNXRUNTIMES = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt")
ENGINES = ("auto", *ONNXRUNTIMES, "openvino", *FLAVOURS)
DEFAULT_VARIABLE = "EDGEVID_ENGINE"
"""Environment variable: the engine that "auto" stands for, where one is to be kept."""

_log = logging.getLogger(__name__).info


def open_engine(
    bundle: Bundle,
    engine: str = "auto",
    *,
    threads: int | None = None,
    max_batch: int = 1,
    notify: Callable[[str], None] = _log,
) -> Engine:
    """Open the engine that runs `bundle`.

    Args:
        bundle: A loaded bundle.
        engine: One of `ENGINES`. "auto": the environment variable EDGEVID_ENGINE where it is
            set, else the fastest that is installed and answers as ONNX Runtime does (`choose`).
        threads: CPU threads (ONNX Runtime and OpenVINO); None: see `default_threads`.
        max_batch: The most windows that callers mean to feed at once. TensorRT plans are
            built for it, ONNX Runtime on a GPU gets ready for it; larger batches still work.
        notify: Told, in sentences for people, what was chosen and why, and how a build goes.

    Returns:
        The engine; of a split model a `SplitEngine`.

    Raises:
        EngineError: No such engine, no usable GPU, or it cannot run the graph.
        MissingDependencyError: Its package is not installed.
        BuildError: TensorRT cannot build the graph.
        IntegrityError: The graph was changed.
    """
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}", f"Choose one of: {', '.join(ENGINES)}")
    if engine == "auto":
        engine = os.environ.get(DEFAULT_VARIABLE) or "auto"
        if engine not in ENGINES:
            raise EngineError(
                f"{DEFAULT_VARIABLE} is {engine!r}", f"Set one of: {', '.join(ENGINES)}"
            )
    if max_batch < 1:
        raise EngineError(f"max_batch is {max_batch}", "Give 1 or more")
    if engine == "auto":
        opened = _open_fastest(bundle, threads, max_batch, notify)
    else:
        opened = _open_named(bundle, engine, threads, max_batch, notify)
    notify(f"Engine: {opened.name}")
    return opened


def has_nvidia_device(dev: Path = Path("/dev")) -> bool:
    """True where the kernel shows an NVIDIA GPU: a discrete one, or a Jetson's (nvmap)."""
    return any(dev.glob("nvidia[0-9]*")) or (dev / "nvmap").exists()


def _open_fastest(
    bundle: Bundle, threads: int | None, max_batch: int, notify: Callable[[str], None]
) -> Engine:
    gpu = _gpu_name(notify)
    candidates: list[str] = [*FLAVOURS, "onnxruntime-cuda"] if gpu else []
    if importlib.util.find_spec("openvino"):
        candidates.append("openvino")
    candidates.append("onnxruntime")
    return choose(
        bundle,
        candidates,
        lambda name: _open_named(bundle, name, threads, max_batch, notify),
        {"threads": threads, "max_batch": max_batch, "gpu": gpu},
        notify,
    )


def _gpu_name(notify: Callable[[str], None]) -> str:
    """The GPU that can be used; empty, with the reason told, where there is none."""
    from edgevid.engines.cuda_memory import open_cuda

    if not has_nvidia_device():
        return ""
    try:
        cuda = open_cuda()
    except EdgevidError as exc:
        notify(f"No GPU is used: {exc.message}")
        return ""
    return f"{cuda.device_name} ({cuda.compute_capability})"


def _open_named(
    bundle: Bundle,
    engine: str,
    threads: int | None,
    max_batch: int,
    notify: Callable[[str], None],
) -> Engine:
    for flavour in FLAVOURS:
        if engine == flavour:
            return _open_tensorrt(bundle, flavour, max_batch, notify)
    if engine == "openvino":
        return _open_openvino(bundle, threads)
    return _open_onnxruntime(bundle, engine, threads, max_batch)


def _open_openvino(bundle: Bundle, threads: int | None) -> Engine:
    from edgevid.engines.openvino_engine import OpenVinoEngine

    return open_stages(bundle, lambda stage: OpenVinoEngine(bundle.file("model", stage), threads))


def _open_onnxruntime(bundle: Bundle, engine: str, threads: int | None, max_batch: int) -> Engine:
    from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
    from edgevid.engines.sized_engine import sized

    def open_one(stage: Stage | None) -> Engine:
        return OnnxRuntimeEngine(bundle.file("model", stage), threads, engine)

    if engine == "onnxruntime":
        return open_stages(bundle, open_one)
    return open_stages(bundle, lambda stage: sized(lambda: open_one(stage), max_batch))


def _open_tensorrt(
    bundle: Bundle, flavour: Flavour, max_batch: int, notify: Callable[[str], None]
) -> Engine:
    from edgevid.engines.tensorrt_engine import open_tensorrt

    return open_stages(
        bundle, lambda stage: open_tensorrt(bundle, flavour, max_batch, notify, stage)
    )
