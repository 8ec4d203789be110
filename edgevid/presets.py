"""Preprocessing that the field trains with, by name (`--preset`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edgevid.errors import SpecError

_UNIT_SCALE = 1.0 / 255.0

_PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # torchvision's ImageNet classifiers: resize to 256, centre crop 224.
        "imagenet": {
            "color": "rgb",
            "scale": _UNIT_SCALE,
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "resize": "short_side",
            "crop": "center",
            "short_side_ratio": 256 / 224,
        },
        # torchvision's Kinetics-400 video models: resize to 128, centre crop 112.
        "kinetics": {
            "color": "rgb",
            "scale": _UNIT_SCALE,
            "mean": (0.43216, 0.394666, 0.37645),
            "std": (0.22803, 0.22145, 0.216989),
            "resize": "short_side",
            "crop": "center",
            "short_side_ratio": 128 / 112,
        },
        # TensorFlow's Inception and MobileNet: [-1, 1], whole frame.
        "inception": {"color": "rgb", "mean": (127.5,) * 3, "std": (127.5,) * 3},
        # x / 255, whole frame.
        "unit": {"color": "rgb", "scale": _UNIT_SCALE},
        # 0..255 as it comes, whole frame.
        "raw": {"color": "rgb"},
    }
)

NAMES = tuple(_PRESETS)


def preset(name: str, size: tuple[int, int]) -> dict[str, Any]:
    """The fields of an `InputSpec` that a preset fixes, for an input of `size` (height, width).

    Raises:
        SpecError: No such preset.
    """
    if name not in _PRESETS:
        raise SpecError(f"unknown preset {name!r}", f"Choose one of: {', '.join(NAMES)}")
    fields = dict(_PRESETS[name])
    ratio = fields.pop("short_side_ratio", None)
    if ratio is not None:
        fields["short_side"] = max(round(min(size) * ratio), max(size))
    return fields
