"""What people see: live lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from edgevid.errors import OutputError
from edgevid.protocols import Sink
from edgevid.sinks.console import ConsoleSink
from edgevid.sinks.text import plain_ascii, printable, shorten_left

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class _Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _terminal(width: int = 110, height: int = 10) -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, force_interactive=True, width=width, height=height
    )
    return console, screen


def _last_screen(screen: io.StringIO) -> list[str]:
    """The lines of the last redraw, without their colours."""
    last = screen.getvalue().split("\x1b[2K")[-1]
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).splitlines()]


def test_plain_lines_one_for_every_change(predict) -> None:
    out = io.StringIO()
    sink: Sink = ConsoleSink(Console(file=out, width=20))
    for i, label in enumerate(["up", "up", "clockwise", "clockwise", "up"]):
        sink.write(predict(i, label, source="a [red]very[/red] long/name.mp4"))
    sink.close()
    assert out.getvalue() == (
        "a [red]very[/red] long/name.mp4\n"
        "    1.97 s  up  0.75\n"
        "    2.97 s  clockwise  0.75\n"
        "    3.97 s  up  0.75\n"
    )


def test_plain_lines_of_several_sources_say_whose_they_are(predict) -> None:
    out = io.StringIO()
    sink = ConsoleSink(Console(file=out))
    for i, source, label in [
        (0, "a", "up"), (0, "b", "up"), (1, "a", "up"), (1, "b", "down"), (2, "a", "left"),
    ]:  # fmt: skip
        sink.write(predict(i, label, source=source))
    assert out.getvalue().splitlines() == [
        "a",
        "    1.97 s  up  0.75",
        "b",
        "    1.97 s  up  0.75",
        "    2.47 s  down  0.75",
        "a",
        "    2.97 s  left  0.75",
    ]


def test_a_label_cannot_move_the_cursor(predict) -> None:
    out = io.StringIO()
    sink = ConsoleSink(Console(file=out))
    sink.write(replace(predict(), label="evil\x1b[2J\nline"))
    assert "\x1b" not in out.getvalue()
    assert len(out.getvalue().splitlines()) == 2


def test_live_line_shows_label_score_raw_label_and_time(predict) -> None:
    console, screen = _terminal()
    sink = ConsoleSink(console)
    sink.write(predict(3, "clockwise", source="cam0"))
    sink.close()
    (line,) = _last_screen(screen)
    assert re.match(r"cam0 +3\.47 s +clockwise +0\.75 +━{15}─{5} +raw: grow 0\.75$", line), line


def test_live_line_hides_an_equal_raw_label(predict) -> None:
    console, screen = _terminal()
    sink = ConsoleSink(console)
    sink.write(replace(predict(), raw_label="clockwise"))
    sink.close()
    assert "raw" not in _last_screen(screen)[0]


def test_rate_is_measured_by_the_clock(predict) -> None:
    console, screen = _terminal()
    clock = _Clock()
    sink = ConsoleSink(console, clock)
    for i in range(100):
        sink.write(predict(i, source="fast"))
        if i % 4 == 0:
            sink.write(predict(i, source="slow"))
        clock.now_s += 0.02
    sink.close()
    fast, slow = _last_screen(screen)
    assert "50.0/s" in fast
    assert "12.5/s" in slow


@pytest.mark.parametrize(("score", "filled"), [(float("nan"), 0), (-1, 0), (0.5, 10), (1.2, 20)])
def test_the_bar_stays_within_its_ends(predict, score: float, filled: int) -> None:
    console, screen = _terminal()
    sink = ConsoleSink(console)
    sink.write(replace(predict(), score=score))
    sink.close()
    assert _last_screen(screen)[0].count("━") == filled


def test_one_prediction_has_no_rate(predict) -> None:
    console, screen = _terminal()
    sink = ConsoleSink(console)
    sink.write(predict())
    sink.close()
    assert "/s" not in _last_screen(screen)[0]


def test_redraws_at_most_ten_times_a_second_and_ends_on_the_last_state(predict) -> None:
    console, screen = _terminal()
    clock = _Clock()
    sink = ConsoleSink(console, clock)
    for i in range(1001):  # 4 seconds
        sink.write(predict(i))
        clock.now_s += 0.004
    before_close = screen.getvalue().count("cam0")
    assert 30 <= before_close <= 41
    sink.close()
    assert "501.97 s" in _last_screen(screen)[0]


def test_the_terminal_is_given_back(predict) -> None:
    console, screen = _terminal()
    sink = ConsoleSink(console)
    assert screen.getvalue() == "", "nothing is touched before there is something to show"
    sink.write(predict())
    assert screen.getvalue().count(HIDE_CURSOR) == 1
    assert SHOW_CURSOR not in screen.getvalue()
    sink.close()
    sink.close()
    assert screen.getvalue().count(SHOW_CURSOR) == 1
    assert screen.getvalue().rstrip("\n").endswith(SHOW_CURSOR)


def test_more_sources_than_lines_keep_to_the_screen(predict) -> None:
    console, screen = _terminal(height=5)
    sink = ConsoleSink(console)
    for i in range(12):
        sink.write(predict(0, source=f"clip{i:02d}"))
    sink.close()
    assert [line.split()[0] for line in _last_screen(screen)] == [
        f"clip{i:02d}" for i in range(8, 12)
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_narrow_terminal_keeps_one_line_a_source(predict, width: int) -> None:
    console, screen = _terminal(width=width)
    sink = ConsoleSink(console)
    sink.write(predict(source="rtsp://a.very.long.host.name:8554/stream/of/some/kind"))
    sink.close()
    (line,) = _last_screen(screen)
    assert len(line) <= width
    if width >= 60:
        assert "1.97 s  clockwise  0.75" in line


def test_standard_output_is_left_alone_when_the_line_is_elsewhere(predict, capsys) -> None:
    console, screen = _terminal()
    sink = ConsoleSink(console)
    sink.write(predict())
    print("a result")
    sink.close()
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in screen.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_console_that_cannot_be_written(predict, terminal: bool) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        file = io.TextIOWrapper(full, write_through=True)
        console = Console(file=file, force_terminal=terminal, force_interactive=terminal)
        sink = ConsoleSink(console)
        with pytest.raises(OutputError, match="No space left"):
            sink.write(predict())


@pytest.mark.parametrize(
    ("text", "expected"),
    [("épée", "epee"), ("左 links", "? links"), ("a\nb\x1b", "a?b?"), ("ﬁve½", "five1?2")],
)
def test_plain_ascii(text: str, expected: str) -> None:
    assert plain_ascii(text) == expected


def test_printable_keeps_other_scripts() -> None:
    assert printable("左 épée\t\x07") == "左 épée��"


def test_shorten_left_keeps_the_end() -> None:
    assert shorten_left("folder/clip.mp4", 8) == "…lip.mp4"
    assert shorten_left("clip.mp4", 8) == "clip.mp4"
