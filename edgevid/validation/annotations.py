"""What is true: manifests of labelled clips, and of videos with labels over time.

A CSV file has the columns `path`, `label`, `start_s` and `end_s`, as `sources.clip_list`
reads it; several labels of one clip stand in one cell, with `;` between them. A JSON file
lists the segments of one video:

    {"video": "a.mp4", "segments": [{"label": "wave", "start_s": 0.0, "end_s": 2.5}, ...]}

with `start_frame` and `end_frame` instead where `fps` is given. Other keys are left alone.
"""

from __future__ import annotations

import difflib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgevid.errors import SpecError
from edgevid.evaluation import BACKGROUND, Segment
from edgevid.sources.clip_list import ListedClip, located, read_csv
from edgevid.spec import parse

Task = Literal["clips", "segments"]

_ROUNDING_S = 1e-9
_NAMED = 3
"""Unknown labels that a message names."""


@dataclass(frozen=True)
class LabelledClip:
    """A video, or a part of one, and the classes that it shows: numbers of the model's labels."""

    listed: ListedClip
    classes: tuple[int, ...]


@dataclass(frozen=True)
class LabelledVideo:
    """A video and what it shows when: segments in order of time, without overlap.

    Times lie on the video's own clock; the last end may be infinite.
    """

    uri: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Annotations:
    """A manifest that was read and understood.

    Attributes:
        task: `clips`: one answer each; `segments`: labels over time.
        clips, videos: One of them is filled, by task.
        rows: Labelled clips or segments that the manifest lists.
        unknown: Labels that were left out as the model does not know them, with their rows.
    """

    task: Task
    clips: tuple[LabelledClip, ...]
    videos: tuple[LabelledVideo, ...]
    rows: int
    unknown: dict[str, int]


