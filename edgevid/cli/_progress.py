"""Progress of long work: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINE_EVERY_S = 10.0


@contextmanager
def progress_bar(
    text: str, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[float, int], None]]:
    """Gives a function that is called with what is done, and of how much.

    On stderr. Elsewhere than on a terminal, a line comes every 10 s, so that short work says
    nothing and a log shows that long work lives.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(text, console, clock)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(text, total=None, count="")

        def show(done: float, total: int) -> None:
            bar.update(task, completed=done, total=total, count=f"{int(done)}/{total}")

        yield show


class _Lines:
    """Prints a line now and then."""

    def __init__(self, text: str, console: object, clock: Callable[[], float]) -> None:
        self._text = text
        self._print: Callable[[str], None] = console.print  # type: ignore[attr-defined]
        self._clock = clock
        self._started = self._last = clock()

    def __call__(self, done: float, total: int) -> None:
        now = self._clock()
        if now - self._last < _LINE_EVERY_S or not done:
            return
        self._last = now
        left_s = (now - self._started) * (total - done) / done
        self._print(f"{self._text}: {done / total:.0%} of {total}, {left_s:.0f} s left")
