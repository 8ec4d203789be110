"""Where built plans are kept: in the bundle, or in the user's cache where it is read-only.

A plan is code. One is given out only if its key fits and its bytes have the SHA-256 that was
noted when it was built: in the bundle's manifest, or beside it in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edgevid.engines.plans import PlanKey, short_hash
from edgevid.engines.tensorrt_build import BuiltPlan
from edgevid.engines.user_cache import user_cache
from edgevid.errors import BundleError, EngineError, OutputError
from edgevid.files import locked, remove_leftovers, write_atomic
from edgevid.manifest import Artifact, Bundle, Stage


def find_plans(bundle: Bundle, want: PlanKey) -> Iterator[BuiltPlan]:
    """The kept plans that serve `want` and are unchanged, best first.

    One for a DLA comes first, then the smallest range of batches; the bundle's before those
    in the user's cache.
    """
    for key in _best_first(bundle_keys(bundle), want):
        data = bundle.read_plan(str(key))
        if data is not None:
            yield BuiltPlan(key, data)
    folder = _cache_of(bundle, want)
    for key in _best_first(filter(None, map(_key_or_none, _names(folder))), want):
        data = _read_checked(folder / f"{key}.plan")
        if data is not None:
            yield BuiltPlan(key, data)


def _best_first(keys: Iterable[PlanKey], want: PlanKey) -> list[PlanKey]:
    fitting = [key for key in keys if key.serves(want)]
    return sorted(fitting, key=lambda key: (key.dla_core is None, key.max_batch))


def keep_plan(bundle: Bundle, plan: BuiltPlan, notify: Callable[[str], None]) -> Path | None:
    """Keep a plan for the next time; `notify` is told where, or why that cannot be.

    Returns:
        Where it lies: in the bundle, or in the user's cache where the bundle cannot be
        written; None where neither can.
    """
    try:
        path = bundle.add_plan(str(plan.key), plan.data, _model_of(bundle, plan.key).stage)
        notify(f"Kept the engine as {path}")
        return path
    except (BundleError, OutputError) as exc:
        reason = exc.message
    path = _cache_of(bundle, plan.key) / f"{plan.key}.plan"
    try:
        with locked(path.parent):
            remove_leftovers(path.parent)
            write_atomic(path, plan.data)
            write_atomic(_digest_path(path), hashlib.sha256(plan.data).hexdigest().encode())
    except OutputError as exc:
        notify(f"The engine is not kept and will be built again: {reason}; {exc.message}")
        return None
    notify(f"Kept the engine as {path}, because: {reason}")
    return path


def bundle_keys(bundle: Bundle) -> list[PlanKey]:
    """The keys of the plans that the manifest lists."""
    listed = (a.key or "" for a in bundle.manifest.artifacts if a.kind == "plan")
    return [key for key in map(_key_or_none, listed) if key is not None]


def _key_or_none(text: str) -> PlanKey | None:
    try:
        return PlanKey.parse(text)
    except EngineError:
        return None  # another edgevid's plan: not ours to use, nor an error


def model_sha256(bundle: Bundle, stage: Stage | None = None) -> str:
    """Of the bundle's graph, or of one stage of it, as the manifest has it."""
    return next(a.sha256 for a in bundle.manifest.models if a.stage == stage)


def _model_of(bundle: Bundle, key: PlanKey) -> Artifact:
    """The graph that a plan is of."""
    models = bundle.manifest.models
    return next((a for a in models if short_hash(a.sha256) == key.model_hash), models[0])


def _cache_of(bundle: Bundle, key: PlanKey) -> Path:
    """The folder for plans of this very graph."""
    return user_cache("plans") / _model_of(bundle, key).sha256


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
