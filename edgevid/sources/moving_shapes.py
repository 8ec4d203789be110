"""Moving shapes whose class is the motion, and which no single frame gives away.

A shape's pose is a point on a torus of four axes, each of period 1:

    x, y     position, in widths and heights of the picture; it leaves on one side and
             enters on the other
    angle    in turns, clockwise on the screen
    size     0 is the smallest radius, 1 the largest, evenly in the logarithm; after the
             largest comes the smallest again

Each of the eight motions runs along one axis in one sense at a steady speed. The start is
uniform on the torus, so the pose at any instant is uniform on it whatever the motion: one
frame holds no information about the class. Played backwards, `left` is `right`, `up` is
`down`, `clockwise` is `counter-clockwise` and `grow` is `shrink`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np

from edgevid.types import Array, Float32Array, UInt8Array

_AXES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "left": ("x", -1),
        "right": ("x", +1),
        "up": ("y", -1),
        "down": ("y", +1),
        "clockwise": ("angle", +1),
        "counter-clockwise": ("angle", -1),
        "grow": ("size", +1),
        "shrink": ("size", -1),
    }
)

MOTIONS: tuple[str, ...] = tuple(_AXES)
"""The classes, in the order of the demo model's scores."""

REVERSED: Mapping[str, str] = MappingProxyType(
    {
        motion: next(m for m, (a, s) in _AXES.items() if (a, s) == (axis, -sense))
        for motion, (axis, sense) in _AXES.items()
    }
)
"""The motion that each one becomes when its frames are played backwards."""

SPEEDS = (0.2, 0.6)
"""Slowest and fastest motion, in periods of its axis a second."""

_RADII = (0.13, 0.40)  # of the shorter side of the picture
_SHAKE = 0.006  # largest amplitude of one component, of the shorter side
_GRAIN = 7.0  # largest standard deviation of the noise, in grey levels
_GRAIN_MARGIN = 32  # the noise tile is this much larger than the picture
_SUPERSAMPLING = 2
_LETTERS = "FGJLPRQEKT47"  # none looks the same after half a turn


@dataclass(frozen=True)
class Pose:
    """Where a shape is: a point on the torus, each coordinate of period 1."""

    x: float
    y: float
    angle: float
    size: float


