"""Where the batch and the time are inside a tensor's shape.

An axis is a product of atoms, outermost first. Atoms are the batch (n), the time (t), or
free. A folded tensor `(N*T, C)` of two clips of 20 frames is

    ((n 2)(t 20))  (256)

Transpose moves axes; Reshape keeps the atoms' order and draws other borders between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import gcd, prod
from typing import Literal

Label = Literal["n", "t", ""]


@dataclass(frozen=True)
class Atom:
    """A factor of an axis; its label is empty where it is neither batch nor time."""

    label: Label
    size: int


Axis = tuple[Atom, ...]


def free(size: int) -> Axis:
    """An axis that holds neither batch nor time."""
    return (Atom("", size),)


@dataclass(frozen=True)
class Layout:
    """The axes of one tensor."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size_of(axis) for axis in self.axes)

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """All of them, in memory order."""
        return tuple(atom for axis in self.axes for atom in axis)

    @property
    def rows(self) -> frozenset[int]:
        """The axes that hold the batch or the time."""
        return frozenset(i for i, axis in enumerate(self.axes) if is_row(axis))

    @property
    def time(self) -> int | None:
        """The axis that holds the time; None: none does."""
        return next((i for i, axis in enumerate(self.axes) if _holds(axis, "t")), None)

    def permuted(self, order: Sequence[int]) -> Layout:
        """What Transpose makes of it."""
        return Layout(tuple(self.axes[i] for i in order))

    def reshaped(self, shape: Sequence[int]) -> Layout | None:
        """What Reshape to `shape` makes of it; None where batch or time would be torn."""
        left = deque(_joined(self.atoms))
        axes = []
        for size, following in zip(shape, (*shape[1:], None), strict=True):
            axis = _take(left, size)
            if axis is None:
                return None
            # A batch of one that gets no axis of its own stays with the time, or else with what
            # stood before it.
            if following != 1 and left and left[0].size == 1 and not _time_is_next(left):
                axis = (*axis, left.popleft())
            axes.append(axis)
        if left:
            return None
        return Layout(tuple(axis or free(1) for axis in axes))

    def target(self, time: int) -> list[int]:
        """A Reshape target for any batch: -1 for the axis that holds it.

        Args:
            time: Size of the time axis there.
        """
        return [
            -1
            if _holds(axis, "n")
            else prod(time if atom.label == "t" else atom.size for atom in axis)
            for axis in self.axes
        ]


def size_of(axis: Axis) -> int:
    """Its length in a shape."""
    return prod(atom.size for atom in axis)


def is_row(axis: Axis) -> bool:
    """True where an axis holds the batch or the time."""
    return any(atom.label for atom in axis)


def _holds(axis: Axis, label: Label) -> bool:
    return any(atom.label == label for atom in axis)


def _joined(atoms: Sequence[Atom]) -> list[Atom]:
    """Neighbouring free atoms as one, so that borders may fall anywhere between them."""
    result: list[Atom] = []
    for label, group in groupby(atoms, key=lambda atom: atom.label):
        if label:
            result += group
        elif (size := prod(atom.size for atom in group)) > 1:
            result.append(Atom("", size))
    return result


def _time_is_next(left: Sequence[Atom]) -> bool:
    return len(left) > 1 and left[1].label == "t"


def _take(left: deque[Atom], size: int) -> Axis | None:
    """Atoms from the front whose product is `size`; None where there are none such."""
    axis: list[Atom] = []
    while size > 1 or (left and left[0].size == 1 and not axis):
        if not left:
            return None
        atom = left.popleft()
        share = gcd(atom.size, size)
        if share < atom.size:
            if atom.label or share == 1:
                return None
            left.appendleft(Atom("", atom.size // share))
            atom = Atom("", share)
        axis.append(atom)
        size //= atom.size
    return tuple(axis)
