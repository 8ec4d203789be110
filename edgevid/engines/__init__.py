"""Engines: what runs a bundle's graph. One file each, imported only when asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgevid.errors import EngineError
from edgevid.manifest import Bundle
from edgevid.protocols import Engine

ENGINES = ("auto", "onnxruntime")

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
        engine: One of `ENGINES`.
        threads: CPU threads (ONNX Runtime only); None: see `default_threads`.
        max_batch: The largest batch that one call may get.
        notify: Told, in sentences for people, what was chosen and why.

    Raises:
        EngineError: No such engine, or it cannot run the graph.
        MissingDependencyError: Its package is not installed.
        IntegrityError: The graph was changed.
    """
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}", f"Choose one of: {', '.join(ENGINES)}")
    if max_batch < 1:
        raise EngineError(f"max_batch is {max_batch}", "Give 1 or more")
    from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine

    opened = OnnxRuntimeEngine(bundle.file("model"), threads)
    notify(f"Engine: {opened.name}")
    return opened
