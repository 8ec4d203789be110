"""Videos of moving shapes: one motion each, to calibrate, to judge and to measure on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edgevid.benchmarks.demo_clip import encode
from edgevid.benchmarks.demo_data import HELD_OUT_SIZE, motion_of
from edgevid.benchmarks.reference.data import FPS, FRAME_INTERVAL, NUM_FRAMES, in_parallel
from edgevid.sources.moving_shapes import MOTIONS, Scene

FRAMES = NUM_FRAMES * FRAME_INTERVAL
"""Of every video: one window of the longest family."""

LIST = "videos.csv"


def render_videos(folder: Path, seeds: Sequence[int]) -> Path:
    """Write an MP4 file for each seed and a CSV file that lists them with their motions.

    Returns:
        The CSV file. Where it is there already, nothing is done.
    """
    table = folder / LIST
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    names = in_parallel(partial(_write, folder), seeds)
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        rows.writerows(zip(names, (MOTIONS[motion_of(seed)] for seed in seeds), strict=True))
    return table


def truth(table: Path) -> dict[str, str]:
    """File name to motion."""
    with table.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["label"] for row in csv.DictReader(file)}


def _write(folder: Path, seed: int) -> str:
    scene = Scene(MOTIONS[motion_of(seed)], seed, HELD_OUT_SIZE)
    frames = (scene.frame(i / FPS) for i in range(FRAMES))
    name = f"{seed}.mp4"
    (folder / name).write_bytes(encode(frames, round(FPS), HELD_OUT_SIZE))
    return name
