"""What an evaluation found: the schema of `edgevid eval --json` (docs/eval.schema.json).

Shares are from 0 to 1 and times in seconds. A figure that cannot be computed (a class without
clips has no recall) is null.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from edgevid.evaluation import CalibrationBin, StreamFigures
from edgevid.manifest import Precision
from edgevid.spec import Strict

SCHEMA_VERSION: Literal[1] = 1


class BundleInfo(Strict):
    """What was evaluated."""

    name: str = Field(description="Folder of the bundle, without its path.")
    model: str
    precision: Precision
    classes: int
    manifest_sha256: str = Field(description="Of manifest.json: changes with every conversion.")
    graphs: dict[str, str] = Field(description="SHA-256 of each graph that runs, by file.")


class ManifestInfo(Strict):
    """What it was evaluated on."""

    name: str = Field(description="File, without its path.")
    sha256: str
    rows: int = Field(description="Labelled clips or segments that it lists.")
    unknown_labels: dict[str, int] = Field(
        description="Labels that the model does not know, left out, with their rows."
    )


class Protocol(Strict):
    """How answers were made."""

    task: Literal["clips", "segments"]
    clips: int = Field(1, description="Windows averaged for one answer (clips).")
    overlap: float | None = Field(None, description="Instead: the overlap of successive ones.")
    crops: int = 1
    smooth: str = Field("none", description="Smoothing (segments).")
    window_s: float | None = Field(None, description="Where it was asked for (segments).")
    hop_s: float | None = Field(None, description="Where it was asked for (segments).")
    frame_interval: int | None = Field(None, description="Where it was asked for (segments).")
    background: str | None = Field(None, description="The label that means nothing happens.")


class Problem(Strict):
    """A clip or video that was not evaluated."""

    video: str
    reason: str


class Requirement(Strict):
    """What `--require` asks of a figure."""

    figure: str
    relation: Literal[">=", "<="]
    limit: float
    value: float | None = Field(None, description="What it is; null where there is none.")
    met: bool = False


class ClassResult(Strict):
    """One class: see `edgevid.evaluation.ClassFigures`."""

    label: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None = Field(None, description="Of multi-label models.")


class ClipAnswer(Strict):
    """The answer to one clip."""

    video: str
    start_s: float
    end_s: float | None = Field(description="null: the end of the video.")
    labels: tuple[str, ...] = Field(description="What is true.")
    predicted: tuple[str, ...] = Field(description="The best class; those at 0.5 or above.")
    score: float = Field(description="The best score.")
    rank: int | None = Field(description="Of the true class, 1 for right; null if multi-label.")
    views: int = Field(description="Windows and crops averaged.")
    dropped: int = Field(description="Views left out as their scores were NaN or infinite.")
    padded: int = Field(description="Frames repeated, as the clip is shorter than a window.")


class ClipResults(Strict):
    """Figures of clips with one answer each."""

    clips: int
    multi_label: bool
    top1: float | None
    top1_low: float | None = Field(description="95 % Wilson interval, lower end.")
    top1_high: float | None = Field(description="95 % Wilson interval, upper end.")
    top5: float | None = Field(description="null with five classes or fewer.")
    mean_class_accuracy: float | None
    mean_ap: float | None = Field(description="Mean average precision of a multi-label model.")
    calibration_error: float | None
    calibration: tuple[CalibrationBin, ...]
    classes: tuple[ClassResult, ...]
    confusion: tuple[tuple[int, ...], ...] | None = Field(
        description="Row: true class, column: predicted; null if multi-label."
    )
    answers: tuple[ClipAnswer, ...]


class Span(Strict):
    """A label over time; null: none."""

    label: str | None
    start_s: float
    end_s: float


class VideoResult(Strict):
    """One annotated video."""

    video: str
    duration_s: float
    windows: int
    dropped: int = Field(description="Windows left out as their scores were NaN or infinite.")
    truth: tuple[Span, ...]
    raw: tuple[Span, ...]
    smoothed: tuple[Span, ...] | None = Field(description="null without smoothing.")


class SegmentResults(Strict):
    """Figures of labels over time."""

    raw: StreamFigures = Field(description="Window by window.")
    smoothed: StreamFigures | None = Field(description="null without smoothing.")
    videos: tuple[VideoResult, ...]


class Evaluation(Strict):
    """Everything that an evaluation found.

    Attributes:
        complete: Every clip or video of the manifest was evaluated.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    edgevid_version: str
    bundle: BundleInfo
    manifest: ManifestInfo
    protocol: Protocol
    engine: str
    started: AwareDatetime
    seconds: float
    environment: dict[str, str]
    problems: tuple[Problem, ...] = Field(description="What was not evaluated, and why.")
    notes: tuple[str, ...]
    requirements: tuple[Requirement, ...] = ()
    clips: ClipResults | None = None
    segments: SegmentResults | None = None

    @property
    def complete(self) -> bool:
        return not self.problems


def evaluation_schema() -> dict[str, Any]:
    """The JSON Schema of `edgevid eval --json`, as docs/eval.schema.json publishes it."""
    return Evaluation.model_json_schema()
