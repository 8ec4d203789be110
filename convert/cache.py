"""Bundles made on the fly for `edgevid run model.onnx`, kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgevid._version import __version__
from edgevid.convert.journal import Kind
from edgevid.convert.load import fingerprint
from edgevid.convert.settle import Asked
from edgevid.convert.spec_file import UserSpec, read_spec
from edgevid.convert.workflow import convert, require_packages
from edgevid.errors import BundleError, OutputError
from edgevid.manifest import Bundle

_log = logging.getLogger(__name__).info


def cached(
    model: Path,
    *,
    spec: Path | Mapping[str, Any] | None = None,
    labels: Path | None = None,
    preset: str | None = None,
    precision: Asked = "fp32",
    notify: Callable[[str], None] = _log,
) -> Path:
    """The bundle of a model, converted on the first call and found again on later ones.

    It lies in the folder `edgevid/bundles` of `XDG_CACHE_HOME` (default: `~/.cache`), named by a
    hash of the model, its weight files, the spec, the labels and the options.

    Args:
        model: The `.onnx` file.
        spec, labels, preset, precision: As for `convert`.
        notify: Told, in sentences, that a conversion takes place and what it assumes.

    Raises:
        EdgevidError: As `convert` raises.
    """
    require_packages()
    key = _key(model, read_spec(spec, labels=labels, preset=preset), precision)
    out = cache_folder() / key / f"{model.stem}.edgevid"
    if _is_good(out):
        return out
    notify(f"Converting {model}; the bundle is kept in {out}")
    shutil.rmtree(out, ignore_errors=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(
            f"cannot make the cache {out.parent}: {exc.strerror}",
            "Set XDG_CACHE_HOME to a folder that can be written",
        ) from None

    def listen(kind: Kind, text: str) -> None:
        if kind != "step":
            notify(text)

    try:
        convert(
            model,
            out,
            spec=spec,
            labels=labels,
            preset=preset,
            precision=precision,
            target="onnx",
            reference=False,
            progress=listen,
        )
    except OutputError:
        # Another process may have put the same bundle there meanwhile.
        if not _is_good(out):
            raise
    return out


def cache_folder() -> Path:
    """Where bundles made on the fly lie."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgevid" / "bundles"


def _is_good(bundle: Path) -> bool:
    try:
        Bundle.load(bundle)
    except BundleError:
        return False
    return True


def _key(model: Path, user: UserSpec, precision: Asked) -> str:
    said = asdict(user) | {"where": "", "precision": precision, "version": __version__}
    parts = (fingerprint(model), json.dumps(said, sort_keys=True, default=str))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
