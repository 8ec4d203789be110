"""Weights for the CNN of one frame to start from: the pose of the shape.

Networks that see frames one by one are started from a CNN that knows pictures (LRCN from one
trained on ImageNet, Donahue et al. 2015). Here it has learned a shape's pose from one frame: x, y
and size, each of which wraps round, as a sine and a cosine, and so the angle and its multiples, of
which a shape's symmetry leaves some to be seen. What a pose says of the motion is nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevid.benchmarks.reference.data import load_clips

_STEPS = 4000
_BATCH = 256
_RATE = 4e-3
_QUICK_STEPS = 4
_MULTIPLES = ((0, 1), (1, 1), (3, 1), *((2, k) for k in range(1, 6)))
"""Axis of the pose, in the order x, y, angle, size, and how many times its turn."""


def pretrained(
    frame: Any,
    features: int,
    folder: Path,
    say: Callable[[str], None],
    quick: bool = False,
    device: str = "cpu",
) -> Any:
    """Train a module from `(N, 3, S, S)` to `(N, features)` on pictures of varied clips.

    Args:
        folder: Of the clips.
        quick: A few steps.

    Returns:
        The module, on the device.
    """
    import torch

    torch.manual_seed(0)
    dice = torch.Generator(device).manual_seed(0)
    net = torch.nn.Sequential(frame, torch.nn.Linear(features, 2 * len(_MULTIPLES))).to(device)
    tracks, _ = load_clips(folder, ["full", "poses"])
    clips, poses = (torch.from_numpy(tracks[name]).to(device) for name in ("full", "poses"))
    targets = _on_circles(torch, poses)
    steps = _QUICK_STEPS if quick else _STEPS
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for step in range(steps):
        clip, at = (
            torch.randint(n, (_BATCH,), generator=dice, device=device) for n in poses.shape[:2]
        )
        order = torch.randperm(3, generator=dice, device=device)
        x = (clips[clip, at][..., order].permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
        loss = torch.nn.functional.mse_loss(net(x.contiguous()), targets[clip, at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            say(f"pose: step {step + 1}/{steps}, loss {float(loss.detach()):.4f}")
    return frame


def _on_circles(torch: Any, poses: Any) -> Any:
    """`(..., 4)` turns to the sines and cosines of `_MULTIPLES` `(..., 2 K)`."""
    turns = torch.stack([poses[..., axis] * times for axis, times in _MULTIPLES], -1)
    return torch.cat([torch.sin(2 * torch.pi * turns), torch.cos(2 * torch.pi * turns)], -1)
