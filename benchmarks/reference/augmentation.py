"""Training clips in a mirror, turned over, backwards and in other colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevid.benchmarks.demo_model import BACKWARDS, MIRRORED_X, MIRRORED_Y, TRANSPOSED


def augment(tracks: Mapping[str, Any], labels: Any, dice: Any) -> tuple[Mapping[str, Any], Any]:
    """Change every clip in ways of its own; the classes follow.

    Args:
        tracks: Of a batch, uint8 tensors `(N, T, S, S, C)` as `data.TRACKS` has them.
        labels: `(N,)` int64 in the order of `MOTIONS`, on the same device.
        dice: PyTorch's generator, on the same device.

    Returns:
        Tracks as float32 in the same range, and the classes.
    """
    import torch

    device, count = labels.device, len(labels)
    changes: list[tuple[Any, Any]] = [(3, MIRRORED_X), (2, MIRRORED_Y), ("transposed", TRANSPOSED)]
    if "flow" not in tracks:  # the flow back is not the flow forth with another sign
        changes.append((1, BACKWARDS))
    changed = {name: track.float() for name, track in tracks.items()}
    for change, becomes in changes:
        mask = torch.rand(count, generator=dice, device=device) < 0.5
        for name, track in changed.items():
            other = _flow(track, change) if name == "flow" else _turned(track, change)
            changed[name] = torch.where(mask.view(-1, 1, 1, 1, 1), other, track)
        labels = torch.where(mask, torch.from_numpy(becomes).to(device)[labels], labels)
    contrast, brightness = torch.rand(2, count, 1, 1, 1, 1, generator=dice, device=device)
    order = torch.randperm(3, generator=dice, device=device)
    for name in changed.keys() - {"flow"}:
        values = (changed[name][..., order] - 128) * (0.75 + 0.5 * contrast)
        changed[name] = (values + 103 + 50 * brightness).round().clamp(0, 255)
    return changed, labels


def _turned(clips: Any, change: int | str) -> Any:
    return clips.transpose(2, 3) if change == "transposed" else clips.flip(change)


def _flow(fields: Any, change: int | str) -> Any:
    """The same of flow as bytes: what runs along an axis changes with the axis."""
    fields = _turned(fields, change)
    if change == "transposed":
        return fields.flip(-1)
    x, y = fields.unbind(-1)
    import torch

    return torch.stack((255 - x, y) if change == 3 else (x, 255 - y), -1)
