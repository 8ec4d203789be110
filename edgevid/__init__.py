"""edgevid: trained video-recognition models on Jetson-class devices.

`load`, `open_source` and `stream` are the whole of the everyday interface; the types they
speak in are here too. Loading is lazy: `import edgevid` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgevid._version import __version__

if TYPE_CHECKING:
    from edgevid.api import load as load
    from edgevid.api import open_source as open_source
    from edgevid.api import stream as stream
    from edgevid.errors import EdgevidError as EdgevidError
    from edgevid.manifest import Bundle as Bundle
    from edgevid.manifest import Manifest as Manifest
    from edgevid.pipeline import SamplingOptions as SamplingOptions
    from edgevid.pipeline import Stream as Stream
    from edgevid.types import Clip as Clip
    from edgevid.types import Frame as Frame
    from edgevid.types import Prediction as Prediction
    from edgevid.validation import Evaluation as Evaluation
    from edgevid.validation import Views as Views
    from edgevid.validation import evaluate as evaluate

_HOMES = {
    "load": "edgevid.api",
    "open_source": "edgevid.api",
    "stream": "edgevid.api",
    "EdgevidError": "edgevid.errors",
    "Evaluation": "edgevid.validation",
    "Views": "edgevid.validation",
    "evaluate": "edgevid.validation",
    "Bundle": "edgevid.manifest",
    "Manifest": "edgevid.manifest",
    "SamplingOptions": "edgevid.pipeline",
    "Stream": "edgevid.pipeline",
    "Clip": "edgevid.types",
    "Frame": "edgevid.types",
    "Prediction": "edgevid.types",
}

__all__ = [
    "Bundle",
    "Clip",
    "EdgevidError",
    "Evaluation",
    "Frame",
    "Manifest",
    "Prediction",
    "SamplingOptions",
    "Stream",
    "Views",
    "__version__",
    "evaluate",
    "load",
    "open_source",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgevid' has no attribute {name!r}")
