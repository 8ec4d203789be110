"""The two queues between the threads: bounded, closable, and never silent about losses."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from edgevid.bell import Bell
from edgevid.pipeline.messages import Captured, SourceStarted
from edgevid.types import Frame, SampledFrame

T = TypeVar("T")

_GATHER_S = 0.1
"""How long a reader may sleep beside what need not be read at once, while more of it comes."""


class Closed(BaseException):
    """The other side is gone: stop working. No error, so that nobody takes it for one."""


class Waiting(Exception):
    """Nothing came in time; there may be more."""


@dataclass
class _Lane:
    live: bool
    priority: int = 1
    served: float = 0.0
    items: deque[Captured] = field(default_factory=deque)
    samples_waiting: int = 0
    sources_taken: int = 0
    last_taken: int = -1
    frames_dropped: dict[int, int] = field(default_factory=dict)
    lost_before_next: bool = False


class Inbox:
    """From many capture threads to one inference thread; a lane for each.

    A full lane of a file makes its capture thread wait. A full lane of a live source drops
    its oldest picture, counts it, and marks the next sample as coming after a gap.

    Lanes that have something are served in proportion to their priorities, whatever their
    rates (stride scheduling, Waldspurger and Weihl 1995): each item costs its lane
    1 / priority, and the lane that has spent least comes next. A lane that was empty for a
    while starts with what the others have spent: it saves nothing up.

    Args:
        capacity: Pictures that a lane may hold.
        lanes: How many, or the priority of each, at least 1.
    """

    def __init__(self, capacity: int, lanes: int | Sequence[int]) -> None:
        self._capacity = capacity
        priorities = [1] * lanes if isinstance(lanes, int) else lanes
        self._lanes = [_Lane(live=False, priority=p) for p in priorities]
        self._unfinished = {*range(len(self._lanes))}
        self._lock = threading.Lock()
        self._filled = Bell(self._lock)
        self._room = threading.Condition(self._lock)
        self._blocked = 0
        self._spent = 0.0
        self._closed = False

    def add_lane(self, priority: int = 1) -> int:
        """One more lane; its number."""
        with self._lock:
            number = len(self._lanes)
            self._lanes.append(_Lane(live=False, priority=priority, served=self._spent))
            self._unfinished.add(number)
            return number

    @property
    def lanes(self) -> int:
        """How many there are, or were."""
        return len(self._lanes)

    def set_live(self, lane: int, live: bool) -> None:
        """Choose what a full lane does: drop (live) or wait."""
        with self._lock:
            self._lanes[lane].live = live

    def put(self, lane: int, *items: Captured) -> None:
        """Append an item, or all samples of one frame.

        Raises:
            Closed: Nobody will read them.
        """
        box = self._lanes[lane]
        with self._lock:
            for item in items:
                while not self._closed and not box.live and len(box.items) >= self._capacity:
                    self._wait_for_room()
                if self._closed:
                    raise Closed
                if not box.items:
                    box.served = max(box.served, self._spent)
                box.items.append(item)
                box.samples_waiting += isinstance(item, SampledFrame)
            self._filled.ring()
            # Not before all are there: only then it shows which frame is dropped as a whole.
            while box.live and len(box.items) > self._capacity and _drop_oldest(box):
                pass

    def finish(self, lane: int) -> None:
        """No more items will come on this lane."""
        with self._lock:
            self._unfinished.discard(lane)
            self._filled.ring()

    def wait_until_taken(self, lane: int) -> None:
        """Wait until nothing is left of a lane that has finished.

        Raises:
            Closed: The inbox was closed.
        """
        with self._lock:
            while not self._closed and self._lanes[lane].items:
                self._wait_for_room()
            if self._closed:
                raise Closed

    def get(
        self, held: Collection[int] = (), until_s: float | None = None
    ) -> tuple[int, Captured] | None:
        """The next item and its lane.

        Args:
            held: Lanes to leave alone for now.
            until_s: `time.monotonic()` to wait until; None: as long as it takes.

        Returns:
            None where every lane that is not held has finished, or the time is over.

        Raises:
            Closed: The inbox was closed.
        """
        with self._lock:
            while not self._closed:
                left_s = None if until_s is None else until_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                if (lane := self._ready_lane(held)) is not None:
                    item = self._take(self._lanes[lane])
                    if self._blocked:
                        self._room.notify_all()
                    return lane, item
                if self._unfinished.issubset(held):
                    return None
                self._filled.wait(left_s)
            raise Closed

    def backlog(self, lane: int) -> int:
        """Samples that wait on a live lane; 0 for files, which never fall behind."""
        box = self._lanes[lane]
        return box.samples_waiting if box.live else 0

    def is_live(self, lane: int) -> bool:
        """What `set_live` chose."""
        return self._lanes[lane].live

    def waiting(self, lane: int) -> int:
        """Samples that wait on a lane."""
        return self._lanes[lane].samples_waiting

    def dropped(self, lane: int, source: int = 0) -> int:
        """Frames of one of a lane's sources, in order from 0, of which every sample was dropped."""
        return self._lanes[lane].frames_dropped.get(source, 0)

    def close(self) -> None:
        """Wake everybody up and end."""
        with self._lock:
            self._closed = True
            self._filled.ring()
            self._room.notify_all()

    def _wait_for_room(self) -> None:
        # What came before in the same call must be taken first.
        self._filled.ring()
        self._blocked += 1
        try:
            self._room.wait()
        finally:
            self._blocked -= 1

    def _ready_lane(self, held: Collection[int]) -> int | None:
        """The lane that has spent least of those that have something; counts its next item."""
        lane, least = None, math.inf
        for number, box in enumerate(self._lanes):
            if box.items and box.served < least and number not in held:
                lane, least = number, box.served
        if lane is not None:
            self._spent = least
            self._lanes[lane].served += 1 / self._lanes[lane].priority
        return lane

    @staticmethod
    def _take(box: _Lane) -> Captured:
        item = box.items.popleft()
        if isinstance(item, SourceStarted):
            box.sources_taken += 1
            box.last_taken = -1
        if isinstance(item, SampledFrame):
            box.samples_waiting -= 1
            box.last_taken = item.time.index
            if box.lost_before_next:
                box.lost_before_next = False
                return replace(item, gap=True)
        return item


