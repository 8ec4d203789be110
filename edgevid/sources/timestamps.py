"""Turns the timestamps a container holds into times that strictly increase from 0."""

from __future__ import annotations

CLOCK_RESTART_S = 1.0
"""A step back by more than this is a clock that started anew, not frames out of order."""


class Timeline:
    """Gives every frame of one stream its presentation time, in seconds.

    A stamp later than the one before is kept exactly. The others are replaced:

        missing                 one nominal period after the frame before
        not later than before   half a period after it, so that the next good stamp,
                                normally one period on, is still later and is kept
        over 1 s earlier        one period after it, and all later stamps move along

    Args:
        nominal_fps: Frames a second; only used to replace stamps.
        by_dts: Take the decoding stamps, for containers of constant frame rate that hold no
            others (AVI); the decoder gives none for the last few frames, which is no fault.

    Attributes:
        repaired: Frames whose presentation stamp was missing or ran backwards.
    """

    def __init__(self, nominal_fps: float, by_dts: bool = False) -> None:
        self._period_s = 1.0 / nominal_fps
        self._by_dts = by_dts
        self._origin_s: float | None = None
        self._last_s: float | None = None
        self._last_pts_s: float | None = None
        self.repaired = 0

    def place(self, pts_s: float | None, dts_s: float | None = None) -> float:
        """Time of the next frame from the start of the first, later than all before.

        Args:
            pts_s, dts_s: What the container says, on its own clock; None where it is silent.
        """
        stamp_s = dts_s if self._by_dts or pts_s is None else pts_s
        origin_s, last_s, is_faulty = self._origin_s, self._last_s, False
        if (
            stamp_s is not None
            and origin_s is not None
            and last_s is not None
            and stamp_s - origin_s > last_s
        ):
            time_s = stamp_s - origin_s
        else:
            time_s, is_faulty = self._replaced(stamp_s)
        if pts_s is not None:
            if self._last_pts_s is not None and pts_s <= self._last_pts_s:
                is_faulty = True
            self._last_pts_s = pts_s
        self.repaired += is_faulty
        self._last_s = time_s
        return time_s

    def _replaced(self, stamp_s: float | None) -> tuple[float, bool]:
        """The time of a frame that has no good stamp, and whether that is a fault."""
        expected_s = 0.0 if self._last_s is None else self._last_s + self._period_s
        if stamp_s is None:
            return expected_s, not self._by_dts
        if self._origin_s is None:
            self._origin_s = stamp_s - expected_s
            return expected_s, False
        assert self._last_s is not None
        if self._last_s - (stamp_s - self._origin_s) > CLOCK_RESTART_S:
            self._origin_s = stamp_s - expected_s
            return expected_s, True
        return self._last_s + self._period_s / 2, True
