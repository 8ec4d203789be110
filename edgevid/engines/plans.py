"""What a TensorRT plan is valid for, written so that it can be a file name.

trtrtx-1.7.1.116-sm86-fp16-b1-4-0a1b2c3d
│      │         │    │    │    └ first 8 hex digits of the ONNX file's SHA-256
│      │         │    │    └ batches 1 to 4; `b2`: the graph itself has batch 2
│      │         │    └ precision of the graph: fp32, fp16, int8, or mixed
│      │         └ compute capability 8.6; `any`: portable (TensorRT-RTX only);
│      │           `sm87-dla0`: layers on DLA core 0 (TensorRT only)
│      └ version of the library, to the build number: plans fit no other
└ trt: TensorRT; trtrtx: TensorRT-RTX
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from edgevid.errors import EngineError
from edgevid.manifest import Precision

Flavour = Literal["tensorrt", "tensorrt-rtx"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

_PREFIXES: dict[Flavour, str] = {"tensorrt": "trt", "tensorrt-rtx": "trtrtx"}
_PRECISIONS: tuple[str, ...] = get_args(Precision)
_HASH_DIGITS = 8

_KEY = re.compile(
    r"(?P<prefix>trt|trtrtx)-(?P<version>[0-9A-Za-z.+]+)-(?:sm(?P<major>[0-9]+)(?P<minor>[0-9])|any)"
    r"(?:-dla(?P<dla>[0-9]))?-(?P<precision>[a-z0-9]+)-b(?P<min>[1-9][0-9]*)(?:-(?P<max>[1-9][0-9]*))?"
    r"-(?P<hash>[0-9a-f]{8})"
)


@dataclass(frozen=True)
class PlanKey:
    """What a plan is valid for.

    A plan fits the library whose version matches to the build number (TensorRT's release
    notes, "Release Properties").

    Attributes:
        flavour: "tensorrt" or "tensorrt-rtx".
        version: Of the library that built it, such as "10.3.0".
        compute_capability: Such as "8.7"; None: portable across GPUs of 8.0 and later
            (TensorRT-RTX's default; "CPU-Only AOT and TensorRT-RTX Engines" in its manual).
        precision: Of the graph: "fp32", "fp16", "int8" (all that can be), "mixed" (INT8 in
            part).
        min_batch, max_batch: The batches it takes; equal where `fixed_batch`.
        fixed_batch: The graph itself fixes the batch: no plan of it can take another.
        model_hash: First 8 hex digits of the SHA-256 of the ONNX file.
        dla_core: The DLA core that runs what it can; None: the GPU runs all.
    """

    flavour: Flavour
    version: str
    compute_capability: str | None
    precision: str
    min_batch: int
    max_batch: int
    fixed_batch: bool
    model_hash: str
    dla_core: int | None = None

    def __post_init__(self) -> None:
        if self.precision not in _PRECISIONS:
            raise ValueError(f"there is no precision {self.precision!r}")
        if self.flavour != "tensorrt" and self.dla_core is not None:
            raise ValueError("only TensorRT has plans for a DLA")
        if self.flavour == "tensorrt" and self.compute_capability is None:
            raise ValueError("only TensorRT-RTX has portable plans")
        if not 1 <= self.min_batch <= self.max_batch:
            raise ValueError(f"batches {self.min_batch} to {self.max_batch} cannot be")
        if self.fixed_batch and self.min_batch != self.max_batch:
            raise ValueError(f"a fixed batch is one: {self.min_batch} and {self.max_batch} differ")

    def __str__(self) -> str:
        device = "any"
        if self.compute_capability is not None:
            device = "sm" + self.compute_capability.replace(".", "")
        if self.dla_core is not None:
            device += f"-dla{self.dla_core}"
        batch = f"b{self.max_batch}" if self.fixed_batch else f"b{self.min_batch}-{self.max_batch}"
        prefix = _PREFIXES[self.flavour]
        return "-".join([prefix, self.version, device, self.precision, batch, self.model_hash])

    @classmethod
    def parse(cls, text: str) -> PlanKey:
        """The key that `str` gave `text` for.

        Raises:
            EngineError: `text` is no plan key.
        """
        found = _KEY.fullmatch(text)
        hint = "Plan keys look like trt-10.3.0-sm87-fp16-b1-4-0a1b2c3d"
        if found is None:
            raise EngineError(f"{text!r} is no plan key", hint)
        capability = None if found["major"] is None else f"{found['major']}.{found['minor']}"
        flavour: Flavour = "tensorrt" if found["prefix"] == "trt" else "tensorrt-rtx"
        try:
            return cls(
                flavour=flavour,
                version=found["version"],
                compute_capability=capability,
                precision=found["precision"],
                min_batch=int(found["min"]),
                max_batch=int(found["max"] or found["min"]),
                fixed_batch=found["max"] is None,
                model_hash=found["hash"],
                dla_core=None if found["dla"] is None else int(found["dla"]),
            )
        except ValueError as exc:
            raise EngineError(f"{text!r} is no plan key: {exc}", hint) from None

    def serves(self, want: PlanKey) -> bool:
        """Whether a plan with this key can do what one with the key `want` could.

        One for a DLA serves whoever does not ask for another core: it is there because
        somebody chose it. It has one batch, so larger ones are run in pieces.
        """
        same = (
            self.flavour == want.flavour
            and self.version == want.version
            and self.precision == want.precision
            and self.model_hash == want.model_hash
            and want.dla_core in (None, self.dla_core)
        )
        batches = self.min_batch <= want.min_batch and (
            want.max_batch <= self.max_batch or self.dla_core is not None
        )
        return same and self.runs_on(want.compute_capability) and (self.fixed_batch or batches)

    def runs_on(self, compute_capability: str | None) -> bool:
        """Whether such a plan runs on a GPU of that compute capability."""
        return self.compute_capability == compute_capability or (
            self.compute_capability is None and is_portable_target(compute_capability)
        )


def is_portable_target(compute_capability: str | None) -> bool:
    """Whether a portable TensorRT-RTX plan runs on a GPU of that compute capability."""
    return compute_capability is None or int(compute_capability.split(".")[0]) >= 8


def short_hash(sha256: str) -> str:
    """The part of an ONNX file's SHA-256 that stands in a plan key."""
    return sha256[:_HASH_DIGITS]
