"""The two engines of a split model behind the one seam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from edgevid.engines.build_options import BuildOptions
from edgevid.engines.feeds import check_feeds
from edgevid.manifest import Bundle, Stage
from edgevid.protocols import Engine
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import Array, TensorInfo


class SplitEngine:
    """Runs a backbone on every frame of a window, and a head on their features.

    `infer` takes whole windows, as the unsplit model does. Who keeps features calls
    `backbone` and `head` itself.

    Args:
        backbone: From `(N, H, W, 3)` uint8 frames to features, one row a frame.
        head: From `(N, K, ...)` features to `scores`.
        positions: Which K samples of a window it is fed.
    """

    def __init__(self, backbone: Engine, head: Engine, positions: range) -> None:
        self.backbone = backbone
        self.head = head
        self.positions = positions
        (frames,), (features,) = backbone.inputs, head.inputs
        shape = (*features.shape[:2], *frames.shape[1:])
        self._inputs = (TensorInfo(frames.name, shape, frames.dtype),)

    @property
    def name(self) -> str:
        return f"{self.head.name}, split"

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        return self.head.outputs

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Scores of whole windows.

        Raises:
            EngineError: A feed does not fit, an engine is closed, or a graph failed.
        """
        check_feeds(self._inputs, feeds)
        [(name, clip)] = feeds.items()
        features = self.features({name: clip.reshape(-1, *clip.shape[2:])})
        return self.head.infer(
            {self.head.inputs[0].name: features.reshape(*clip.shape[:2], *features.shape[1:])}
        )

    def features(self, feeds: Mapping[str, Array]) -> Array:
        """One row for each frame of `(N, H, W, 3)`."""
        return self.backbone.infer(feeds)[self.backbone.outputs[0].name]

    def close(self) -> None:
        self.backbone.close()
        self.head.close()


def open_stages(bundle: Bundle, open_one: Callable[[Stage | None], Engine]) -> Engine:
    """The engine of a bundle: one, or the pair of a split model.

    Args:
        bundle: Whose graphs to open.
        open_one: Opens the graph of one stage; of a whole model, None.
    """
    if bundle.manifest.features is None:
        return open_one(None)
    backbone = open_one("backbone")
    try:
        return SplitEngine(backbone, open_one("head"), positions(bundle.manifest))
    except BaseException:
        backbone.close()
        raise


class Contract(Protocol):
    """A manifest or a spec."""

    @property
    def clip(self) -> ClipSpec: ...

    @property
    def inputs(self) -> tuple[InputSpec, ...]: ...


def positions(contract: Contract) -> range:
    """Which samples of a window a split model is fed."""
    return contract.inputs[0].positions(contract.clip.num_frames)


def stage_options(options: BuildOptions, contract: Contract, stage: Stage | None) -> BuildOptions:
    """How to build one stage, where `options` says how to build the model as a whole.

    A backbone's batch counts frames: from one to those of a window, which may all be new.
    The usual batch is what is new in a window. More windows than a window has frames are fed
    in pieces.
    """
    if stage != "backbone":
        return options
    frames = len(positions(contract))
    largest = max(frames, options.max_batch)
    usual = min(_new_samples(contract.clip), frames) * options.opt_batch
    return replace(options, min_batch=1, opt_batch=min(usual, largest), max_batch=largest)


def _new_samples(clip: ClipSpec) -> int:
    """How many samples of a window the one before it did not have."""
    if clip.hop_s is not None and clip.period_s is not None:
        return max(1, round(clip.hop_s / clip.period_s))
    return 1 if clip.sampling == "interval" else clip.num_frames
