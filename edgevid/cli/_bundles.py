"""The bundle that a command is given, or that is made of a model on the fly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.cli._messages import notice
from edgevid.errors import EdgevidError

if TYPE_CHECKING:
    from edgevid.manifest import Bundle


def open_bundle(model: str, conversion: dict[str, Any]) -> Bundle:
    """Open BUNDLE, or convert MODEL.onnx and keep the bundle in the user's cache.

    Args:
        model: Path of either.
        conversion: `spec`, `preset` and `labels` of a MODEL.onnx; what is not said is None.

    Raises:
        EdgevidError: It is neither, or cannot be converted.
    """
    from edgevid.manifest import Bundle

    said = {name: value for name, value in conversion.items() if value}
    if not model.endswith(".onnx"):
        if said:
            raise EdgevidError(
                f"--{next(iter(said))} belongs to a MODEL.onnx; {model} is a bundle",
                "Say it once to `edgevid convert`: the bundle keeps it",
            )
        return Bundle.load(model)
    from edgevid.convert import cached

    return Bundle.load(cached(Path(model), notify=notice, **said))
