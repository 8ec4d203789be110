"""Where built plans are kept: in the bundle, or in the user's cache where it is read-only.

A plan is code. One is given out only if its key fits and its bytes have the SHA-256 that was
noted when it was built: in the bundle's manifest, or beside it in the cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_build import BuiltPlan
from edgevid.errors import EngineError, OutputError
from edgevid.manifest import Bundle, write_atomic


def find_plan(bundle: Bundle, want: PlanKey) -> BuiltPlan | None:
    """A kept plan that serves `want` and is unchanged; the smallest range that does."""
    keys = [key for key in bundle_keys(bundle) if key.serves(want)]
    for key in sorted(keys, key=lambda k: k.max_batch):
        path = bundle.plan(str(key))
        if path is not None:
            return BuiltPlan(key, path.read_bytes())
    folder = _cache_of(bundle)
    cached = [key for key in map(_key_or_none, _names(folder)) if key and key.serves(want)]
    for key in sorted(cached, key=lambda k: k.max_batch):
        data = _read_checked(folder / f"{key}.plan")
        if data is not None:
            return BuiltPlan(key, data)
    return None


def keep_plan(bundle: Bundle, plan: BuiltPlan, notify: Callable[[str], None]) -> None:
    """Keep a plan for the next time; `notify` is told where, or why that cannot be."""
    try:
        notify(f"Kept the engine as {bundle.add_plan(str(plan.key), plan.data)}")
        return
    except OutputError as exc:
        reason = exc.message
    path = _cache_of(bundle) / f"{plan.key}.plan"
    try:
        write_atomic(path, plan.data)
        write_atomic(_digest_path(path), hashlib.sha256(plan.data).hexdigest().encode())
    except OutputError as exc:
        notify(f"The engine is not kept and will be built again: {reason}; {exc.message}")
        return
    notify(f"Kept the engine as {path}, because: {reason}")


def bundle_keys(bundle: Bundle) -> list[PlanKey]:
    """The keys of the plans that the manifest lists."""
    listed = (a.key or "" for a in bundle.manifest.artifacts if a.kind == "plan")
    return [key for key in map(_key_or_none, listed) if key is not None]


def _key_or_none(text: str) -> PlanKey | None:
    try:
        return PlanKey.parse(text)
    except EngineError:
        return None  # another edgevid's plan: not ours to use, nor an error


def model_sha256(bundle: Bundle) -> str:
    """Of the bundle's graph, as the manifest has it."""
    return next(a.sha256 for a in bundle.manifest.artifacts if a.kind == "model")


def _cache_of(bundle: Bundle) -> Path:
    """The folder for plans of this very graph."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "edgevid" / "plans" / model_sha256(bundle)


def _names(folder: Path) -> list[str]:
    return [path.name.removesuffix(".plan") for path in folder.glob("*.plan")]


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read_checked(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
        noted = _digest_path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None  # an interrupted or foreign write: as good as absent
    return data if hashlib.sha256(data).hexdigest() == noted else None
