"""The Python module of TensorRT or TensorRT-RTX, and one logger that keeps what went wrong."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

from edgevid.engines.cuda_memory import open_cuda
from edgevid.engines.plans import Flavour
from edgevid.errors import EdgevidError, EngineError, MissingDependencyError

_MODULES: dict[Flavour, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}

_log = logging.getLogger(__name__)


def load_tensorrt(flavour: Flavour) -> Any:
    """The module `tensorrt` or `tensorrt_rtx`; both have the same API.

    Raises:
        MissingDependencyError: It is not installed.
        EngineError: It is installed but its libraries do not load.
    """
    name = _MODULES[flavour]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.split(".")[0] != name:
            raise EngineError(
                f"the package {name!r} needs {exc.name!r}, which is missing",
                f"Install {name} again",
            ) from None
        raise MissingDependencyError(name, flavour, f"the engine {flavour}") from None
    except (ImportError, OSError, RuntimeError) as exc:
        raise EngineError(
            f"the package {name!r} is installed but does not load: {exc}",
            "Check that it fits this machine's CUDA (edgevid doctor)",
        ) from None


def why_unusable(flavour: Flavour, *, build_only: bool = False) -> str:
    """Why this machine cannot use engines of a flavour; empty where it can.

    Args:
        flavour: Of TensorRT.
        build_only: A GPU is not asked for (TensorRT-RTX builds without one).
    """
    try:
        load_tensorrt(flavour)
        if not build_only:
            open_cuda()
    except MissingDependencyError as exc:
        return f"the package {exc.package!r} is not installed"
    except EdgevidError as exc:
        return exc.message
    return ""


@functools.cache
def error_log(trt: Any) -> Any:
    """The one logger of module `trt`, with `take() -> str`: the errors since the last call.

    One for the process: the library keeps the first logger it is given and sends everything
    there, whatever later objects are given.
    """

    class ErrorLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self._errors.append(msg)
            elif severity == trt.ILogger.WARNING:
                _log.info("%s", msg)

        def take(self) -> str:
            errors, self._errors = self._errors, []
            return "; ".join(dict.fromkeys(errors)) or "the library did not say why"

    return ErrorLog()
