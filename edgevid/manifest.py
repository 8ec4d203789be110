"""The bundle: a folder with a checked manifest, a graph, labels and cached engines.

    gesture.edgevid/
      manifest.json  model.onnx  reference.onnx  labels.txt  report.json  engines/*.plan

A clip model that is split holds backbone.onnx and head.onnx in the place of model.onnx.

`manifest.json` is the only file that says what the others are. Its JSON Schema is
docs/manifest.schema.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from edgevid.errors import BundleError, IntegrityError, ManifestError, OutputError
from edgevid.files import locked, remove_leftovers, sha256_file, write_atomic
from edgevid.spec import (
    ClipSpec,
    InputSpec,
    OutputSpec,
    StateSpec,
    Strict,
    check_states,
    check_time_axes,
    parse,
)

SCHEMA_VERSION: Literal[1] = 1
MANIFEST_NAME = "manifest.json"
TRANSITIONS_NAME = "transitions.csv"

Precision = Literal["fp32", "fp16", "int8", "mixed"]
ArtifactKind = Literal["model", "reference", "labels", "plan", "report", "transitions"]
Stage = Literal["backbone", "head"]


class ModelInfo(Strict):
    """Where the graph came from."""

    name: str
    source_file: str = Field(description="File name of the original, without its folder.")
    source_sha256: str


class Artifact(Strict):
    """One file of the bundle."""

    path: str = Field(description="Relative to the bundle, with forward slashes.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    kind: ArtifactKind
    key: str | None = Field(None, description="Plans: what the plan is valid for.")
    stage: Stage | None = Field(None, description="Of a split model: which part; None: all.")

    @model_validator(mode="after")
    def _inside(self) -> Artifact:
        parts = Path(self.path).parts
        if not parts or Path(self.path).is_absolute() or ".." in parts:
            raise ValueError(f"path {self.path!r} leaves the bundle")
        return self


class Parity(Strict):
    """How the converted graph's scores compare with the original's, on real frames."""

    clips: int = Field(ge=0)
    max_abs_diff: float = Field(ge=0)
    mean_abs_diff: float = Field(ge=0)
    top1_agreement: float = Field(ge=0, le=1)
    frames_from: str = Field(description="Which frames were used.")


class Quantised(Strict):
    """How a bundle's INT8 was found and judged."""

    method: str = Field(description="How activation ranges were found.")
    calibration_clips: int = Field(ge=1)
    calibration_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    seed: int = Field(ge=0)
    kept_in_float: tuple[str, ...] = Field((), description="Layers that INT8 would have hurt.")
    evaluation_clips: int = Field(ge=1)
    top1_agreement: float = Field(ge=0, le=1, description="With FP32, on the evaluation clips.")
    verdict: str = Field(description="Why this precision was kept.")


class Stepped(Strict):
    """How a model that takes frame by frame was made of one over windows, and what that changes."""

    num_frames: int = Field(ge=2, description="Frames of the original's windows (T).")
    carried_by: dict[str, int] = Field(description="Layers that remember, by kind.")
    max_diff: float = Field(
        ge=0,
        description="Of scores after exactly T frames from a start with the window's, relative to "
        "the best one.",
    )
    later_windows: int = Field(ge=1, description="Later windows of real frames, compared.")
    later_max_abs_diff: float = Field(ge=0, description="Of scores with those of later windows.")
    later_top1_agreement: float = Field(ge=0, le=1, description="With later windows.")


class Decision(Strict):
    """How labels are decided from scores where nothing else is said; `edgevid tune` writes it."""

    smooth: str = Field("none", description="As for --smooth; files lie in the bundle.")
    events: tuple[str, ...] = Field((), description="As for --events.")
    tuned_on: str = Field("", description="Which streams they were tuned on, and what came of it.")


class FeatureSpec(Strict):
    """What the backbone of a split model gives for each frame, and its head takes T of."""

    name: str = Field(min_length=1, description="Name of the backbone's output and head's input.")
    shape: tuple[int, ...] = Field(min_length=1, description="Of one frame's features.")
    dtype: Literal["float16", "float32"]