class Scene:
    """One shape in front of one background, in one motion.

    Everything but the motion follows from the seed: scenes of the same seed and different
    motions show the same picture at time 0. A frame is a function of the time alone.

    Args:
        motion: One of `MOTIONS`.
        seed: Non-negative.
        size: Width and height in pixels.
        start: The pose at time 0; None: drawn uniformly.
        speed: Periods a second; None: drawn uniformly from `SPEEDS`.
        unsteady: False leaves camera shake and noise out.

    Raises:
        ValueError: No such motion.
    """

    def __init__(
        self,
        motion: str,
        seed: int,
        size: tuple[int, int] = (320, 240),
        start: Pose | None = None,
        speed: float | None = None,
        unsteady: bool = True,
    ) -> None:
        if motion not in _AXES:
            raise ValueError(f"unknown motion {motion!r}; choose from {', '.join(MOTIONS)}")
        rng = np.random.default_rng(seed)
        drawn = Pose(*rng.random(4).tolist())
        drawn_speed = float(rng.uniform(*SPEEDS))
        self.motion = motion
        self.seed = seed
        self.size = size
        self.start = drawn if start is None else start
        self.speed = drawn_speed if speed is None else speed
        base = rng.uniform(40, 215) + rng.uniform(-30, 30, 3)
        self._background = _background(rng, size, base)
        self._sprite = _sprite(rng, 2 * int(np.ceil(_RADII[1] * min(size))), base)
        self._half_sprite = cv2.pyrDown(self._sprite)
        # Amplitude, frequency and phase of two components of camera shake along x and y.
        limits = ((0.0, _SHAKE), (0.5, 3.0), (0.0, 2 * np.pi))
        self._shake = [rng.uniform(*limit, (2, 2)) for limit in limits]
        self._grain = _grain(rng, size) if unsteady else None

    def pose(self, t_s: float) -> Pose:
        """The pose at a time in seconds, each coordinate in [0, 1)."""
        axis, sense = _AXES[self.motion]
        value = (getattr(self.start, axis) + sense * self.speed * t_s) % 1.0
        return replace(self.start, **{axis: value})

    def frame(self, t_s: float) -> UInt8Array:
        """The picture `(H, W, 3)` uint8 BGR at a time in seconds, from 0."""
        width, height = self.size
        dx, dy = self._shift(t_s)
        move = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        picture: UInt8Array = cv2.warpAffine(
            self._background, move, (width, height), borderMode=cv2.BORDER_REFLECT_101
        )
        pose = self.pose(t_s)
        self._paste(picture, pose.x * width + dx, pose.y * height + dy, pose)
        if self._grain is None:
            return picture
        rng = np.random.default_rng((self.seed, round(t_s * 1e6)))
        x, y = rng.integers(0, _GRAIN_MARGIN, 2)
        tile = self._grain[y : y + height, x : x + width]
        noisy: UInt8Array = cv2.add(picture, tile, dtype=cv2.CV_8U)
        return noisy

    def _shift(self, t_s: float) -> tuple[float, float]:
        """Camera shake at a time, in pixels along x and y."""
        if self._grain is None:
            return 0.0, 0.0
        amplitude, frequency, phase = self._shake
        parts = amplitude * np.sin(2 * np.pi * frequency * t_s + phase)
        dx, dy = parts.sum(axis=0) * min(self.size)
        return float(dx), float(dy)

    def _paste(self, picture: UInt8Array, x: float, y: float, pose: Pose) -> None:
        """Draw the shape with its centre at x, y, wrapped round the edges."""
        low, high = np.log(_RADII)
        radius = float(np.exp(low + (high - low) * pose.size)) * min(self.size)
        # Bilinear warping aliases where it shrinks by more than about half.
        small = radius < 0.6 * _RADII[1] * min(self.size)
        sprite = self._half_sprite if small else self._sprite
        side = 2 * int(np.ceil(radius)) + 3
        left, top = int(np.floor(x)) - side // 2, int(np.floor(y)) - side // 2
        # With y pointing down a positive OpenCV angle is counter-clockwise.
        centre = ((sprite.shape[1] - 1) / 2, (sprite.shape[0] - 1) / 2)
        scale = 2 * radius / sprite.shape[0]
        matrix = cv2.getRotationMatrix2D(centre, -360.0 * pose.angle, scale)
        matrix[:, 2] += (x - left - centre[0], y - top - centre[1])
        patch = cv2.warpAffine(sprite, matrix, (side, side))
        height, width = picture.shape[:2]
        for row in (top - height, top, top + height):
            for column in (left - width, left, left + width):
                _blend(picture, patch, column, row)


def render(scene: Scene, times_s: Iterable[float]) -> UInt8Array:
    """The frames of a scene at some times, `(T, H, W, 3)` uint8 BGR."""
    return np.stack([scene.frame(t) for t in times_s])


def _blend(picture: UInt8Array, patch: Float32Array, left: int, top: int) -> None:
    """Lay a premultiplied BGRA patch on the picture, cut at its edges."""
    height, width = picture.shape[:2]
    side = patch.shape[0]
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    if x0 >= x1 or y0 >= y1:
        return
    part = patch[y0 - top : y1 - top, x0 - left : x1 - left]
    under = picture[y0:y1, x0:x1]
    under[:] = np.rint(under * (1 - part[..., 3:]) + part[..., :3])


