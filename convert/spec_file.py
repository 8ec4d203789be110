"""What the user says of a model: a `spec.toml` or a mapping of the same words."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevid.errors import SpecError
from edgevid.manifest import read_labels

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("labels", "preset", "models", "clip", "inputs", "outputs", "states")
_STATES_FILE_KEYS = ("image", "logits", "states")


@dataclass(frozen=True)
class UserSpec:
    """The user's words, sorted but not validated; what is not said is empty.

    Attributes:
        where: The file, for messages.
        labels: One name per class, or None.
        preset: Name of a preset, or None.
        clip: Fields of a `ClipSpec`.
        inputs, outputs: Fields of an `InputSpec` or `OutputSpec`, one table each.
        states: Input and output of each state, one table each; None: nothing is said.
        models: More models whose scores are averaged with this one's, one table each.
        folder: That file names are relative to.
    """

    where: str = "spec"
    labels: tuple[str, ...] | None = None
    preset: str | None = None
    clip: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    states: tuple[Mapping[str, Any], ...] | None = None
    models: tuple[Mapping[str, Any], ...] = ()
    folder: Path = Path()

    def input_table(self, name: str, known: Sequence[str]) -> dict[str, Any]:
        """What is said of the model's input `name`."""
        return _by_name(self.inputs, name, known, f"{self.where}: inputs")

    def output_table(self, name: str, known: Sequence[str]) -> dict[str, Any]:
        """What is said of the model's output `name`."""
        return _by_name(self.outputs, name, known, f"{self.where}: outputs")


def read_spec(
    spec: Path | Mapping[str, Any] | None, *, labels: Path | None, preset: str | None
) -> UserSpec:
    """Read a spec; labels and preset given apart from it come first.

    Args:
        spec: A TOML file, or its content.
        labels: A file with one label a line.
        preset: Name of a preset.

    Raises:
        SpecError: The file cannot be read, or has an unknown key.
        BundleError: A labels file cannot be read.
    """
    where = str(spec) if isinstance(spec, Path) else "spec"
    data = _read_toml(spec) if isinstance(spec, Path) else dict(spec or {})
    for key in data:
        if key not in _KEYS:
            raise SpecError(f"{where}: unknown key {key!r}", f"Known keys: {', '.join(_KEYS)}")
    folder = spec.parent if isinstance(spec, Path) else Path()
    said = data.get("labels")
    if labels is not None:
        said = str(labels.absolute())
    preset = preset if preset is not None else data.get("preset")
    if preset is not None and not isinstance(preset, str):
        raise SpecError(f"{where}: preset: must be a name (got {preset!r})")
    states, scores = _states(data.get("states"), folder, f"{where}: states")
    return UserSpec(
        where=where,
        labels=_labels(said, folder, where),
        preset=preset,
        clip=_table(data.get("clip", {}), f"{where}: clip"),
        inputs=_tables(data.get("inputs", []), f"{where}: inputs"),
        outputs=_tables(data.get("outputs", scores), f"{where}: outputs"),
        states=states,
        models=_tables(data.get("models", []), f"{where}: models"),
        folder=folder,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SpecError(f"no such spec file: {path}", "Check the path") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SpecError(f"{path} is not a TOML file: {exc}", "See docs/spec.md") from None


def _labels(said: Any, folder: Path, where: str) -> tuple[str, ...] | None:
    if said is None:
        return None
    if isinstance(said, str):
        return read_labels(folder / said)
    if isinstance(said, (list, tuple)) and said and all(isinstance(s, str) for s in said):
        return tuple(said)
    raise SpecError(f"{where}: labels: must be a file name or a list of names (got {said!r})")


def _states(
    said: Any, folder: Path, where: str
) -> tuple[tuple[dict[str, Any], ...] | None, list[dict[str, str]]]:
    """Tables of states, and the table of the output with the scores where a file names it."""
    if said is None:
        return None, []
    if not isinstance(said, str):
        return _tables(said, where), []
    path = folder / said
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{where}: no such file: {path}", "Check the path") from None
    except (OSError, ValueError, RecursionError) as exc:
        raise SpecError(f"{where}: {path} is not a JSON file: {exc}", "See docs/spec.md") from None
    if isinstance(content, list):
        content = {"states": content}
    content = _table(content, str(path))
    for key in content:
        if key not in _STATES_FILE_KEYS:
            known = ", ".join(_STATES_FILE_KEYS)
            raise SpecError(f"{path}: unknown key {key!r}", f"Known keys: {known}")
    logits = content.get("logits")
    return (
        _tables(content.get("states", []), str(path)),
        [] if logits is None else [{"name": str(logits), "kind": "logits"}],
    )


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{where}: must be a table (got {value!r})", "See docs/spec.md")
    return dict(value)


def _tables(value: Any, where: str) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, (list, tuple)):
        raise SpecError(f"{where}: must be a list of tables (got {value!r})", "See docs/spec.md")
    return tuple(_table(v, where) for v in value)


def _by_name(
    tables: Sequence[Mapping[str, Any]], name: str, known: Sequence[str], where: str
) -> dict[str, Any]:
    """The table of that name; where there is one candidate only, it needs no name."""
    for table in tables:
        said = table.get("name")
        if said is None and len(known) > 1:
            raise SpecError(f"{where}: 'name' is missing", f"The model has: {', '.join(known)}")
        if said is not None and said not in known:
            raise SpecError(
                f"{where}: the model has none called {said!r}", f"It has: {', '.join(known)}"
            )
    found = [t for t in tables if t.get("name", name) == name]
    if len(found) > 1:
        raise SpecError(f"{where}: {name!r} is described twice", "Keep one of the tables")
    return {**found[0], "name": name} if found else {"name": name}
