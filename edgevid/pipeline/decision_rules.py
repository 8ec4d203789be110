"""What decides, as the user says it, made ready for a model's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid.events import EventRules, parse_events
from edgevid.smoothing import SmootherFactory, parse_smoother


@dataclass(frozen=True)
class DecisionRules:
    """A smoother and the rules of events.

    Attributes:
        smooth, events: As they were said.
        new_smoother: Makes the smoother of one stream.
        event_rules: For each class; None: no events.
    """

    smooth: str
    events: tuple[str, ...]
    new_smoother: SmootherFactory
    event_rules: EventRules | None


def read_rules(
    smooth: str,
    events: Sequence[str],
    labels: Sequence[str],
    multi_label: bool,
    folder: Path | None = None,
) -> DecisionRules:
    """Read both; `folder` is where files lie that the smoother names.

    Raises:
        SpecError: One of them cannot be right, or does not go with the model.
    """
    return DecisionRules(
        smooth=smooth,
        events=tuple(events),
        new_smoother=parse_smoother(smooth, labels=labels, multi_label=multi_label, folder=folder),
        event_rules=parse_events(events, labels) if events else None,
    )
