"""Clips of moving shapes, cut and resized as the demo model's contract says."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from edgevid.demo import SPEC
from edgevid.preprocess.resize import Resizer
from edgevid.sources.moving_shapes import MOTIONS, Scene
from edgevid.spec import ClipSpec, InputSpec, Spec, parse
from edgevid.types import Array, Float32Array, UInt8Array

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HELD_OUT_SIZE = (320, 240)
"""Width and height of the frames that the figures are measured on."""

TRAINING_SIZES = ((64, 64), (96, 72), (128, 72), (72, 96), (160, 120), (320, 240))
TRAINING_SPEEDS = (0.17, 0.68)  # a little beyond both ends of moving_shapes.SPEEDS
JITTER_S = 0.02  # half a frame of a 25 fps video


def demo_spec() -> Spec:
    """The contract that ships with the demo model."""
    spec: Spec = parse(Spec, tomllib.loads(SPEC.read_text(encoding="utf-8")), str(SPEC))
    return spec


def motion_of(seed: int) -> int:
    """The class of the clip with this seed: all classes are equally many."""
    return seed % len(MOTIONS)


def training_clips(seeds: Iterable[int], spec: Spec) -> tuple[UInt8Array, Array]:
    """Clips to learn from: many frame sizes, and instants that are a little off.

    Returns:
        `(N, T, H, W, 3)` uint8 BGR, and `(N,)` int64 classes.
    """
    resizer = Resizer(spec.inputs[0])
    clips, labels = [], []
    for seed in seeds:
        rng = np.random.default_rng((seed, 1))
        size = TRAINING_SIZES[rng.integers(len(TRAINING_SIZES))]
        speed = float(rng.uniform(*TRAINING_SPEEDS))
        times = _sample_times(spec.clip) + rng.uniform(0, 2 * JITTER_S, spec.clip.num_frames)
        scene = Scene(MOTIONS[motion_of(seed)], seed, size, speed=speed)
        clips.append(_cut(scene, times, resizer))
        labels.append(motion_of(seed))
    return np.stack(clips), np.array(labels, np.int64)


def held_out_clips(seeds: Iterable[int], spec: Spec) -> tuple[UInt8Array, Array]:
    """Clips to measure on: frames of `HELD_OUT_SIZE` at the exact instants.

    Returns:
        `(N, T, H, W, 3)` uint8 BGR, and `(N,)` int64 classes.
    """
    resizer = Resizer(spec.inputs[0])
    clips, labels = [], []
    for seed in seeds:
        scene = Scene(MOTIONS[motion_of(seed)], seed, HELD_OUT_SIZE)
        clips.append(_cut(scene, _sample_times(spec.clip), resizer))
        labels.append(motion_of(seed))
    return np.stack(clips), np.array(labels, np.int64)


def to_model(clips: UInt8Array, spec: InputSpec) -> Float32Array:
    """`(N, T, H, W, 3)` uint8 BGR to the model's own `(N, 3, T, H, W)` float32 RGB."""
    scale = (spec.scale / np.array(spec.std)).astype(np.float32)
    offset = (np.array(spec.mean) / np.array(spec.std)).astype(np.float32)
    return np.ascontiguousarray((clips[..., ::-1] * scale - offset).transpose(0, 4, 1, 2, 3))


def _sample_times(clip: ClipSpec) -> Array:
    if clip.period_s is None:
        raise ValueError("the demo model's contract has no fps")
    return np.arange(clip.num_frames) * clip.period_s


def _cut(scene: Scene, times: Array, resizer: Resizer) -> UInt8Array:
    return np.stack([resizer(scene.frame(float(t))) for t in times])
