"""`edgevid inspect`: what a bundle holds, and whether it is whole."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgevid.cli import _takes
from edgevid.cli._contract import count, describe_input, sentence, span_s, timeline
from edgevid.cli._output import console, json_option, write_json
from edgevid.device import Machine
from edgevid.device.gpu import read_gpus
from edgevid.engines.plans import PlanKey, short_hash
from edgevid.errors import EngineError, IntegrityError
from edgevid.manifest import Artifact, Bundle, Decision, FeatureSpec, Manifest, Stepped, verify
from edgevid.spec import StateSpec

_LABELS_SHOWN = 8
_LEFT = 12


@dataclass(frozen=True)
class FileState:
    """One file of the bundle.

    Attributes:
        path, kind, sha256, stage: As in the manifest.
        size_bytes: None where the file is missing.
        state: `ok`, `changed` or `missing`.
        usable: Plans: this machine could run it; None for other files.
        note: Plans: why, or why not.
    """

    path: str
    kind: str
    sha256: str
    size_bytes: int | None
    state: str
    usable: bool | None = None
    note: str = ""
    stage: str | None = None


def _print_schema(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(json.dumps(manifest_schema(), indent=2))
        ctx.exit()


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of `manifest.json`, as docs/manifest.schema.json publishes it."""
    schema = Manifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of a bundle's manifest and exit.",
)
def command(bundle: Path, json_target: str | None) -> None:
    """Show what BUNDLE holds, and check every file against its recorded hash.

    Exit status 2 when it is no bundle, or a file is missing or was changed.
    """
    loaded = Bundle.load(bundle)
    files, problem = examine(loaded, Machine())
    if json_target != "-":
        render(loaded, files, console())
    if json_target is not None:
        write_json(to_json(loaded, files), json_target)
    if problem is not None:
        raise problem


def examine(bundle: Bundle, machine: Machine) -> tuple[list[FileState], IntegrityError | None]:
    """State of every file, and the first problem."""
    states: list[FileState] = []
    first: IntegrityError | None = None
    for artifact in bundle.manifest.artifacts:
        path = bundle.path / artifact.path
        size = path.stat().st_size if path.is_file() else None
        state = "ok"
        try:
            verify(bundle.path, artifact)
        except IntegrityError as exc:
            first = first or exc
            state = "missing" if size is None else "changed"
        usable, note = None, ""
        if artifact.kind == "plan":
            usable, note = plan_use(artifact, bundle.manifest, machine)
            usable = usable and state == "ok"
        states.append(
            FileState(
                artifact.path,
                artifact.kind,
                artifact.sha256,
                size,
                state,
                usable,
                note,
                artifact.stage,
            )
        )
    return states, first


def plan_use(artifact: Artifact, manifest: Manifest, machine: Machine) -> tuple[bool, str]:
    """Whether this machine could run a cached engine, and why or why not."""
    try:
        key = PlanKey.parse(artifact.key or "")
    except EngineError:
        return False, "its key is of an unknown form"
    if key.model_hash not in [short_hash(model.sha256) for model in manifest.models]:
        return False, f"built from another {manifest.models[0].path}"
    installed = machine.version(key.flavour)
    if installed is None:
        return False, f"needs {key.flavour} {key.version}, which is not installed"
    if installed != key.version:
        return False, f"needs {key.flavour} {key.version}; {installed} is installed"
    gpus = read_gpus(machine)
    if not gpus:
        return False, "needs an NVIDIA GPU"
    here = [f"{gpu.sm // 10}.{gpu.sm % 10}" for gpu in gpus if gpu.sm is not None]
    if key.compute_capability is not None and key.compute_capability not in here:
        return False, (
            f"needs compute capability {key.compute_capability}; "
            f"this machine has {', '.join(here) or 'an unknown one'}"
        )
    return True, "fits this machine"


def to_json(bundle: Bundle, files: list[FileState]) -> dict[str, Any]:
    """What `--json` writes: the manifest, the labels, and the state of every file."""
    return {
        "path": str(bundle.path),
        "ok": all(file.state == "ok" for file in files),
        "labels": list(bundle.labels),
        "window_s": span_s(bundle.manifest.clip),
        "takes": _takes.to_json(bundle.manifest.clip, bundle.manifest.inputs),
        "files": [asdict(file) for file in files],
        "manifest": bundle.manifest.model_dump(mode="json"),
    }


