"""What every reference model takes, and how it goes to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevid.benchmarks.reference import networks as nets
from edgevid.benchmarks.reference import volumes
from edgevid.benchmarks.reference.data import FPS, FRAME_INTERVAL, NUM_FRAMES, SIZE
from edgevid.sources.moving_shapes import MOTIONS
from edgevid.spec import InputSpec

CLASSES = len(MOTIONS)
_PIXELS = {
    "size": [SIZE, SIZE],
    "interpolation": "area",
    "color": "rgb",
    "scale": 1 / 255,
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
}
FULL = {**_PIXELS, "resize": "stretch", "crop": "full"}
FOVEA = {**_PIXELS, "resize": "none", "crop": "fovea", "interpolation": "linear"}
DIFFERENCES = {**FULL, "modality": "rgb_diff", "mean": [0.0] * 3}
FLOW = {
    "modality": "flow",
    "size": [SIZE, SIZE],
    "interpolation": "area",
    "resize": "stretch",
    "crop": "full",
    "scale": 1.0,
    "mean": [0.0, 0.0],
    "std": [1.0, 1.0],
}


@dataclass(frozen=True)
class Family:
    """One reference model.

    Attributes:
        name: Of the row, the weights and the bundle.
        contract: In a phrase.
        source: The paper.
        make: The module to train.
        num_frames: T, at 30 frames a second.
        inputs: As in a spec, in the order of the module's arguments.
        steps: A module that does the same one frame at a time, with states, made from the
            trained one; it is what is exported. None: the trained one is.
        states: Shapes of the states of one stream, by the name behind `h_in`, `h_out`.
        epochs, batch, rate: Of the training.
        apart: From frame to frame, in steps of `FRAME_INTERVAL`.
        longest: Frames of the longest clips that it learns from, where it takes more than
            `num_frames` too; their lengths are drawn evenly.
        pretrained: It starts from a CNN for single frames that knows poses.
        frame_of: The family whose CNN for single frames it takes over and leaves as it is; its
            head alone is trained.
        of: The family whose weights it shares; None: its own.
    """

    name: str
    contract: str
    source: str
    make: Callable[[], Any]
    num_frames: int
    inputs: Mapping[str, Mapping[str, Any]]
    steps: Callable[[Any], Any] | None = None
    states: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    epochs: int = 30
    batch: int = 128
    rate: float = 3e-3
    apart: int = 1
    longest: int | None = None
    pretrained: bool = False
    frame_of: str | None = None
    of: str | None = None

    @property
    def input_specs(self) -> list[InputSpec]:
        """The inputs of the module that is trained, which sees whole clips."""
        clip = {name: dict(words) for name, words in self.inputs.items()}
        if self.states:
            clip = {"clip": {**clip["frame"], "layout": "NTCHW"}}
        return [InputSpec(name=name, **words) for name, words in clip.items()]

    @staticmethod
    def track(spec: InputSpec) -> str:
        """Name of the track of training clips that an input is made from."""
        if spec.modality == "flow":
            return "flow"
        return "fovea" if spec.crop == "fovea" else "full"

    @property
    def tracks(self) -> set[str]:
        """Names of the tracks that it learns from."""
        return set(map(self.track, self.input_specs))

    @property
    def exported_inputs(self) -> list[InputSpec]:
        """The inputs of the module that is exported, which takes one frame where it has states."""
        return [InputSpec(name=name, **words) for name, words in self.inputs.items()]

    @property
    def frame_interval(self) -> int:
        """As in a spec."""
        return self.apart * FRAME_INTERVAL

    @property
    def batch_axis(self) -> int:
        """Of its states: PyTorch's LSTM has the layers first."""
        return 1 if "h" in self.states else 0

    @property
    def spec(self) -> dict[str, Any]:
        """What `convert` is told."""
        clip: dict[str, Any] = {"frame_interval": self.frame_interval, "fps": FPS}
        if not self.states:
            clip |= {"num_frames": self.num_frames}
        inputs = [{"name": name, **words} for name, words in self.inputs.items()]
        outputs = [{"name": "logits", "kind": "logits"}]
        return {"labels": list(MOTIONS), "clip": clip, "inputs": inputs, "outputs": outputs}


