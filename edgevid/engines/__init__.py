"""Engines: what runs a bundle's graph. One file each, imported only when asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from edgevid.engines.plans import FLAVOURS, Flavour
from edgevid.engines.split_engine import open_stages
from edgevid.errors import EdgevidError, EngineError
from edgevid.manifest import Bundle
from edgevid.protocols import Engine

ONNXRUNTIMES = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt")
ENGINES = ("auto", *ONNXRUNTIMES, *FLAVOURS)

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
        engine: One of `ENGINES`. "auto": TensorRT, then TensorRT-RTX, where its package and a
            GPU are usable, else ONNX Runtime.
        threads: CPU threads (ONNX Runtime only); None: see `default_threads`.
        max_batch: The most windows that callers mean to feed at once. TensorRT plans are
            built for it; larger batches still work, in pieces.
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
    if max_batch < 1:
        raise EngineError(f"max_batch is {max_batch}", "Give 1 or more")
    opened = None
    if engine == "auto":
        opened = _open_gpu(bundle, max_batch, notify)
    for flavour in FLAVOURS:
        if engine == flavour:
            opened = _open_tensorrt(bundle, flavour, max_batch, notify)
    if opened is None:
        name = "onnxruntime" if engine == "auto" else engine
        opened = _open_onnxruntime(bundle, name, threads)
    notify(f"Engine: {opened.name}")
    return opened


def has_nvidia_device(dev: Path = Path("/dev")) -> bool:
    """True where the kernel shows an NVIDIA GPU: a discrete one, or a Jetson's (nvmap)."""
    return any(dev.glob("nvidia[0-9]*")) or (dev / "nvmap").exists()


def _open_gpu(bundle: Bundle, max_batch: int, notify: Callable[[str], None]) -> Engine | None:
    """The first TensorRT that works here; None, with the reasons told, where none does."""
    from edgevid.engines.cuda_memory import open_cuda

    if not has_nvidia_device():
        return None
    try:
        open_cuda()
    except EdgevidError as exc:
        notify(f"No GPU is used: {exc.message}")
        return None
    for flavour in FLAVOURS:
        try:
            return _open_tensorrt(bundle, flavour, max_batch, notify)
        except EdgevidError as exc:
            notify(f"{flavour} is not used: {exc.message}")
    return None


def _open_onnxruntime(bundle: Bundle, engine: str, threads: int | None) -> Engine:
    from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine

    return open_stages(
        bundle, lambda stage: OnnxRuntimeEngine(bundle.file("model", stage), threads, engine)
    )


def _open_tensorrt(
    bundle: Bundle, flavour: Flavour, max_batch: int, notify: Callable[[str], None]
) -> Engine:
    from edgevid.engines.tensorrt_engine import open_tensorrt

    return open_stages(
        bundle, lambda stage: open_tensorrt(bundle, flavour, max_batch, notify, stage)
    )