class _Segment(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    label: str = Field(min_length=1)
    start_s: float | None = Field(None, ge=0)
    end_s: float | None = None
    start_frame: int | None = Field(None, ge=0)
    end_frame: int | None = None


class _Video(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    video: str | None = None
    fps: float | None = Field(None, gt=0)
    segments: tuple[_Segment, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _timed(self) -> _Video:
        for number, segment in enumerate(self.segments):
            in_frames = segment.start_frame is not None and segment.end_frame is not None
            in_seconds = segment.start_s is not None and segment.end_s is not None
            if not in_seconds and not in_frames:
                raise ValueError(f"segments.{number}: start_s and end_s are missing")
            if not in_seconds and self.fps is None:
                raise ValueError(f"segments.{number}: start_frame and end_frame need fps")
        return self


class Classes:
    """Looks up the model's classes by label.

    Args:
        labels: The model's.
        skip_unknown: Leave labels out that it does not have, instead of refusing them.
        background: A label that means that nothing happens; need not be the model's.
    """

    def __init__(
        self, labels: Sequence[str], skip_unknown: bool = False, background: str | None = None
    ) -> None:
        self._labels = list(labels)
        # Of classes that share a name the first is taken, as for the runtime's `index`.
        self._numbers = {label: i for i, label in reversed(list(enumerate(labels)))}
        self._skip_unknown = skip_unknown
        if background is not None:
            self._numbers[background] = BACKGROUND
        self.unknown: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def split(self, cell: str) -> list[str]:
        """The labels of one cell: `a;b` are two, unless the model has a label of that name."""
        names = [cell] if cell in self._numbers else cell.split(";")
        return [name.strip() for name in names if name.strip()]

    def find(self, label: str, where: str) -> int | None:
        """The class of a label; None where the model does not have it, which is counted."""
        number = self._numbers.get(label)
        if number is None:
            self.unknown[label] = self.unknown.get(label, 0) + 1
            self._first.setdefault(label, where)
        return number

    def check(self) -> None:
        """Raise SpecError where labels were not found and are not to be skipped."""
        if not self.unknown or self._skip_unknown:
            return
        names = [f"{label!r} ({self._first[label]})" for label in list(self.unknown)[:_NAMED]]
        more = len(self.unknown) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        label = next(iter(self.unknown))
        near = difflib.get_close_matches(label, self._labels, n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]!r}?" if near else f"It knows {_few(self._labels)}."
        raise SpecError(
            f"the model does not know {len(self.unknown)} of the labels: {listed}",
            f"{hint} Correct them, or leave their rows out with --skip-unknown",
        )


def read_annotations(
    path: Path,
    classes: Classes,
    *,
    task: Task | None = None,
    root: Path | None = None,
    video: str | None = None,
) -> Annotations:
    """Read a manifest, CSV or JSON.

    Args:
        path: Of the manifest; JSON by its suffix, else CSV.
        classes: The model's.
        task: None: `segments` for JSON, and for a CSV in which some video has several rows
            with times; else `clips`.
        root: The folder that its paths are relative to; None: the manifest's own.
        video: For JSON: the video, where the file does not name it.

    Raises:
        SpecError: It cannot be read, or holds something that cannot be right: a row without
            a label, a label that the model does not know, a segment that ends before it
            starts or overlaps another one.
    """
    if path.suffix.lower() == ".json":
        if task == "clips":
            raise SpecError(f"{path} lists segments of one video", "Leave --task clips out")
        videos = _read_json(path, classes, root or path.parent, video)
        rows = sum(len(v.segments) for v in videos) + sum(classes.unknown.values())
        return _checked(path, Annotations("segments", (), videos, rows, classes.unknown), classes)
    if video is not None:
        raise SpecError("--video belongs to a JSON manifest", "Name the video in the CSV file")
    listed = read_csv(path, root, must_exist=False)
    for clip in listed:
        if not clip.label:
            raise SpecError(f"{path}, row {clip.row}: 'label' is missing", "Give every row one")
    kind = task or _task_of(listed)
    clips = _clips(path, listed, classes) if kind == "clips" else ()
    videos = _videos(path, listed, classes) if kind == "segments" else ()
    return _checked(path, Annotations(kind, clips, videos, len(listed), classes.unknown), classes)


def _checked(path: Path, annotations: Annotations, classes: Classes) -> Annotations:
    """Raise SpecError where labels are unknown, or nothing is left of the manifest."""
    classes.check()
    if not annotations.clips and not any(v.segments for v in annotations.videos):
        raise SpecError(
            f"the model knows none of the labels of {path}", "Check that they belong together"
        )
    return annotations


def _task_of(listed: Sequence[ListedClip]) -> Task:
    parts: dict[str, int] = defaultdict(int)
    for clip in listed:
        parts[clip.video] += clip.start_s > 0 or math.isfinite(clip.end_s)
    return "segments" if max(parts.values()) > 1 else "clips"


def _clips(path: Path, listed: Sequence[ListedClip], classes: Classes) -> tuple[LabelledClip, ...]:
    seen: dict[tuple[str, float, float], int] = {}
    clips = []
    for clip in listed:
        key = (clip.video, clip.start_s, clip.end_s)
        if key in seen:
            raise SpecError(
                f"{path}, row {clip.row}: the same clip stands in row {seen[key]}",
                "Leave one of them out; several labels of a clip go into one cell: a;b",
            )
        seen[key] = clip.row
        found = [classes.find(n, f"row {clip.row}") for n in classes.split(clip.label or "")]
        if None not in found:
            clips.append(LabelledClip(clip, tuple(n for n in found if n is not None)))
    return tuple(clips)


def _videos(
    path: Path, listed: Sequence[ListedClip], classes: Classes
) -> tuple[LabelledVideo, ...]:
    rows: dict[str, list[ListedClip]] = defaultdict(list)
    for clip in listed:
        rows[clip.video].append(clip)
    videos = []
    for clips in rows.values():
        segments = []
        for clip in clips:
            where = f"row {clip.row}"
            number = classes.find(clip.label or "", where)
            if number is not None:
                segments.append((Segment(number, clip.start_s, clip.end_s), where))
        _check_order(str(path), segments)
        videos.append(LabelledVideo(clips[0].uri, _ordered(segments)))
    return tuple(videos)


def _read_json(
    path: Path, classes: Classes, root: Path, video: str | None
) -> tuple[LabelledVideo, ...]:
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise SpecError(f"{path} cannot be read: {exc.strerror}", "Check the path") from None
    except (ValueError, RecursionError) as exc:
        raise SpecError(f"{path} is not JSON: {exc}", "See docs/eval.md for its form") from None
    listed: _Video = parse(_Video, data, str(path))
    if video is None and listed.video is None:
        raise SpecError(f"{path} does not name its video", "Name it with --video FILE")
    uri = video if video is not None else located(str(listed.video), root)
    segments = []
    for index, entry in enumerate(listed.segments):
        where = f"segment {index + 1}"
        number = classes.find(entry.label, where)
        if number is not None:
            segments.append((Segment(number, *_times(entry, listed.fps)), where))
    _check_order(str(path), segments)
    return (LabelledVideo(uri, _ordered(segments)),)


def _times(entry: _Segment, fps: float | None) -> tuple[float, float]:
    if entry.start_s is not None and entry.end_s is not None:
        return entry.start_s, entry.end_s
    assert entry.start_frame is not None
    assert entry.end_frame is not None
    assert fps is not None
    return entry.start_frame / fps, entry.end_frame / fps


def _check_order(path: str, segments: Sequence[tuple[Segment, str]]) -> None:
    for segment, where in segments:
        if segment.end_s <= segment.start_s:
            raise SpecError(
                f"{path}, {where}: it ends at {segment.end_s:g} s, before it starts at "
                f"{segment.start_s:g} s",
                "Correct its times",
            )
    ordered = sorted(segments, key=lambda item: item[0].start_s)
    for (one, first), (other, second) in pairwise(ordered):
        if other.start_s < one.end_s - _ROUNDING_S:
            raise SpecError(
                f"{path}, {second}: it starts at {other.start_s:g} s, before {first} ends at "
                f"{one.end_s:g} s",
                "A moment has one label: let segments follow each other. Where every row is a clip "
                "of its own, say --task clips",
            )


def _ordered(segments: Sequence[tuple[Segment, str]]) -> tuple[Segment, ...]:
    return tuple(sorted((s for s, _ in segments), key=lambda s: s.start_s))


def _few(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:5])
    return f"{shown} and {len(labels) - 5} more" if len(labels) > 5 else shown
