"""Clips of moving shapes that the reference models learn from."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import DTypeLike

from edgevid.benchmarks.demo_data import (
    HELD_OUT_SIZE,
    JITTER_S,
    TRAINING_SIZES,
    TRAINING_SPEEDS,
    motion_of,
)
from edgevid.benchmarks.reference.original import flow_bytes
from edgevid.sources.moving_shapes import MOTIONS, Scene
from edgevid.types import Array

SIZE = 48
"""Side of every picture that a reference model sees, in pixels."""

NUM_FRAMES = 16
FRAME_INTERVAL = 4
FPS = 30.0

TRACKS: Mapping[str, tuple[tuple[int, ...], DTypeLike]] = {
    "full": ((NUM_FRAMES, SIZE, SIZE, 3), np.uint8),
    "fovea": ((NUM_FRAMES, SIZE, SIZE, 3), np.uint8),
    "flow": ((NUM_FRAMES - 1, SIZE, SIZE, 2), np.uint8),
    "poses": ((NUM_FRAMES, 4), np.float32),
}
"""What is kept of a clip: the whole frame at low resolution and its centre as it comes, both BGR;
the optical flow of the first as bytes; x, y, angle and size of the shape, in turns."""

_FEW = 64
Result = TypeVar("Result")


def render_clips(folder: Path, seeds: range, varied: bool = True) -> None:
    """Write a file for each of `TRACKS`, with a row for each clip, and `labels.npy`, int64.

    Args:
        varied: Many frame sizes, and instants that are a little off: clips to learn from. False:
            frames of `HELD_OUT_SIZE` at the exact instants.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (shape, dtype) in TRACKS.items():
        np.lib.format.open_memmap(_file(folder, name), "w+", dtype, (len(seeds), *shape))
    in_parallel(partial(_write_clip, folder, seeds.start, varied), seeds)
    # Last: the folder is whole where it stands.
    np.save(_file(folder, "labels"), np.array([motion_of(seed) for seed in seeds], np.int64))


def is_rendered(folder: Path) -> bool:
    """The clips of a folder are all there."""
    return _file(folder, "labels").exists()


def load_clips(folder: Path, names: Collection[str]) -> tuple[dict[str, Array], Array]:
    """Tracks `(N, *shape)`, read as they are used, and the classes `(N,)`."""
    tracks = {name: np.load(_file(folder, name), mmap_mode="c") for name in names}
    return tracks, np.load(_file(folder, "labels"))


def in_parallel(function: Callable[[int], Result], seeds: Sequence[int]) -> list[Result]:
    """What a function of the top level gives for every seed, on all cores where it pays."""
    if len(seeds) <= _FEW:
        return [function(seed) for seed in seeds]
    # Forked processes would inherit the locks of OpenCV's and PyTorch's threads.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, seeds, chunksize=16))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _write_clip(folder: Path, first: int, varied: bool, seed: int) -> None:
    cv2.setNumThreads(1)
    for name, track in _clip(seed, varied).items():
        np.load(_file(folder, name), mmap_mode="r+")[seed - first] = track


def _clip(seed: int, varied: bool) -> dict[str, Array]:
    size, speed, times = HELD_OUT_SIZE, None, np.arange(NUM_FRAMES) * FRAME_INTERVAL / FPS
    if varied:
        size, speed, times = _drawn(seed)
    scene = Scene(MOTIONS[motion_of(seed)], seed, size, speed=speed)
    frames = [scene.frame(float(t)) for t in times]
    full = np.stack([cv2.resize(f, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for f in frames])
    top, left = (size[1] - SIZE) // 2, (size[0] - SIZE) // 2
    fovea = np.stack([f[top : top + SIZE, left : left + SIZE] for f in frames])
    poses = np.array([astuple(scene.pose(float(t))) for t in times], np.float32)
    return {"full": full, "fovea": fovea, "flow": flow_bytes(full), "poses": poses}


def _drawn(seed: int) -> tuple[tuple[int, int], float, Array]:
    """Frame size, speed and instants of a varied clip."""
    rng = np.random.default_rng((seed, 1))
    size = TRAINING_SIZES[rng.integers(len(TRAINING_SIZES))]
    speed = float(rng.uniform(*TRAINING_SPEEDS))
    jitter = rng.uniform(0, 2 * JITTER_S, NUM_FRAMES)
    return size, speed, np.arange(NUM_FRAMES) * FRAME_INTERVAL / FPS + jitter
