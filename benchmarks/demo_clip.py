"""Render the demo clip: all eight motions, one after the other, as an H.264 video.

The frames follow from the script alone; the bytes also depend on the encoder's version.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgevid.files import write_atomic
from edgevid.sources.moving_shapes import Pose, Scene
from edgevid.types import UInt8Array

SIZE = (384, 288)
"""Width and height in pixels."""

FPS = 25
"""Not the model's own rate, so that the demo shows sampling by time."""

FRAMES_PER_SCENE = 75

_SPEED = 0.21  # a scene is 0.62 of a period, so that no shape leaves the picture in it
_QUALITY = "25"  # x264's constant rate factor


@dataclass(frozen=True)
class _Shot:
    motion: str
    seed: int
    start: Pose


_SHOTS = (
    _Shot("left", 21, Pose(0.82, 0.50, 0.00, 0.60)),
    _Shot("clockwise", 22, Pose(0.50, 0.50, 0.10, 0.90)),
    _Shot("down", 23, Pose(0.45, 0.20, 0.95, 0.35)),
    _Shot("grow", 24, Pose(0.55, 0.50, 0.05, 0.20)),
    _Shot("right", 25, Pose(0.18, 0.55, 0.10, 0.55)),
    _Shot("counter-clockwise", 26, Pose(0.45, 0.50, 0.00, 0.85)),
    _Shot("up", 27, Pose(0.60, 0.80, 0.05, 0.35)),
    _Shot("shrink", 28, Pose(0.50, 0.45, 0.00, 0.90)),
)


def frames() -> Iterator[UInt8Array]:
    """Every picture of the clip in order, `(288, 384, 3)` uint8 BGR."""
    for shot in _SHOTS:
        scene = Scene(shot.motion, shot.seed, SIZE, start=shot.start, speed=_SPEED)
        for i in range(FRAMES_PER_SCENE):
            yield scene.frame(i / FPS)


def truth() -> dict[str, object]:
    """What `truth.json` holds: the picture's format, and what is shown when."""
    seconds = FRAMES_PER_SCENE / FPS
    return {
        "video": "demo.mp4",
        "width": SIZE[0],
        "height": SIZE[1],
        "fps": FPS,
        "frames": FRAMES_PER_SCENE * len(_SHOTS),
        "segments": [
            {"label": shot.motion, "start_s": i * seconds, "end_s": (i + 1) * seconds}
            for i, shot in enumerate(_SHOTS)
        ],
    }


def clip_list() -> str:
    """What `clips.csv` holds: the scenes as labelled clips."""
    seconds = FRAMES_PER_SCENE / FPS
    rows = [f"demo.mp4,{s.motion},{i * seconds},{(i + 1) * seconds}" for i, s in enumerate(_SHOTS)]
    return "\n".join(["path,label,start_s,end_s", *rows]) + "\n"


def write_clip(out: Path) -> None:
    """Write `demo.mp4`, `truth.json` and `clips.csv` into a folder.

    Raises:
        OutputError: The folder cannot be written.
    """
    write_atomic(out / "demo.mp4", encode(frames(), FPS, SIZE))
    write_atomic(out / "truth.json", (json.dumps(truth(), indent=2) + "\n").encode())
    write_atomic(out / "clips.csv", clip_list().encode())


def encode(pictures: Iterator[UInt8Array], fps: int, size: tuple[int, int]) -> bytes:
    """The pictures, `(H, W, 3)` uint8 BGR, as an MP4 file with one H.264 stream.

    Args:
        size: Width and height.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": _QUALITY, "preset": "slow"}
        # Several encoder threads may give different bytes each time.
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return file.getvalue()
