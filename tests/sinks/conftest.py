"""Predictions and real clips for the sinks' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgevid.types import Prediction, StageTimings

LABELS = ("left", "right", "up", "down", "clockwise", "grow")

MakePrediction = Callable[..., Prediction]


@pytest.fixture
def labels() -> tuple[str, ...]:
    return LABELS


@pytest.fixture
def predict() -> MakePrediction:
    """Makes the prediction of window `index` whose best class is `label`."""

    def make(
        index: int = 0, label: str = "clockwise", source: str = "cam0", score: float = 0.75
    ) -> Prediction:
        rest = (1.0 - score) / (len(LABELS) - 1)
        smoothed = np.full(len(LABELS), rest, np.float32)
        smoothed[LABELS.index(label)] = score
        raw = np.roll(smoothed, 1)
        return Prediction(
            source_id=source,
            index=index,
            start_s=index * 0.5,
            end_s=index * 0.5 + 1.9666666667,
            scores=raw,
            smoothed=smoothed,
            label=label,
            score=float(smoothed.max()),
            raw_label=LABELS[int(raw.argmax())],
            raw_score=float(raw.max()),
            timings=StageTimings(1.23456, 0.5, 2.0, 8.25, 0.1, 12.08456),
        )

    return make


@pytest.fixture(scope="session")
def clips() -> Path:
    folder = Path(__file__).parents[2] / "../shared/data/clips"
    if not folder.is_dir():
        pytest.skip("real clips are not there: ../shared/data/clips")
    return folder.resolve()
