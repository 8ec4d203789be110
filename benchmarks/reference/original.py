"""What the original models say, by a way of their own from the file to the scores.

Nothing of the runtime is used: PyAV decodes every frame, NumPy chooses and normalises, OpenCV
resizes whole frames, PyTorch (of some real models ONNX Runtime, on the file as its authors made
it) answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Array, Float32Array, UInt8Array


@dataclass(frozen=True)
class Video:
    """Every frame up to some time, `(H, W, 3)` uint8 BGR, and when each is shown, in seconds."""

    frames: list[UInt8Array]
    times: Array

    @property
    def period_s(self) -> float:
        """Seconds from one frame to the next, mostly."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0


def decode(path: Path, until_s: float = float("inf")) -> Video:
    """Decode a file from its start."""
    import av

    frames: list[UInt8Array] = []
    times: list[float] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        # AVI holds no presentation times: its frames follow each other at its rate.
        counted = container.format.name == "avi"
        for i, frame in enumerate(container.decode(stream)):
            time_s = i / float(stream.average_rate) if counted else float(frame.time)
            if times and time_s > times[0] + until_s:
                break
            frames.append(frame.to_ndarray(format="bgr24"))
            times.append(time_s)
    return Video(frames, np.array(times))


def sample(path: Path, clip: ClipSpec, windows: int) -> list[list[UInt8Array]]:
    """The frames of a file's first windows, one sample apart, as docs/spec.md says.

    A file too short for one window repeats its last sample.
    """
    count = clip.num_frames
    if clip.sampling == "uniform":
        frames = decode(path).frames
        step = max(len(frames) // count, 1)
        return [[frames[min(i * step, len(frames) - 1)] for i in range(count)]]
    if clip.period_s is None:
        frames = decode(path, 10.0).frames[:: clip.frame_interval]
        samples = frames[: count + windows - 1]
    else:
        video = decode(path, (count + windows + 1) * clip.period_s)
        samples = _nearest(video, clip.period_s)[: count + windows - 1]
    samples += samples[-1:] * (count - len(samples))
    return [samples[i : i + count] for i in range(len(samples) - count + 1)]


def _nearest(video: Video, period_s: float) -> list[UInt8Array]:
    """The nearest frame to each instant of a grid that starts with the first frame."""
    times = video.times - video.times[0]
    ticks = np.arange(0.0, times[-1] + video.period_s / 2, period_s)
    # Of two that are equally near the earlier one; times of files are whole microseconds.
    return [video.frames[int(np.argmin(np.round(np.abs(times - t), 6)))] for t in ticks]


def pictures(frames: Sequence[UInt8Array], spec: InputSpec) -> UInt8Array:
    """`(T, h, w, 3)` uint8 BGR: frames cropped and resized for one input."""
    height, width = spec.size
    if spec.crop == "fovea":
        top, left = (round((n - k) / 2) for n, k in zip(frames[0].shape, spec.size, strict=False))
        return np.stack([f[top : top + height, left : left + width] for f in frames])
    # As the pictures to train on were made: OpenCV, on the whole frame.
    how = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}[spec.interpolation]
    return np.stack([cv2.resize(f, (width, height), interpolation=how) for f in frames])


def model_input(clips: UInt8Array, spec: InputSpec) -> Float32Array:
    """What a model takes of some windows of pictures: the arithmetic of docs/spec.md.

    Args:
        clips: `(N, T, h, w, 3)` uint8 BGR.
        spec: Of the input.
    """
    count = clips.shape[1]
    if spec.modality == "flow":
        values = np.stack([_flow(clip) for clip in clips])
    else:
        every = [0, count - 1] if spec.frames == "pair" else range(0, count, spec.every)
        every = [count - 1] if spec.frames == "last" else every
        values = clips[:, list(every)].astype(np.float32)
        values = values[..., ::-1] if spec.color == "rgb" else values
    if spec.modality == "rgb_diff":
        values = values[:, 1:] - values[:, :-1]
    mean, std = (np.array(numbers, np.float32) for numbers in (spec.mean, spec.std))
    x = (values * np.float32(spec.scale) - mean) / std
    if not spec.is_clip:
        x = x[:, -1]
    plain = spec.layout.replace("(", "").replace(")", "")
    now = "NTHWC" if spec.is_clip else "NHWC"
    x = np.ascontiguousarray(x.transpose([now.index(axis) for axis in plain]))
    return x.reshape(len(x), -1, *x.shape[3:]) if "(TC)" in spec.layout else x


def _flow(clip: UInt8Array) -> Float32Array:
    """OpenCV's DIS from each picture to the next, as bytes and back: `(T - 1, h, w, 2)` pixels."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    # Its coarsest level must still hold a patch of 8 pixels.
    dis.setFinestScale(min(dis.getFinestScale(), int(np.log2(min(clip.shape[1:3]) / 32) + 0.5)))
    grey = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in clip]
    fields = [dis.calc(a, b, None) for a, b in pairwise(grey)]
    as_bytes = np.rint((np.clip(fields, -20, 20) + 20) * 255 / 40)
    flow: Float32Array = (as_bytes * 40 / 255 - 20).astype(np.float32)
    return flow