def render(bundle: Bundle, files: list[FileState], out: Console) -> None:
    """Print a bundle for people."""
    manifest = bundle.manifest
    out.print(Text(str(bundle.path), "bold"))
    _facts(out, _model_rows(bundle))
    _heading(out, "Contract")
    out.print(Text(sentence(manifest.clip)))
    unicode = out.encoding.lower().startswith("utf")
    symbols = _takes.Symbols("●", "◉", "▸", "─") if unicode else _takes.Symbols()
    lines = timeline(manifest.clip, max(min(out.width, 76), 40), symbols.frame, symbols.line)
    if not _takes.is_plain(manifest.inputs, manifest.clip):
        lines += ["", *_takes.draw(manifest.clip, manifest.inputs, min(out.width, 76), symbols)]
    for line in lines:
        out.print(Text(line, "cyan"), no_wrap=True)
    _heading(out, "Inputs and output")
    rows = [(i.name, describe_input(i, manifest.clip.num_frames)) for i in manifest.inputs]
    rows += [(o.name, _output(o.kind, len(bundle.labels))) for o in manifest.outputs]
    if manifest.states:
        rows.append(("states", describe_states(manifest.states)))
    if manifest.stepped:
        rows.append(("made of", describe_step(manifest.stepped)))
    if manifest.decision:
        rows += _decision_rows(manifest.decision)
    _facts(out, rows)
    _heading(out, "Checked against the original")
    out.print(Text(_parity(manifest)))
    if manifest.assumptions:
        _heading(out, "Assumed, because nothing said otherwise")
        _facts(out, [("-", assumption) for assumption in manifest.assumptions], left=1)
    _heading(out, "Files")
    out.print(_file_table(files))


def _decision_rows(decision: Decision) -> list[tuple[str, str]]:
    """What `run` does where nothing else is said."""
    rows = [("smoothing", f"{decision.smooth} (tuned on {decision.tuned_on})")]
    return [*rows, *(("events", rule) for rule in decision.events)]


def _model_rows(bundle: Bundle) -> list[tuple[str, str]]:
    manifest = bundle.manifest
    shown = ", ".join(bundle.labels[:_LABELS_SHOWN])
    more = ", ..." if len(bundle.labels) > _LABELS_SHOWN else ""
    model = manifest.model
    features = manifest.features
    split = [] if features is None else [("split", _describe_split(features))]
    return [
        ("model", model.name),
        ("source", f"{model.source_file} (sha256 {model.source_sha256[:12]})"),
        ("task", manifest.task),
        ("labels", f"{len(bundle.labels)}: {shown}{more}"),
        ("precision", manifest.precision),
        *split,
        ("made by", f"edgevid {manifest.edgevid_version}"),
    ]


def _describe_split(features: FeatureSpec) -> str:
    shape = " x ".join(map(str, features.shape))
    return f"a backbone once a frame, {shape} {features.dtype} features; a head once a window"


def _output(kind: str, classes: int) -> str:
    how = {
        "logits": "softmax added in the graph",
        "probabilities": "the model's own",
        "sigmoid": "sigmoid added in the graph",
    }[kind]
    return f"{classes} scores in [0, 1] ({how})"


def _parity(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity is None:
        return "Not measured."
    return (
        f"On {count(parity.clips, 'clip')} ({parity.frames_from}): scores differ by at most "
        f"{parity.max_abs_diff:.2g}, {parity.mean_abs_diff:.2g} on average; "
        f"the best class agrees on {parity.top1_agreement:.1%}."
    )


def describe_states(states: Sequence[StateSpec]) -> str:
    """How many there are, of which types, and how large together."""
    types = Counter(s.dtype for s in states)
    size = sum(math.prod(s.shape) * np.dtype(s.dtype).itemsize for s in states)
    parts = ", ".join(f"{number} {dtype}" for dtype, number in types.most_common())
    return f"{len(states)} ({parts}; {human_size(size)} a stream), zeros at a stream's start"


def describe_step(step: Stepped) -> str:
    """What a model that takes frame by frame was made of, and how far that changes its answers."""
    layers = ", ".join(count(number, kind) for kind, number in step.carried_by.items())
    return (
        f"windows of {step.num_frames} frames ({layers}); after {step.num_frames} frames the same "
        f"scores, later ones differ by design (best class as the window's on "
        f"{step.later_top1_agreement:.0%} of {step.later_windows})"
    )


def _heading(out: Console, title: str) -> None:
    out.print()
    out.print(Text(title, "bold underline"))


def _facts(out: Console, rows: list[tuple[str, str]], left: int = _LEFT) -> None:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(min_width=left, overflow="fold", style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    out.print(table)


def _file_table(files: list[FileState]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for file in files:
        state = Text(file.state, "green" if file.state == "ok" else "bold red")
        size = "-" if file.size_bytes is None else human_size(file.size_bytes)
        name = Text(file.path, overflow="fold")
        if file.note:
            name.append(f"\n{'usable here' if file.usable else 'not here'}: {file.note}", "dim")
        table.add_row(
            state, Text(size), Text(", ".join(filter(None, (file.kind, file.stage)))), name
        )
    return table


def human_size(size: int) -> str:
    """Bytes in binary units, three significant digits."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
