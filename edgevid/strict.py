"""Checked tables: unknown keys and impossible values are one clear line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from edgevid.errors import SpecError

_PLAIN = {
    "tuple_type": "Input should be a list",
    "dict_type": "Input should be a table of names and values",
    "model_type": "Input should be a table of names and values",
}
"""What the author of a JSON or TOML file knows by other names than Python's."""


class Strict(BaseModel):
    """Immutable, and closed to unknown keys and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse(model: type[Any], data: Any, where: str, error: type[Exception] = SpecError) -> Any:
    """Validate `data` as `model`; the error names the field, the value and the place."""
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise error(f"{where}: {first_problem(exc)}") from None


def first_problem(exc: ValidationError) -> str:
    """One line for the first problem that pydantic found: field, what is wrong, value."""
    problem = exc.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {field!r}"
    if problem["type"] == "missing":
        return f"{field!r} is missing"
    text = _PLAIN.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    if not field:
        return text
    shown = repr(problem["input"])
    if problem["type"] == "value_error" or len(shown) > 60:
        return f"{field}: {text}"
    return f"{field}: {text} (got {shown})"
