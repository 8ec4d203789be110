"""The grammar of `--events`: `onset=0.6,offset=0.4,min=0.5s,merge=0.3s`.

With a label and a colon before it (`wave: onset=0.7`) a rule is for that label alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from edgevid.errors import SpecError
from edgevid.types import Float32Array

HINT = 'Write --events "onset=0.6,offset=0.4,min=0.5s,merge=0.3s", or "LABEL: onset=0.7" for one'

MAX_TIME_S = 3600.0

_SHARE = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)", re.ASCII)


@dataclass(frozen=True)
class EventRule:
    """When an event of a label begins and ends.

    Attributes:
        onset: It begins at the first window whose score is at least this.
        offset: It ends at the first window whose score is below this; at most `onset`.
        min_s: Shorter ones are left out.
        merge_s: One that begins again within this time has not ended.
    """

    onset: float = 0.5
    offset: float = 0.5
    min_s: float = 0.0
    merge_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("onset", "offset"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name):g} must be from 0 to 1")
        if self.offset > self.onset:
            raise ValueError(
                f"offset {self.offset:g} lies above onset {self.onset:g}: "
                "an event would end before it begins"
            )
        for name in ("min_s", "merge_s"):
            if not 0 <= getattr(self, name) <= MAX_TIME_S:
                shown = name.removesuffix("_s")
                raise ValueError(f"{shown} must be from 0s to {MAX_TIME_S:g}s")

    def __str__(self) -> str:
        """As `--events` takes it."""
        return (
            f"onset={self.onset:g},offset={self.offset:g},min={self.min_s:g}s,"
            f"merge={self.merge_s:g}s"
        )


class EventRules:
    """One rule for each class; None: no events of it.

    Args:
        rules: In the order of the scores.
    """

    def __init__(self, rules: Sequence[EventRule | None]) -> None:
        self.rules = tuple(rules)
        # In float32, as scores are: 0.7 is 0.7 then. Where there is no rule nothing begins.
        self.onsets: Float32Array = np.array(
            [np.inf if r is None else r.onset for r in self.rules], np.float32
        )
        self.offsets: Float32Array = np.array(
            [np.inf if r is None else r.offset for r in self.rules], np.float32
        )


def parse_events(texts: Sequence[str], labels: Sequence[str]) -> EventRules:
    """Read the rules of `--events`, which may be given several times.

    Args:
        texts: Each a rule for all labels, or for one (`LABEL: ...`), which then goes first.
        labels: One name per class, in the order of the scores.

    Raises:
        SpecError: A rule cannot be right, names an unknown label, or is given twice.
    """
    common: EventRule | None = None
    own: dict[str, EventRule] = {}
    for text in texts:
        label, rule = _parse(text, labels)
        if label is None and common is not None:
            raise SpecError(f"--events {text!r}: there is a rule for all labels already", HINT)
        if label in own:
            raise SpecError(f"--events {text!r}: there is a rule for {label!r} already", HINT)
        if label is None:
            common = rule
        else:
            own[label] = rule
    return EventRules([own.get(label, common) for label in labels])


def _parse(text: str, labels: Sequence[str]) -> tuple[str | None, EventRule]:
    # No key holds a colon, but a label may.
    name, colon, words = text.rpartition(":")
    label = name.strip() if colon else None
    if label is not None and label not in labels:
        near = difflib.get_close_matches(label, labels, n=1)
        meant = f"Did you mean {near[0]!r}?" if near else "See `edgevid inspect`"
        raise SpecError(f"--events {text!r}: the model has no label {label!r}", meant)
    try:
        return label, _rule(words)
    except ValueError as exc:
        raise SpecError(f"--events {text!r}: {exc}", HINT) from None


def _rule(words: str) -> EventRule:
    said: dict[str, float] = {}
    names = {f.name.removesuffix("_s"): f.name for f in fields(EventRule)}
    for word in words.split(","):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals or key not in names:
            raise ValueError(f"{word.strip()!r} is none of {', '.join(f'{n}=' for n in names)}")
        if names[key] in said:
            raise ValueError(f"{key} is given twice")
        said[names[key]] = _time(key, value) if names[key].endswith("_s") else _share(key, value)
    said.setdefault("offset", said.get("onset", EventRule.onset))
    return EventRule(**said)


def _share(key: str, text: str) -> float:
    if not _SHARE.fullmatch(text):
        raise ValueError(f"{key} takes a score from 0 to 1, not {text!r}")
    return float(text)


def _time(key: str, text: str) -> float:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{key} takes a time such as 0.5s, not {text!r}")
    number, unit = found.groups()
    return float(number) / (1000 if unit == "ms" else 1)
