"""What a user says of quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgevid.convert.quantize.clipset import DEFAULT_COUNT
from edgevid.convert.quantize.ranges import Method
from edgevid.convert.quantize.scales import ScaleType
from edgevid.convert.quantize.search import DEFAULT_BUDGET_S
from edgevid.convert.quantize.speed import CandidatePrecision
from edgevid.errors import SpecError

Quantizer = Literal["edgevid", "modelopt"]

_DEFAULT_METHODS: dict[Quantizer, Method] = {"edgevid": "mse", "modelopt": "entropy"}


@dataclass(frozen=True)
class QuantizeSettings:
    """What a user says of quantisation.

    Attributes:
        calib: Videos, folders, globs and CSV files to find ranges on.
        eval: The same, to judge on; empty: part of the clips drawn from `calib`, held out.
        calib_clips, eval_clips: How many windows to draw for each; to judge on, by default,
            twice as many as to calibrate on.
        quantizer: Who finds ranges and places Q/DQ: edgevid, or NVIDIA's Model Optimizer.
        method: How activation ranges are found; None: `mse`, with Model Optimizer `entropy`.
            It has `entropy` and `minmax` alone.
        seed: Of the drawing and the split.
        max_drop: See `Gate`.
        rest: Precision of what is not INT8.
        scales: Type of the Q/DQ scales; FP16 scales need an FP16 rest, and edgevid's quantizer.
        depthwise: Quantise depthwise convolutions too; Model Optimizer decides for itself.
        by_speed: Whether times decide among candidates that pass; None: only times on a device.
        int8_only: FP16 is kept only where no form of INT8 passes, whatever the times.
        budget_s: Of the search, in seconds.

    Raises:
        SpecError: Model Optimizer is asked for what it does not have.
    """

    calib: tuple[str, ...]
    eval: tuple[str, ...] = ()
    calib_clips: int = DEFAULT_COUNT
    eval_clips: int | None = None
    quantizer: Quantizer = "edgevid"
    method: Method | None = None
    seed: int = 0
    max_drop: float | None = None
    rest: CandidatePrecision = "fp16"
    scales: ScaleType = "float32"
    depthwise: bool = False
    by_speed: bool | None = None
    int8_only: bool = False
    budget_s: float = DEFAULT_BUDGET_S

    def __post_init__(self) -> None:
        if self.quantizer != "modelopt":
            return
        if self.method not in (None, "entropy", "minmax"):
            raise SpecError(
                f"Model Optimizer does not find ranges by {self.method!r}",
                "Give --calib-method entropy or minmax, or leave --quantizer out",
            )
        for option, given in (("scales", self.scales == "float16"), ("depthwise", self.depthwise)):
            if given:
                raise SpecError(
                    f"--{option} is of no use with --quantizer modelopt", "Leave one of them out"
                )

    @property
    def ranges_by(self) -> Method:
        """How activation ranges are found."""
        return self.method or _DEFAULT_METHODS[self.quantizer]

    @property
    def clips_to_judge(self) -> int:
        """How many windows to draw for the gate."""
        return 2 * self.calib_clips if self.eval_clips is None else self.eval_clips
