"""An engine that outlives the streams that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevid.engines.split_engine import SplitEngine
from edgevid.protocols import Engine
from edgevid.types import Array, TensorInfo


def borrowed(engine: Engine) -> Engine:
    """An engine that somebody else closes: one engine for many streams."""
    if isinstance(engine, SplitEngine):
        stages = _Borrowed(engine.backbone), _Borrowed(engine.head)
        return SplitEngine(*stages, engine.positions)
    return _Borrowed(engine)


class _Borrowed:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        return self._engine.inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        return self._engine.outputs

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return self._engine.infer(feeds)

    def close(self) -> None:
        """Nothing: it is not ours."""
