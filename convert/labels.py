"""The name of each class, checked against the number of scores."""

from __future__ import annotations

from edgevid.convert.journal import Journal
from edgevid.convert.spec_file import UserSpec
from edgevid.errors import SpecError


def class_labels(user: UserSpec, count: int, journal: Journal) -> tuple[str, ...]:
    """One label for each of `count` classes, in the order of the scores.

    Raises:
        SpecError: The user's labels are more or fewer.
    """
    if user.labels is None:
        journal.assume(
            f"The {count} classes are called class_0 to class_{count - 1}. Say otherwise with "
            "--labels FILE, one label a line."
        )
        return tuple(f"class_{i}" for i in range(count))
    if len(user.labels) != count:
        raise SpecError(
            f"there are {len(user.labels)} labels, but the model has {count} classes",
            "Give one label a class, in the order of the model's output",
        )
    for i, label in enumerate(user.labels):
        if not label or "\n" in label:
            raise SpecError(f"label {i} is {label!r}", "Give every class a name on one line")
    return user.labels
