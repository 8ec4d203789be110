"""What a caller requires of the figures: `top1>=0.9`, `switches<=4`."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

from edgevid.errors import SpecError
from edgevid.evaluation import StreamFigures
from edgevid.validation.annotations import Task
from edgevid.validation.results import ClipResults, Requirement, SegmentResults

_FORM = re.compile(r"([a-z0-9_@.]+)\s*(>=|<=)\s*([0-9.]+(?:e-?[0-9]+)?)")
_HOLDS = {">=": operator.ge, "<=": operator.le}

_OF_CLIPS = ("top1", "top5", "mean_class_accuracy", "mean_ap", "calibration_error")
_OF_STREAMS = (
    "frame_accuracy", "f1@10", "f1@25", "f1@50", "edit_score",
    *(f"map@0.{i}" for i in range(1, 8)),
    "onset_delay_s", "max_onset_delay_s", "missed", "switches", "switches_per_minute",
)  # fmt: skip


def read_requirements(texts: Sequence[str], task: Task) -> list[Requirement]:
    """Requirements whose value is not known yet.

    Raises:
        SpecError: One is not of the form NAME>=NUMBER or NAME<=NUMBER, or names no figure of
            the task.
    """
    known = _OF_CLIPS if task == "clips" else _OF_STREAMS
    found = []
    for text in texts:
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise SpecError(f"--require {text!r} cannot be read", "Write it as 'top1>=0.9'")
        name, relation, number = match.groups()
        if name not in known:
            raise SpecError(
                f"--require {text!r}: {task} have no figure {name!r}",
                f"Choose from {', '.join(known)}",
            )
        found.append(Requirement(figure=name, relation=relation, limit=_number(number, text)))
    return found


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"--require {whole!r}: {text!r} is no number") from None


def judged(
    requirements: Sequence[Requirement],
    clips: ClipResults | None,
    segments: SegmentResults | None,
) -> tuple[Requirement, ...]:
    """The requirements with their values, those of smoothed labels where there are any.

    A figure that cannot be computed meets nothing.
    """
    values: dict[str, float | None] = {}
    if clips is not None:
        values = {name: getattr(clips, name) for name in _OF_CLIPS}
    if segments is not None:
        values = _stream_values(segments.smoothed or segments.raw)
    return tuple(_judged(r, values[r.figure]) for r in requirements)


def _judged(requirement: Requirement, value: float | None) -> Requirement:
    met = value is not None and _HOLDS[requirement.relation](value, requirement.limit)
    return requirement.model_copy(update={"value": value, "met": met})


def _stream_values(f: StreamFigures) -> dict[str, float | None]:
    plain = ("frame_accuracy", "edit_score", "onset_delay_s", "max_onset_delay_s", "missed")
    return {
        **{name: getattr(f, name) for name in (*plain, "switches", "switches_per_minute")},
        **{f"f1@{100 * overlap:g}": value for overlap, value in f.f1.items()},
        **{f"map@{overlap:g}": value for overlap, value in f.mean_ap.items()},
    }
