"""Predictions for people: a live line per source on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from edgevid.errors import OutputError
from edgevid.sinks.text import printable, shorten_left
from edgevid.types import Event, Outage, Prediction

REFRESH_S = 0.1
_RATE_WINDOW = 30
_BAR_WIDTH = 20
_SOURCE_WIDTH = 24
_LABEL_WIDTH = 32

Clock = Callable[[], float]


class ConsoleSink:
    """Shows what is seen now.

    On a terminal, one line for every source: time, label, score, the raw label where it
    differs, predictions a second; redrawn at most ten times a second. Elsewhere (a file, a
    pipe) one line for every change of label, under the name of the source:

        demo.mp4
            1.97 s  clockwise  0.98

    Args:
        console: Where to write; its file decides between terminal and plain lines.
        clock: Seconds that never run backwards.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._view: _Live | _Plain = (
            _Live(console, clock) if console.is_interactive else _Plain(console)
        )

    def write(self, prediction: Prediction) -> None:
        """Show one prediction.

        Raises:
            OutputError: The console's file cannot be written.
        """
        with _output_errors():
            self._view.write(prediction)

    def write_outage(self, outage: Outage) -> None:
        """Say that a source was lost, or is back.

        Raises:
            OutputError: The console's file cannot be written.
        """
        with _output_errors():
            self._console.print(Text(_outage_sentence(outage), "yellow"))

    def write_event(self, event: Event) -> None:
        """Say that an event began or ended.

        Raises:
            OutputError: The console's file cannot be written.
        """
        with _output_errors():
            self._console.print(Text(_event_sentence(event), "green"))

    def close(self) -> None:
        """Show the last state and give the terminal back."""
        with _output_errors():
            self._view.close()


def _event_sentence(event: Event) -> str:
    label = printable(event.label)
    if event.end_s is None:
        return f"{event.start_s:8.2f} s  event: {label} begins"
    span = f"{event.start_s:.2f} - {event.end_s:.2f} s"
    return f"{event.end_s:8.2f} s  event: {label} {span}, peak {event.peak_score:.2f}"


def _outage_sentence(outage: Outage) -> str:
    source = printable(outage.source_id)
    if outage.lasted_s is None:
        said = f"was lost at {outage.at_s:.2f} s" if outage.is_loss else "is still away"
        return f"{source} {said}: {printable(outage.reason)}"
    return f"{source} is back after {outage.lasted_s:.1f} s"


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise OutputError(f"cannot write to the console: {exc.strerror or exc}") from None


class _Plain:
    """One line for every change of label."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._labels: dict[str, str] = {}
        self._heading: str | None = None

    def write(self, prediction: Prediction) -> None:
        source = prediction.source_id
        if self._labels.get(source) == prediction.label:
            return
        self._labels[source] = prediction.label
        if self._heading != source:
            self._heading = source
            self._console.out(printable(source), highlight=False)
        self._console.out(
            f"{prediction.end_s:8.2f} s  {printable(prediction.label)}  {prediction.score:.2f}",
            highlight=False,
        )

    def close(self) -> None:
        """Every line is out already."""


@dataclass
class _Row:
    """The newest prediction of a source, and when the last ones came."""

    newest: Prediction
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_WINDOW))

    @property
    def rate(self) -> float | None:
        """Predictions a second over the last ones; None before there are two."""
        span = self.arrivals[-1] - self.arrivals[0]
        return (len(self.arrivals) - 1) / span if span > 0 else None


class _Live:
    """One line for every source, redrawn in place."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._live: Live | None = None
        self._drawn_at = 0.0
        self._source_width = 0
        self._label_width = 0

    def write(self, prediction: Prediction) -> None:
        now = self._clock()
        row = self._rows.setdefault(prediction.source_id, _Row(prediction))
        row.newest = prediction
        row.arrivals.append(now)
        # Columns only ever grow: what follows a label must not jump with it.
        self._source_width = _wider(self._source_width, prediction.source_id, _SOURCE_WIDTH)
        self._label_width = _wider(self._label_width, prediction.label, _LABEL_WIDTH)
        if self._live is None:
            self._live = self._start()
        elif now - self._drawn_at < REFRESH_S:
            return
        self._drawn_at = now
        self._live.update(self._lines(), refresh=True)

    def close(self) -> None:
        if self._live is None:
            return
        live, self._live = self._live, None
        try:
            live.update(self._lines(), refresh=True)
        finally:
            live.stop()

    def _start(self) -> Live:
        # Only a stream that shares the terminal line may be rerouted above it: with results
        # piped to a file and this line on stderr, standard output must stay untouched.
        live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=self._console.file is sys.stdout,
            redirect_stderr=self._console.file is sys.stderr,
        )
        live.start()
        return live

    def _lines(self) -> Group:
        # What does not fit on the screen cannot be redrawn in place: the newest sources stay.
        rows = list(self._rows.values())[-max(self._console.height - 1, 1) :]
        return Group(*(self._line(row) for row in rows))

    def _line(self, row: _Row) -> Text:
        newest = row.newest
        source = shorten_left(printable(newest.source_id), _SOURCE_WIDTH)
        filled = _filled(newest.score)
        full, empty = "━─" if self._console.encoding.startswith("utf") else "#."
        rate = "" if row.rate is None else f"{row.rate:.1f}/s"
        differs = newest.raw_label != newest.label
        raw = f"raw: {printable(newest.raw_label)} {newest.raw_score:.2f}" if differs else ""
        return Text.assemble(
            (set_cell_size(source, self._source_width), "cyan"),
            f"{newest.end_s:9.2f} s  ",
            (set_cell_size(printable(newest.label), self._label_width), "bold"),
            f"  {newest.score:.2f}  ",
            (full * filled, "green"),
            (empty * (_BAR_WIDTH - filled), "bright_black"),
            (f"  {rate:>8}  ", "dim"),
            (raw, "yellow"),
            no_wrap=True,
            overflow="ellipsis",
        )


def _wider(width: int, text: str, limit: int) -> int:
    return max(width, min(cell_len(text), limit))


def _filled(score: float) -> int:
    """Length of the bar; empty for a score that is no number."""
    return round(_BAR_WIDTH * min(max(score, 0.0), 1.0)) if math.isfinite(score) else 0
