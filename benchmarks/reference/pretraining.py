"""Weights for the CNN of one frame to start from: where the shape is, and how large.

Networks that see frames one by one are started from a CNN that knows pictures (LRCN from one
trained on ImageNet, Donahue et al. 2015). Here it has learned a shape's pose from one frame:
x, y and size, each of which wraps round, as a sine and a cosine. What a pose says of the motion
is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgevid.benchmarks.reference.data import Tracks, poses
from edgevid.types import Array

_BATCH = 64
_EPOCHS = 3
_FRAMES = 4
_RATE = 2e-3
_AXES = 3


def pretrained(frame: Any, features: int, tracks: Tracks, say: Callable[[str], None]) -> Any:
    """Train a module from `(N, 3, S, S)` to `(N, features)` in place, on some frames of each clip.

    Args:
        tracks: Of the clips of seeds 0, 1, 2 and so on.
    """
    import torch

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = torch.nn.Sequential(frame, torch.nn.Linear(features, 2 * _AXES))
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=0.01)
    clips = tracks["full"]
    targets = _on_circles(poses(range(len(clips)))[:, :, [0, 1, 3]])
    for epoch in range(_EPOCHS):
        losses = []
        order = rng.permutation(len(clips) * _FRAMES)
        for chosen in order[: len(order) // _BATCH * _BATCH].reshape(-1, _BATCH):
            clip, at = chosen // _FRAMES, rng.integers(0, clips.shape[1], _BATCH)
            pictures = clips[clip, at][..., rng.permutation(3)]
            x = (pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255 - 0.5) / 0.25
            wanted = torch.from_numpy(targets[clip, at])
            loss = torch.nn.functional.mse_loss(net(torch.from_numpy(x)), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        say(f"pose: epoch {epoch + 1}/{_EPOCHS}, loss {np.mean(losses):.4f}")
    return frame


def _on_circles(values: Array) -> Array:
    """`(..., K)` of period 1 to `(..., 2 K)` float32."""
    turns = 2 * np.pi * values
    return np.concatenate([np.sin(turns), np.cos(turns)], axis=-1).astype(np.float32)
