"""Clips of moving shapes that the reference models learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from multiprocessing import get_context
from typing import TypeVar

import cv2
import numpy as np

from edgevid.benchmarks.demo_data import JITTER_S, TRAINING_SIZES, TRAINING_SPEEDS, motion_of
from edgevid.benchmarks.demo_model import BACKWARDS, MIRRORED_X, MIRRORED_Y, TRANSPOSED
from edgevid.sources.moving_shapes import MOTIONS, Scene
from edgevid.types import Array, UInt8Array

SIZE = 48
"""Side of every picture that a reference model sees, in pixels."""

NUM_FRAMES = 16
FRAME_INTERVAL = 4
FPS = 30.0

_FEW = 64
Result = TypeVar("Result")

Tracks = dict[str, UInt8Array]
"""`full`, the whole frame at low resolution, and `fovea`, its centre as it comes.

Each `(N, T, SIZE, SIZE, 3)` uint8 BGR.
"""


def training_tracks(seeds: Sequence[int]) -> tuple[Tracks, Array]:
    """Clips of `NUM_FRAMES` at instants that are a little off, and their classes `(N,)` int64."""
    clips = in_parallel(_training_clip, seeds)
    tracks = {
        name: np.stack([clip[i] for clip in clips]) for i, name in enumerate(("full", "fovea"))
    }
    return tracks, np.array([motion_of(seed) for seed in seeds], np.int64)


def in_parallel(function: Callable[[int], Result], seeds: Sequence[int]) -> list[Result]:
    """What a function of the top level gives for every seed, on two cores where it pays."""
    if len(seeds) <= _FEW:
        return [function(seed) for seed in seeds]
    # Forked processes would inherit the locks of OpenCV's and PyTorch's threads.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, seeds, chunksize=16))


def _drawn(seed: int) -> tuple[tuple[int, int], float, Array]:
    """Frame size, speed and instants of a training clip."""
    rng = np.random.default_rng((seed, 1))
    size = TRAINING_SIZES[rng.integers(len(TRAINING_SIZES))]
    speed = float(rng.uniform(*TRAINING_SPEEDS))
    jitter = rng.uniform(0, 2 * JITTER_S, NUM_FRAMES)
    return size, speed, np.arange(NUM_FRAMES) * FRAME_INTERVAL / FPS + jitter


def _training_clip(seed: int) -> tuple[UInt8Array, UInt8Array]:
    cv2.setNumThreads(1)
    size, speed, times = _drawn(seed)
    scene = Scene(MOTIONS[motion_of(seed)], seed, size, speed=speed)
    frames = [scene.frame(float(t)) for t in times]
    full = [cv2.resize(f, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for f in frames]
    top, left = (size[1] - SIZE) // 2, (size[0] - SIZE) // 2
    fovea = [f[top : top + SIZE, left : left + SIZE] for f in frames]
    return np.stack(full), np.stack(fovea)


def poses(seeds: Iterable[int]) -> Array:
    """x, y, angle and size of the shape in every frame of training clips, `(N, T, 4)`."""
    clips = []
    for seed in seeds:
        _, speed, times = _drawn(seed)
        # A pose does not depend on the picture's size: the smallest is the cheapest.
        scene = Scene(MOTIONS[motion_of(seed)], seed, TRAINING_SIZES[0], speed=speed)
        clips.append([astuple(scene.pose(float(t))) for t in times])
    return np.array(clips)


def augment(
    rng: np.random.Generator, tracks: Mapping[str, UInt8Array], labels: Array
) -> tuple[Tracks, Array]:
    """Clips in a mirror, turned over, backwards, in other colours; the classes follow.

    Args:
        tracks: Of a batch.
        labels: `(N,)` int64, in the order of `MOTIONS`.
    """
    count = len(labels)
    contrast = rng.uniform(0.75, 1.25, count)
    brightness = rng.uniform(-25, 25, count)
    chosen = rng.random((len(_CHANGES), count)) < 0.5
    classes = labels.copy()
    for mask, (_, becomes) in zip(chosen, _CHANGES, strict=True):
        classes[mask] = becomes[classes[mask]]
    order = rng.permutation(3)
    return {
        name: _changed(track[..., order], chosen, contrast, brightness)
        for name, track in tracks.items()
    }, classes


_CHANGES: tuple[tuple[Callable[[Array], Array], Array], ...] = (
    (lambda clips: clips[:, :, :, ::-1], MIRRORED_X),
    (lambda clips: clips[:, :, ::-1], MIRRORED_Y),
    (lambda clips: clips.swapaxes(2, 3), TRANSPOSED),
    (lambda clips: clips[:, ::-1], BACKWARDS),
)
"""Of clips `(N, T, S, S, 3)`, and what each class becomes."""


def _changed(clips: UInt8Array, chosen: Array, contrast: Array, brightness: Array) -> UInt8Array:
    for mask, (change, _) in zip(chosen, _CHANGES, strict=True):
        clips[mask] = change(clips[mask])
    for clip, gain, offset in zip(clips, contrast, brightness, strict=True):
        values = np.clip((np.arange(256) - 128) * gain + 128 + offset, 0, 255)
        clip[:] = cv2.LUT(clip.reshape(-1, 1), values.astype(np.uint8)).reshape(clip.shape)
    return clips