class Manifest(Strict):
    """What a bundle holds and what contract it keeps."""

    schema_version: Literal[1] = SCHEMA_VERSION
    edgevid_version: str
    model: ModelInfo
    task: Literal["classification"] = "classification"
    labels_file: str = "labels.txt"
    clip: ClipSpec
    inputs: tuple[InputSpec, ...] = Field(min_length=1)
    outputs: tuple[OutputSpec, ...] = Field(min_length=1, max_length=1)
    states: tuple[StateSpec, ...] = Field((), description="What the model carries on.")
    stepped: Stepped | None = Field(None, description="Made of a model over windows.")
    features: FeatureSpec | None = Field(None, description="Of a split model.")
    decision: Decision | None = Field(None, description="What suits the model; None: not tuned.")
    precision: Precision
    assumptions: tuple[str, ...] = Field(
        (), description="What `convert` assumed because nothing said otherwise."
    )
    parity: Parity | None = None
    quantised: Quantised | None = None
    artifacts: tuple[Artifact, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        check_time_axes(self.clip, self.inputs)
        check_states(self.clip, self.inputs, self.outputs, self.states)
        _check_stages(self)
        paths = [a.path for a in self.artifacts]
        if len(set(paths)) != len(paths):
            raise ValueError("artifacts: a path is listed twice")
        for needed in ("model", "labels"):
            if not any(a.kind == needed for a in self.artifacts):
                raise ValueError(f"artifacts: no file of kind {needed!r}")
        if not any(a.kind == "labels" and a.path == self.labels_file for a in self.artifacts):
            raise ValueError(
                f"labels_file {self.labels_file!r} is not listed as an artifact of kind 'labels'"
            )
        return self

    def artifact(self, kind: ArtifactKind, stage: Stage | None = None) -> Artifact | None:
        """The first file of that kind and stage."""
        return next((a for a in self.artifacts if (a.kind, a.stage) == (kind, stage)), None)

    @property
    def models(self) -> tuple[Artifact, ...]:
        """The graphs that run: one, or the two of a split model."""
        return tuple(a for a in self.artifacts if a.kind == "model")


def _check_stages(manifest: Manifest) -> None:
    """Raise ValueError where a model is neither whole nor split."""
    stages = {artifact.stage for artifact in manifest.models}
    if manifest.features is None and stages - {None}:
        raise ValueError("artifacts: a model with stages needs `features`")
    if manifest.features is not None:
        if stages != {"backbone", "head"}:
            raise ValueError("features: a split model has two graphs, a backbone and a head")
        if len(manifest.inputs) != 1 or not manifest.inputs[0].takes_clip:
            raise ValueError("features: a split model has one input with a time axis")


class Bundle:
    """A bundle on disk whose manifest is valid and whose graph and labels are unchanged.

    Attributes:
        path: The folder.
        manifest: Its contract.
        labels: One name per class, in the order of the scores.
    """

    def __init__(self, path: Path, manifest: Manifest, labels: tuple[str, ...]) -> None:
        self.path = path
        self.manifest = manifest
        self.labels = labels

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a bundle; check the schema, and the hashes of the graph and the labels.

        Raises:
            BundleError: `path` is no bundle.
            ManifestError: The manifest is malformed, or of another schema version.
            IntegrityError: A file is missing or was changed.
        """
        folder = Path(path)
        # os.path answers False where Path raises: no permission to look, an impossible name.
        if not os.path.exists(folder):
            raise BundleError(f"no such bundle: {folder}", "Make one: edgevid convert MODEL.onnx")
        if not os.path.isfile(folder / MANIFEST_NAME):
            raise BundleError(
                f"{folder} is not a bundle: it is no folder with a {MANIFEST_NAME}",
                "Make one: edgevid convert MODEL.onnx",
            )
        manifest = _read_manifest(folder / MANIFEST_NAME)
        for artifact in manifest.artifacts:
            if artifact.kind in ("model", "labels", "transitions"):
                verify(folder, artifact)
        labels = read_labels(folder / manifest.labels_file)
        return cls(folder, manifest, labels)

    def file(self, kind: ArtifactKind, stage: Stage | None = None) -> Path:
        """Path of the first file of that kind and stage, its hash checked.

        Raises:
            BundleError: The bundle holds none.
            IntegrityError: It is missing or was changed.
        """
        artifact = self.manifest.artifact(kind, stage)
        if artifact is None and kind == "model" and self.manifest.features is not None:
            raise BundleError(
                f"{self.path} is split into a backbone and a head: it holds no whole graph",
                "Convert the model with --streaming off",
            )
        if artifact is None:
            raise BundleError(f"{self.path} holds no file of kind {kind!r}")
        return verify(self.path, artifact)

    def verify_all(self) -> None:
        """Check the hash of every file, reports and plans too.

        Raises:
            IntegrityError: One is missing or was changed.
        """
        for artifact in self.manifest.artifacts:
            verify(self.path, artifact)

    def plan(self, key: str) -> Path | None:
        """The cached engine for `key`, if there is one and its hash is right."""
        return None if self.read_plan(key) is None else self.path / _plan_path(key)

    def read_plan(self, key: str) -> bytes | None:
        """The bytes of the cached engine for `key`; hashed as they are handed out.

        A plan is code: one that is missing, foreign or changed is never returned.
        """
        path = _plan_path(key)
        for artifact in self.manifest.artifacts:
            if (artifact.kind, artifact.key, artifact.path) == ("plan", key, path):
                try:
                    data = (self.path / path).read_bytes()
                except OSError:
                    return None
                return data if hashlib.sha256(data).hexdigest() == artifact.sha256 else None
        return None

    def add_plan(self, key: str, data: bytes, stage: Stage | None = None) -> Path:
        """Keep a built engine in the bundle and list it in the manifest.

        Other processes may do the same at the same time, and this one may be killed at any
        moment: the bundle stays whole, and no plan that was added is lost.

        Raises:
            OutputError: The bundle cannot be written, or was converted anew meanwhile.
            ManifestError: Its manifest was damaged meanwhile.
        """
        relative = _plan_path(key)
        target = self.path / relative
        with locked(target.parent):
            remove_leftovers(self.path)
            remove_leftovers(target.parent)
            now = self._manifest_now()
            others = tuple(a for a in now.artifacts if a.path != relative)
            if others != now.artifacts:
                # Not listed while it is replaced: what the manifest lists is always there.
                self._relist(now, others)
            write_atomic(target, data)
            digest = hashlib.sha256(data).hexdigest()
            entry = Artifact(path=relative, sha256=digest, kind="plan", key=key, stage=stage)
            self._relist(now, (*others, entry))
        return target

    def set_decision(self, decision: Decision | None, transitions: bytes | None = None) -> None:
        """Keep what suits the model, in the place of what was kept before.

        Args:
            decision: None: nothing any more.
            transitions: Content of the file that its smoother names, if it names one.

        Raises:
            OutputError: The bundle cannot be written, or was converted anew meanwhile.
        """
        with locked(self.path / "engines"):
            now = self._manifest_now()
            kept = tuple(a for a in now.artifacts if a.kind != "transitions")
            if transitions is not None:
                write_atomic(self.path / TRANSITIONS_NAME, transitions)
                digest = hashlib.sha256(transitions).hexdigest()
                entry = Artifact(path=TRANSITIONS_NAME, sha256=digest, kind="transitions")
                kept = (*kept, entry)
            self._relist(now.model_copy(update={"decision": decision}), kept)

    def _manifest_now(self) -> Manifest:
        now = _read_manifest(self.path / MANIFEST_NAME)
        if now.models != self.manifest.models:
            raise OutputError(
                f"{self.path} was converted anew meanwhile: this engine is of the old graph",
                "Open the bundle again",
            )
        return now

    def _relist(self, manifest: Manifest, artifacts: tuple[Artifact, ...]) -> None:
        self.manifest = manifest.model_copy(update={"artifacts": artifacts})
        write_atomic(self.path / MANIFEST_NAME, dump(self.manifest))


def _plan_path(key: str) -> str:
    return f"engines/{key}.plan"


def dump(manifest: Manifest) -> bytes:
    """The manifest as it stands in `manifest.json`."""
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def _read_manifest(path: Path) -> Manifest:
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise ManifestError(
            f"{path} cannot be read: {exc}", "Convert the model again: edgevid convert"
        ) from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise ManifestError(
            f"{path} has schema_version {version!r}; this edgevid reads {SCHEMA_VERSION}",
            "Convert the model again, or install the edgevid that wrote it",
        )
    manifest: Manifest = parse(Manifest, data, str(path), ManifestError)
    return manifest


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, UTF-8; blank lines at the end are dropped.

    Raises:
        BundleError: The file cannot be read or is empty.
    """
    try:
        labels = tuple(path.read_text(encoding="utf-8-sig").rstrip().split("\n"))
    except (OSError, UnicodeDecodeError) as exc:
        raise BundleError(f"labels {path} cannot be read: {exc}") from None
    labels = tuple(label.strip() for label in labels)
    if labels == ("",):
        raise BundleError(f"labels {path} is empty", "Write one label a line")
    return labels


def verify(folder: Path, artifact: Artifact) -> Path:
    """Path of `artifact` inside `folder`, its hash checked.

    Raises:
        IntegrityError: It is missing or was changed.
    """
    path = folder / artifact.path
    hint = "Convert the model again, or copy the bundle again"
    if not os.path.isfile(path):
        raise IntegrityError(f"{path} is missing from the bundle", hint)
    try:
        actual = sha256_file(path)
    except OSError as exc:
        raise IntegrityError(f"{path} cannot be read: {exc.strerror or exc}", hint) from None
    if actual != artifact.sha256:
        raise IntegrityError(
            f"{path} was changed: sha256 is {actual[:12]}..., "
            f"the manifest says {artifact.sha256[:12]}...",
            hint,
        )
    return path
