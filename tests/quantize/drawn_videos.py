"""Videos whose frames can be told apart, and what the runtime makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgevid.clips import WindowBuilder
from edgevid.pipeline.capture import CaptureJob, CaptureThread, NamedSource
from edgevid.pipeline.queues import Inbox
from edgevid.sources import open_source
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Clip, SampledFrame

SHARED = Path(__file__).parents[3] / "shared" / "data"

TIMES_4 = ClipSpec(num_frames=4, sampling="interval", frame_interval=2, fps=25)
UNIFORM_4 = ClipSpec(num_frames=4, sampling="uniform")
FLOW_2 = {"modality": "flow", "flow_interval": 2}
SMALL = InputSpec(name="clip", layout="NCTHW", size=(16, 24))


def input_spec(**changes: Any) -> InputSpec:
    return InputSpec(**{"name": "clip", "layout": "NCTHW", "size": (16, 24), **changes})


def make_video(path: Path, frames: int, fps: int = 25, colour: int | None = None) -> Path:
    """Frame i is grey of level 4 i, beside its negative; or all of one colour."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv444p"
        stream.options = {"qp": "0"}
        for i in range(frames):
            image = np.full((32, 48, 3), 4 * i if colour is None else colour, np.uint8)
            if colour is None:
                image[:, 24:] = 255 - 4 * i
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def frames_of(clip: Any, name: str = "clip") -> list[int]:
    """The frame numbers that `make_video` painted into a drawn clip."""
    array = clip.feeds[name]
    pictures = array[0] if array.ndim == 5 else array
    return [round(int(p[:, : p.shape[1] // 3].mean()) / 4) for p in pictures]


def runtime_windows(uri: str, clip: ClipSpec, inputs: tuple[InputSpec, ...]) -> Iterator[Clip]:
    """Every window that the pipeline makes of a file, sliding by one sample."""
    inbox = Inbox(10**6, 1)
    source = NamedSource(uri, lambda: open_source(uri))
    thread = CaptureThread(0, [source], CaptureJob(clip, inputs), inbox)
    thread.run()
    builder = WindowBuilder(clip, inputs, 1, uri)
    found = 0
    while (got := inbox.get()) is not None:
        made = got[1] if isinstance(got[1], Clip) else None
        if isinstance(got[1], SampledFrame):
            made = builder.push(got[1])
        if made is not None:
            found += 1
            yield made
    if not found and (made := builder.finish()) is not None:
        yield made
