"""An X3D-like network whose convolutions see no frame after their own, as an ONNX graph.

X3D, Feichtenhofer 2020 (arXiv:2004.04730), with causal convolutions and with squeeze and
excitation of each frame alone, as in MoViNet, Kondratyuk et al. 2021 (arXiv:2103.11511). The
weights are random, scaled to keep the activations' size (He et al. 2015): what is measured is
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import NodeProto

WIDTHS = (24, 48, 96, 192)
DEPTHS = (3, 5, 11, 7)
"""Blocks in each stage of X3D-S."""

_EXCITED = 16
_LAST = 432


def write_causal_x3d(
    path: Path, num_frames: int, size: int, classes: int, depths: Sequence[int] = DEPTHS
) -> None:
    """Write the network: `clip` (N, 3, T, size, size) float32 to `logits` (N, classes)."""
    net = _Net()
    x = net.conv("clip", 3, 24, (1, 3, 3), stride=2)
    x = net.relu(net.conv(x, 24, 24, (5, 1, 1), depthwise=True))
    channels = 24
    for width, depth in zip(WIDTHS, depths, strict=False):
        for i in range(depth):
            x = _block(net, x, channels, width, 2 if i == 0 else 1, excite=i % 2 == 0)
            channels = width
    x = net.relu(net.conv(x, channels, _LAST, (1, 1, 1)))
    x = net.add("ReduceMean", x, axes=[2, 3, 4], keepdims=0)
    weight = net.weight((_LAST, classes), _LAST)
    net.add("Gemm", x, weight, net.constant(np.zeros(classes, np.float32)), output="logits")
    net.save(path, num_frames, size, classes)


def _block(net: _Net, x: str, inputs: int, outputs: int, stride: int, *, excite: bool) -> str:
    """Widen, depthwise over time and places, excite, narrow; and a shortcut."""
    wide = int(outputs * 2.25)
    y = net.relu(net.conv(x, inputs, wide, (1, 1, 1)))
    y = net.conv(y, wide, wide, (3, 3, 3), stride=stride, depthwise=True)
    if excite:
        z = net.add("ReduceMean", y, axes=[3, 4], keepdims=1)
        z = net.relu(net.conv(z, wide, _EXCITED, (1, 1, 1)))
        y = net.add("Mul", y, net.add("Sigmoid", net.conv(z, _EXCITED, wide, (1, 1, 1))))
    y = net.conv(net.add("Mul", y, net.add("Sigmoid", y)), wide, outputs, (1, 1, 1), gain=0.3)
    if inputs != outputs or stride != 1:
        x = net.conv(x, inputs, outputs, (1, 1, 1), stride=stride)
    return net.relu(net.add("Add", x, y))


class _Net:
    """Collects nodes and random weights."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._rng = np.random.default_rng(0)

    def add(self, op: str, *operands: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, operands, [name], name=name, **attributes))
        return name

    def relu(self, x: str) -> str:
        return self.add("Relu", x)

    def constant(self, values: Array) -> str:
        name = f"weight_{len(self._weights)}"
        self._weights[name] = values
        return name

    def weight(self, shape: Sequence[int], fan_in: float) -> str:
        scale = (2 / fan_in) ** 0.5
        return self.constant(self._rng.normal(0, scale, shape).astype(np.float32))

    def conv(
        self,
        x: str,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        *,
        stride: int = 1,
        depthwise: bool = False,
        gain: float = 1.0,
    ) -> str:
        """A convolution with a bias; in time it is padded before the first frame alone."""
        time, height, width = kernel
        each = 1 if depthwise else inputs
        return self.add(
            "Conv",
            x,
            self.weight((outputs, each, *kernel), each * time * height * width / gain**2),
            self.constant(np.zeros(outputs, np.float32)),
            group=outputs if depthwise else 1,
            kernel_shape=kernel,
            strides=[1, stride, stride],
            pads=[time - 1, height // 2, width // 2, 0, height // 2, width // 2],
        )

    def save(self, path: Path, num_frames: int, size: int, classes: int) -> None:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        shape = ["batch", 3, num_frames, size, size]
        graph = helper.make_graph(
            self._nodes,
            "causal_x3d",
            [helper.make_tensor_value_info("clip", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
            [numpy_helper.from_array(values, name) for name, values in self._weights.items()],
        )
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