def _grain(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """A tile of noise, int16, larger than the picture so that each frame cuts its own part."""
    shape = (size[1] + _GRAIN_MARGIN, size[0] + _GRAIN_MARGIN, 3)
    noise = rng.standard_normal(shape, np.float32) * rng.uniform(0, _GRAIN)
    tile: Array = np.rint(noise).astype(np.int16)
    return tile


def _background(rng: np.random.Generator, size: tuple[int, int], base: Array) -> UInt8Array:
    """A gradient, soft noise or clutter round a base colour."""
    kind = rng.integers(3)
    if kind == 0:
        cells = rng.integers(3, 9)
        coarse = base + rng.uniform(-30, 30, (cells, cells, 3))
    else:
        coarse = base + rng.uniform(-30, 30, (2, 2, 3))
    smooth = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    picture: UInt8Array = np.clip(smooth, 0, 255).astype(np.uint8)
    if kind == 2:
        _add_clutter(rng, picture, base)
    return picture


def _add_clutter(rng: np.random.Generator, picture: UInt8Array, base: Array) -> None:
    """Scatter still shapes of colours near the base over the picture."""
    height, width = picture.shape[:2]
    unit = min(height, width)
    for _ in range(rng.integers(6, 15)):
        colour = np.clip(base + rng.uniform(-35, 35, 3), 0, 255).tolist()
        a = (rng.random(2) * (width, height)).astype(int)
        b = a + (rng.uniform(-0.3, 0.3, 2) * unit).astype(int)
        radius = max(1, int(rng.uniform(0.02, 0.12) * unit))
        kind = rng.integers(3)
        if kind == 0:
            cv2.rectangle(picture, a.tolist(), b.tolist(), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.circle(picture, a.tolist(), radius, colour, -1, cv2.LINE_AA)
        else:
            cv2.line(picture, a.tolist(), b.tolist(), colour, 1 + radius // 4, cv2.LINE_AA)


def _sprite(rng: np.random.Generator, side: int, base: Array) -> Float32Array:
    """One shape, upright and as large as it gets: `(side, side, 4)` premultiplied BGRA.

    Colours are 0..255, alpha is 0..1.
    """
    fine = side * _SUPERSAMPLING
    candidates = rng.integers(0, 256, (12, 3))
    distance = np.abs(candidates - base).sum(axis=1)
    first, second = candidates[np.argsort(distance)[[-1, -3]]]
    mask = _outline(rng, fine)
    pattern = _pattern(rng, fine)[..., None]
    colour = np.where(pattern, first, second).astype(np.float32)
    alpha = (mask[..., None] / 255).astype(np.float32)
    sprite = np.concatenate([colour * alpha, alpha], axis=2)
    shrunk: Float32Array = cv2.resize(sprite, (side, side), interpolation=cv2.INTER_AREA)
    return shrunk


def _outline(rng: np.random.Generator, side: int) -> UInt8Array:
    """A filled shape inside the circle of a square, 255 in it and 0 outside."""
    mask = np.zeros((side, side), np.uint8)
    radius = 0.47 * side
    middle = side // 2
    kind = int(rng.integers(5))
    if kind == 0:
        axes = (int(radius), int(radius * rng.uniform(0.35, 0.6)))
        cv2.ellipse(mask, (middle, middle), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == 1:
        _letter(mask, _LETTERS[rng.integers(len(_LETTERS))])
    else:
        radii = _corner_radii(rng, kind)
        turns = 2 * np.pi * np.arange(len(radii)) / len(radii)
        corners = middle + radius * radii[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    return mask


def _corner_radii(rng: np.random.Generator, kind: int) -> Float32Array:
    """Distances of a polygon's corners from the centre: regular, star or irregular."""
    if kind == 2:
        return np.ones(rng.integers(3, 6), np.float32)
    if kind == 3:
        inner = rng.uniform(0.35, 0.55)
        return np.tile([1.0, inner], rng.integers(3, 6)).astype(np.float32)
    return rng.uniform(0.5, 1.0, rng.integers(5, 9)).astype(np.float32)


def _letter(mask: UInt8Array, letter: str) -> None:
    """Draw a bold letter that fills the circle of the mask."""
    side = mask.shape[0]
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, side // 7
    (width, height), _ = cv2.getTextSize(letter, font, 1.0, 1)
    scale = 0.62 * side / max(width, height)
    (width, height), _ = cv2.getTextSize(letter, font, scale, thickness)
    origin = ((side - width) // 2, (side + height) // 2)
    cv2.putText(mask, letter, origin, font, scale, 255, thickness, cv2.LINE_AA)


def _pattern(rng: np.random.Generator, side: int) -> Array:
    """Which of a shape's two colours each pixel has: plain, stripes, two halves or dots."""
    y, x = np.mgrid[0:side, 0:side] / side
    period = rng.uniform(0.2, 0.4)
    patterns: tuple[Array, ...] = (
        (x / period) % 1 < 0.5,
        x < rng.uniform(0.4, 0.6),
        np.hypot(x % period - period / 2, y % period - period / 2) > 0.3 * period,
        np.ones((side, side), bool),
    )
    return patterns[rng.integers(len(patterns))]
