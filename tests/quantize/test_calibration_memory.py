"""Calibration's peak memory, measured in processes of its own."""

from __future__ import annotations

import re

from edgevid.benchmarks.calibration_memory import main, measure, render


def test_memory_does_not_grow_with_the_clips():
    """One clip's activations are 30 MiB: kept for six more, they would nearly double the peak."""
    few, many = measure([2, 8], "entropy")
    assert (few.clips, many.clips) == (2, 8)
    assert many.peak_mib < 1.15 * few.peak_mib
    last = render([few, many]).splitlines()[-1]
    ratio = re.fullmatch(r"ratio of the peaks, 8 to 2 clips: (\d\.\d{3})", last)
    assert ratio
    assert abs(float(ratio[1]) - many.peak_mib / few.peak_mib) < 1e-3


def test_the_command_prints_a_line_for_each_count(capsys):
    assert main(["--clips", "1", "--method", "minmax"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +1 clips of 16x112x112, minmax: peak +[\d.]+ MiB, +[\d.]+ s", lines[0])
    assert lines[1] == "ratio of the peaks, 1 to 1 clips: 1.000"