def _drop_oldest(box: _Lane) -> bool:
    """Drop the oldest picture; messages about the source are kept. False where there is none."""
    started = box.sources_taken
    for position, item in enumerate(box.items):
        started += isinstance(item, SourceStarted)
        if isinstance(item, (Frame, SampledFrame)):
            del box.items[position]
            if isinstance(item, SampledFrame):
                box.samples_waiting -= 1
                box.lost_before_next = True
                if not _has_siblings(box, item, position, started == box.sources_taken):
                    source = max(started - 1, 0)
                    box.frames_dropped[source] = box.frames_dropped.get(source, 0) + 1
            return True
    return False


def _has_siblings(box: _Lane, dropped: SampledFrame, position: int, is_taken: bool) -> bool:
    """True where another sample of its frame waits behind it, or was taken before."""
    number = dropped.time.index
    behind = box.items[position] if position < len(box.items) else None
    if isinstance(behind, SampledFrame) and behind.time.index == number:
        return True
    return is_taken and box.last_taken == number


class Outbox(Generic[T]):
    """From the inference thread to the caller: one thread writes, one reads.

    Args:
        capacity: Items that may wait; the writer waits when it is full.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rang_s = -math.inf
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._filled, self._room = Bell(self._lock), Bell(self._lock)
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T, *, at_once: bool = True) -> None:
        """Append one item.

        Args:
            at_once: Wake the reader for it. Else it may sleep until there are several: to wake up,
                beside cold caches, costs more than to read one.

        Raises:
            Closed: Nobody will read it.
        """
        with self._lock:
            while not self._closed and len(self._items) >= self._capacity:
                self._room.wait()
            if self._closed:
                raise Closed
            self._items.append(item)
            now_s = time.monotonic()
            many = 2 * len(self._items) >= self._capacity
            if at_once or many or now_s - self._rang_s > _GATHER_S:
                self._rang_s = now_s
                self._filled.ring()

    def finish(self, error: BaseException | None = None) -> None:
        """No more items will come; `error` is raised in the reader once it has read the rest."""
        with self._lock:
            self._finished = True
            self._error = error
            self._filled.ring()

    def get(self, within_s: float) -> T | None:
        """The next item; None at the end.

        Raises:
            Waiting: None came within that many seconds.
            BaseException: What `finish` was given.
        """
        with self._lock:
            if not self._items and not self._finished:
                self._filled.wait(within_s)
            if self._items:
                item = self._items.popleft()
                self._room.ring()
                return item
            if not self._finished:
                raise Waiting
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def close(self) -> None:
        """The reader is gone."""
        with self._lock:
            self._closed = True
            self._finished = True
            self._items.clear()
            self._filled.ring()
            self._room.ring()
