"""The deep-learning accelerator (DLA) of Jetson Orin and Xavier.

It computes 2D layers in FP16 and INT8, at one fixed batch; layers that it cannot run fall
back to the GPU. TensorRT has it up to 10.7, and again from 11.4.1 on JetPack 7.2.2 ("Working
with DLA" in its documentation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevid.engines.plans import Flavour
from edgevid.errors import BuildError

if TYPE_CHECKING:
    import tensorrt

_WHERE = (
    "Jetson AGX Orin, Orin NX and Xavier have one, with TensorRT up to 10.7 or from 11.4.1 on; "
    "leave --dla out elsewhere"
)


def check_dla(flavour: Flavour, precision: str) -> None:
    """Refuse before any work what no DLA can run.

    Raises:
        BuildError: TensorRT-RTX, or a graph in FP32.
    """
    if flavour != "tensorrt":
        raise BuildError(f"{flavour} has no DLA", _WHERE)
    if precision == "fp32":
        raise BuildError(
            "the DLA computes only in FP16 and INT8, and this graph is in FP32",
            "Convert with --precision fp16 or int8, or leave --dla out",
        )


def check_core(trt: Any, builder: tensorrt.Builder, core: int) -> None:
    """Refuse a core that is not there.

    Raises:
        BuildError: This device or this release has no DLA, or not so many cores.
    """
    cores = builder.num_DLA_cores
    if cores == 0:
        raise BuildError(f"TensorRT {trt.__version__} finds no DLA on this device", _WHERE)
    if core >= cores:
        raise BuildError(
            f"there is no DLA core {core}: this device has {cores}", f"Give 0 to {cores - 1}"
        )


@dataclass(frozen=True)
class Placed:
    """Which layers of a network run where, by the network's own names."""

    on_dla: tuple[str, ...]
    on_gpu: tuple[str, ...]

    def note(self, core: int) -> str:
        """What runs where, in a sentence that stays short."""
        total = len(self.on_dla) + len(self.on_gpu)
        text = f"DLA core {core} runs {len(self.on_dla)} of {total} layers"
        if not self.on_gpu:
            return text + "."
        shown = ", ".join(self.on_gpu[:5])
        more = f" and {len(self.on_gpu) - 5} more" if len(self.on_gpu) > 5 else ""
        return f"{text}; on the GPU: {shown}{more}."


def place_on_dla(
    trt: Any,
    network: tensorrt.INetworkDefinition,
    config: tensorrt.IBuilderConfig,
    core: int,
) -> Placed:
    """Send every layer that can run there to a DLA core, and the rest to the GPU.

    Raises:
        BuildError: No layer can run there.
    """
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    on_dla: list[str] = []
    on_gpu: list[str] = []
    for i in range(network.num_layers):
        layer: tensorrt.ILayer = network.get_layer(i)
        (on_dla if config.can_run_on_DLA(layer) else on_gpu).append(layer.name)
    if not on_dla:
        raise BuildError(
            "no layer of this graph can run on the DLA",
            "It runs 2D layers in FP16 or INT8; leave --dla out for this model",
        )
    return Placed(tuple(on_dla), tuple(on_gpu))


def adjust_parser(trt: Any, parser: tensorrt.OnnxParser) -> None:
    """Let the parser write layers in the form that suits the DLA, where it offers that."""
    if hasattr(trt.OnnxParserFlag, "ADJUST_FOR_DLA"):
        parser.set_flag(trt.OnnxParserFlag.ADJUST_FOR_DLA)
