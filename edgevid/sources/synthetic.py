"""A source that needs no file and no camera: `synthetic:`, moving shapes with known truth.

synthetic:?motions=left,clockwise&seconds=2&fps=30&size=320x240&seed=1&live=0

motions   shown one after the other; default: all of `MOTIONS`
seconds   of each motion; default 2
fps       frames a second, a number or a fraction such as 30000/1001; default 30
size      WIDTHxHEIGHT in pixels; default 320x240
seed      the same seed gives the same pixels; default 0
live      1: frames come by the clock, as from a camera; default 0
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import Field, PlainValidator, ValidationError

from edgevid.errors import SourceError
from edgevid.protocols import WantFrame, every_frame
from edgevid.sources.moving_shapes import MOTIONS, Scene
from edgevid.strict import Strict, first_problem
from edgevid.types import Frame, FrameTime, SourceInfo, SourceStats

SCHEME = "synthetic:"
_EXAMPLE = "synthetic:?motions=left,grow&seconds=2&fps=30&size=320x240&seed=1&live=0"
_SIDES = (16, 4096)
_MAX_FPS = 1000


def _motions(text: str) -> tuple[str, ...]:
    motions = tuple(text.split(","))
    for motion in motions:
        if motion not in MOTIONS:
            raise ValueError(f"no motion {motion!r}; choose from {', '.join(MOTIONS)}")
    return motions


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is no number such as 30 or 30000/1001") from None
    if not 0 < rate <= _MAX_FPS:
        raise ValueError(f"{text} is not above 0 and at most {_MAX_FPS}")
    return rate


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise ValueError(f"{text!r} is not WIDTHxHEIGHT, such as 320x240") from None
    if not all(_SIDES[0] <= side <= _SIDES[1] for side in (width, height)):
        raise ValueError(f"{text}: each side must be from {_SIDES[0]} to {_SIDES[1]}")
    return width, height


class Settings(Strict):
    """What a `synthetic:` URI says."""

    motions: Annotated[tuple[str, ...], PlainValidator(_motions)] = MOTIONS
    seconds: float = Field(2.0, gt=0, le=86400)
    fps: Annotated[Fraction, PlainValidator(_rate)] = Fraction(30)
    size: Annotated[tuple[int, int], PlainValidator(_size)] = (320, 240)
    seed: int = Field(0, ge=0, lt=2**40)
    live: bool = False

    @property
    def frames_per_motion(self) -> int:
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True)
class Segment:
    """One motion of the source and when it is shown, in seconds."""

    label: str
    start_s: float
    end_s: float


class SyntheticSource:
    """Moving shapes as a `FrameSource`.

    Frame i is shown at exactly i / fps seconds. The pixels follow from the settings alone.

    Args:
        settings: What to show.
        source_id: Name that frames carry.
        clock, sleep: Where time comes from with `live`; tests put their own here.
    """

    def __init__(
        self,
        settings: Settings,
        source_id: str = SCHEME,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._source_id = source_id
        self._clock = clock
        self._sleep = sleep
        self._started: float | None = None
        self._index = 0
        self._closed = False
        self._num_frames = settings.frames_per_motion * len(settings.motions)
        self._scene_number = -1
        self._scene: Scene | None = None

    @classmethod
    def from_uri(cls, uri: str) -> SyntheticSource:
        """Open `synthetic:` or `synthetic:?key=value&...`; the keys stand above.

        Raises:
            SourceError: A key is unknown, or a value cannot be right.
        """
        return cls(parse_uri(uri), source_id=uri)

    @property
    def source_id(self) -> str:
        return self._source_id

    @property
    def info(self) -> SourceInfo:
        width, height = self._settings.size
        return SourceInfo(
            width=width,
            height=height,
            fps=float(self._settings.fps),
            num_frames=None if self._settings.live else self._num_frames,
            is_live=self._settings.live,
            description=f"moving shapes {width}x{height}, seed {self._settings.seed}",
        )

    @property
    def stats(self) -> SourceStats:
        return SourceStats(frames_read=self._index)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The truth: which motion is shown when."""
        count = self._settings.frames_per_motion
        return tuple(
            Segment(motion, self._pts_s(i * count), self._pts_s((i + 1) * count))
            for i, motion in enumerate(self._settings.motions)
        )

    def read(self, want: WantFrame = every_frame) -> Frame | None:
        """The next frame that `want` accepts; None at the end."""
        while not self._closed and self._index < self._num_frames:
            index = self._index
            if self._settings.live:
                self._wait(index)
            self._index += 1
            frame_time = FrameTime(
                index, self._pts_s(index), self._pts_s(index + 1), time.monotonic_ns()
            )
            if want(frame_time):
                return self._render(frame_time)
        return None

    def close(self) -> None:
        """End the source: `read` gives None from now on."""
        self._closed = True

    def _pts_s(self, index: int) -> float:
        return float(index / self._settings.fps)

    def _wait(self, index: int) -> None:
        """Sleep until the frame is due; the clock starts with the first frame."""
        if self._started is None:
            self._started = self._clock()
        remaining = self._started + self._pts_s(index) - self._clock()
        if remaining > 0:
            self._sleep(remaining)

    def _render(self, frame_time: FrameTime) -> Frame:
        number, within = divmod(frame_time.index, self._settings.frames_per_motion)
        if self._scene is None or number != self._scene_number:
            motion = self._settings.motions[number]
            self._scene = Scene(
                motion, _scene_seed(self._settings.seed, number), self._settings.size
            )
            self._scene_number = number
        return Frame(self._scene.frame(self._pts_s(within)), frame_time, self._source_id)


def _scene_seed(seed: int, number: int) -> int:
    """Distinct for every scene of every source with fewer than 10 000 motions."""
    return seed * 10_000 + number


def parse_uri(uri: str) -> Settings:
    """Read a `synthetic:` URI.

    Raises:
        SourceError: It is none, a key is unknown, or a value cannot be right.
    """
    scheme, _, query = uri.partition("?")
    hint = f"Write it like {_EXAMPLE}"
    if scheme != SCHEME:
        raise SourceError(f"{uri!r} is no synthetic source", hint)
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs):
        raise SourceError(f"{uri}: a parameter is given twice", hint)
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        raise SourceError(f"{uri}: {first_problem(exc)}", hint) from None
