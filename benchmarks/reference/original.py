"""What the original models say, by a way of their own from the file to the scores.

Nothing of the runtime is used: PyAV decodes every frame, NumPy chooses, OpenCV resizes whole
frames, PyTorch normalises and (of some real models ONNX Runtime, on the file as its authors made
it) answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Array, UInt8Array


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


def flow_bytes(clip: UInt8Array) -> UInt8Array:
    """OpenCV's DIS from each picture `(h, w, 3)` to the next, x and y: `(T - 1, h, w, 2)`.

    Bytes 0 to 255 stand for -20 to 20 pixels.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    # Its coarsest level must still hold a patch of 8 pixels.
    dis.setFinestScale(min(dis.getFinestScale(), int(np.log2(min(clip.shape[1:3]) / 32) + 0.5)))
    grey = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in clip]
    fields = [dis.calc(a, b, None) for a, b in pairwise(grey)]
    as_bytes = np.rint((np.clip(fields, -20, 20) + 20) * 255 / 40)
    return np.asarray(as_bytes, np.uint8)


def model_input(clips: Any, spec: InputSpec) -> Any:
    """What a model takes of some windows of pictures: the arithmetic of docs/spec.md.

    Args:
        clips: Tensor `(N, T, h, w, 3)`, BGR, 0 to 255; for flow `flow_bytes` of each window.
        spec: Of the input.

    Returns:
        A float32 tensor on the same device.
    """
    values = clips.float()
    if spec.modality == "flow":
        values = values * 40 / 255 - 20
    else:
        last = clips.shape[1] - 1
        first, every = {"pair": (0, last), "last": (last, 1)}.get(spec.frames, (0, spec.every))
        values = values[:, first::every]
        values = values.flip(-1) if spec.color == "rgb" else values
    if spec.modality == "rgb_diff":
        values = values[:, 1:] - values[:, :-1]
    mean, std = (values.new_tensor(numbers) for numbers in (spec.mean, spec.std))
    x = (values * spec.scale - mean) / std
    if not spec.is_clip:
        x = x[:, -1]
    plain = spec.layout.replace("(", "").replace(")", "")
    now = "NTHWC" if spec.is_clip else "NHWC"
    x = x.permute([now.index(axis) for axis in plain]).contiguous()
    return x.flatten(1, 2) if "(TC)" in spec.layout else x