def _clip(layout: str, **words: Any) -> dict[str, Any]:
    return {**FULL, "layout": layout, **words}


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "single-frame",
            "one frame, labels averaged over time",
            "",
            lambda: nets.SingleFrame(SIZE, CLASSES),
            1,
            {"frame": {**FULL, "layout": "NCHW"}},
            epochs=4,
        ),
        Family(
            "late-fusion",
            "N,T,C,H,W of 4 frames far apart (0.27 s)",
            "Karpathy et al. 2014",
            lambda: nets.LateFusion(SIZE, CLASSES, 4),
            4,
            {"clip": _clip("NTCHW")},
            apart=2,
            pretrained=True,
            epochs=8,
        ),
        Family(
            "early-fusion",
            "8 frames stacked into channels",
            "Karpathy et al. 2014",
            lambda: nets.Stacked(CLASSES, 3 * 8),
            8,
            {"clip": _clip("N(TC)HW")},
            epochs=21,
        ),
        Family(
            "context-fovea",
            "8 frames, twice: all at low resolution, the centre at full",
            "Karpathy et al. 2014",
            lambda: nets.ContextFovea(CLASSES, 8),
            8,
            {"context": _clip("NTCHW"), "fovea": {**FOVEA, "layout": "NTCHW"}},
            epochs=13,
        ),
        Family(
            "rgb-diff",
            "7 differences of 8 frames",
            "Wang et al. 2016",
            lambda: nets.Stacked(CLASSES, 3 * 7),
            8,
            {"clip": {**DIFFERENCES, "layout": "N(TC)HW"}},
            epochs=40,
        ),
        Family(
            "flow",
            "7 fields of optical flow",
            "Simonyan & Zisserman 2014",
            lambda: nets.Stacked(CLASSES, 2 * 7),
            8,
            {"flow": {**FLOW, "layout": "N(TC)HW"}},
            epochs=28,
        ),
        Family(
            "lrcn",
            "N,T,C,H,W of 8 frames",
            "Donahue et al. 2015",
            lambda: nets.Recurrent(SIZE, CLASSES),
            8,
            {"clip": _clip("NTCHW")},
            frame_of="late-fusion",
            longest=NUM_FRAMES,
        ),
        Family(
            "lrcn-stateful",
            "one frame and (h, c)",
            "Donahue et al. 2015",
            lambda: nets.Recurrent(SIZE, CLASSES),
            8,
            {"frame": {**FULL, "layout": "NCHW"}},
            steps=nets.RecurrentStep,
            states={"h": (1, 1, nets.FEATURES), "c": (1, 1, nets.FEATURES)},
            of="lrcn",
        ),
        Family(
            "tsm",
            "one frame and 3 shift buffers",
            "Lin et al. 2019",
            lambda: nets.Shift(CLASSES),
            8,
            {"frame": {**FULL, "layout": "NCHW"}},
            steps=nets.ShiftStep,
            states={
                f"shift{i}": (1, width // nets.Shift.FOLD, SIZE >> i + 1, SIZE >> i + 1)
                for i, width in enumerate(nets.WIDTHS[:-1])
            },
            pretrained=True,
            epochs=4,
        ),
        Family(
            "r2plus1d",
            "N,C,T,H,W of 8 frames",
            "Tran et al. 2018",
            lambda: volumes.Factorised(CLASSES),
            8,
            {"clip": _clip("NCTHW")},
            epochs=5,
        ),
        Family(
            "slowfast",
            "4 and 16 frames of one clip, alpha 4",
            "Feichtenhofer et al. 2019",
            lambda: volumes.SlowFast(CLASSES, 4),
            NUM_FRAMES,
            {"slow": _clip("NCTHW", every=4), "fast": _clip("NCTHW")},
            epochs=4,
        ),
        Family(
            "timesformer",
            "N,T,C,H,W of 8 frames",
            "Bertasius et al. 2021",
            lambda: nets.DividedAttention(SIZE, CLASSES, 8),
            8,
            {"clip": _clip("NTCHW")},
            frame_of="late-fusion",
            epochs=20,
            batch=64,
            rate=2e-3,
        ),
        Family(
            "causal-x3d",
            "N,C,T,H,W of 16 frames, causal",
            "Feichtenhofer 2020",
            lambda: volumes.CausalX3d(CLASSES),
            NUM_FRAMES,
            {"clip": _clip("NCTHW")},
            epochs=4,
        ),
    )
}
