"""What a conversion tells its user: steps as they start, assumptions and notes as they arise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["step", "assumption", "note"]
Listener = Callable[[Kind, str], None]
Progress = Callable[[str, int, int], None]
"""Called during long steps with what is being done, how much is done, and how much there is."""


def silent(kind: Kind, text: str) -> None:
    """The listener of those who read the report instead."""


def unwatched(text: str, done: int, total: int) -> None:
    """The `Progress` of those who do not watch."""


@dataclass
class Journal:
    """Collects plain sentences, and passes each on at once.

    Attributes:
        listener: Called with the kind and the sentence.
        progress: Called during long steps.
        assumptions: What nothing said, with how to say otherwise.
        notes: What was done differently than one might expect, and why.
    """

    listener: Listener = silent
    progress: Progress = unwatched
    assumptions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.listener("step", text)

    def assume(self, text: str) -> None:
        self.assumptions.append(text)
        self.listener("assumption", text)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            self.listener("note", text)
