"""Rewrite a graph so that all nodes but given ones compute in FP16, strongly typed.

Every tensor has one type; a Cast stands only where an FP16 node meets an FP32 node. (The
converter of ONNX Runtime also casts to FP16 and back between two FP32 nodes, where an
activation beyond 65504 turns into infinity.) Which operands of an operator may be FP16 is
read from ONNX's own operator schemas.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.convert.graph import all_names, subgraphs

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_TYPED_BY_ATTRIBUTE = (
    "Bernoulli",
    "EyeLike",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
_SCALED = ("QuantizeLinear", "DequantizeLinear")


def name_nodes(model: ModelProto) -> ModelProto:
    """A copy whose nodes all have a name of their own, and whose constants are initializers."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _constants_to_initializers(copy)
    taken: set[str] = set()
    for i, node in enumerate(copy.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{i}"
            while node.name in taken:
                node.name += "_"
        taken.add(node.name)
    return copy


def is_float_weight(tensor: TensorProto) -> bool:
    """True for an FP32 initializer."""
    from onnx import TensorProto

    return bool(tensor.data_type == TensorProto.FLOAT)


def to_half(model: ModelProto, keep: Collection[str], *, half_scales: bool = False) -> ModelProto:
    """A copy that computes in FP16.

    Args:
        model: FP32, from `name_nodes`.
        keep: Names of nodes that stay in FP32; whatever makes a graph output must be one.
        half_scales: Let QuantizeLinear and DequantizeLinear be FP16 too, scales and all;
            they can be from opset 19 on.
    """
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    rewriter = _Rewriter(inferred, {*keep, *(() if half_scales else _scaled_nodes(model))})
    for node in model.graph.node:
        rewriter.add(node)
    rewriter.finish()
    return inferred


def _scaled_nodes(model: ModelProto) -> set[str]:
    return {node.name for node in model.graph.node if node.op_type in _SCALED}


class _Rewriter:
    """Takes the nodes in order and hands each operand over in the type that it needs."""

    def __init__(self, model: ModelProto, keep: Collection[str]) -> None:
        from onnx import TensorProto

        self._float, self._half = TensorProto.FLOAT, TensorProto.FLOAT16
        self._model = model
        self._graph = model.graph
        self._keep = keep
        self._opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self._weights = {t.name: t for t in model.graph.initializer}
        self._types = _element_types(model)
        self._read_inside = {
            name for node in model.graph.node for g in subgraphs(node) for name in all_names(g)
        }
        self._variants: dict[tuple[str, int], str] = {}
        self._nodes: list[NodeProto] = []

    def add(self, original: NodeProto) -> None:
        import onnx

        node = onnx.NodeProto()
        node.CopyFrom(original)
        half = self._bears_half(node)
        may_be_half = _half_operands(node, self._opset) if half else None
        for i, name in enumerate(node.input):
            if self._types.get(name) in (self._float, self._half):
                wanted = self._half if may_be_half and may_be_half[0](i) else self._float
                node.input[i] = self._as_type(name, wanted)
        if may_be_half:
            _set_result_type(node, self._float, self._half)
            for i, name in enumerate(node.output):
                if self._types.get(name) == self._float and may_be_half[1](i):
                    self._types[name] = self._half
        self._nodes.append(node)

    def _bears_half(self, node: NodeProto) -> bool:
        known = all(name in self._types for name in (*node.input, *node.output) if name)
        # A nested graph reads tensors of the outer one as it knows them: in FP32.
        read_inside = any(name in self._read_inside for name in node.output)
        return (
            node.name not in self._keep
            and node.domain in ("", "ai.onnx")
            and node.op_type not in _TYPED_BY_ATTRIBUTE
            and known
            and not read_inside
            and not any(True for _ in subgraphs(node))
        )

    def _as_type(self, name: str, wanted: int) -> str:
        """The tensor itself where it has the type, else a converted weight or a Cast of it."""
        from onnx import helper, numpy_helper

        if self._types[name] == wanted:
            return name
        suffix = "fp16" if wanted == self._half else "fp32"
        if (name, wanted) not in self._variants:
            converted = f"{name}/{suffix}"
            if name in self._weights:
                values = numpy_helper.to_array(self._weights[name]).astype(np.float16)
                self._graph.initializer.append(numpy_helper.from_array(values, converted))
            else:
                self._nodes.append(
                    helper.make_node(
                        "Cast", [name], [converted], name=f"{name}/to_{suffix}", to=wanted
                    )
                )
            self._variants[name, wanted] = converted
        return self._variants[name, wanted]

    def finish(self) -> None:
        """Put the new nodes in place, and drop the weights that only had an FP16 use."""
        used = {name for node in self._nodes for name in node.input}
        used |= self._read_inside | {value.name for value in self._graph.output}
        weights = [t for t in self._graph.initializer if t.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(weights)
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        # Recorded for FP32.
        del self._graph.value_info[:]


def _element_types(model: ModelProto) -> dict[str, int]:
    graph = model.graph
    types = {t.name: t.data_type for t in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.HasField("tensor_type"):
            types[value.name] = value.type.tensor_type.elem_type
    return types


def _half_operands(node: NodeProto, opset: int) -> tuple[Any, Any]:
    """Two predicates: may input i, may output i be FP16, by the operator's schema."""
    from onnx import defs

    schema = defs.get_schema(node.op_type, opset, "")
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}

    def predicate(parameters: Any) -> Any:
        def may_be_half(i: int) -> bool:
            # The last parameter may stand for any number of operands.
            type_name = parameters[min(i, len(parameters) - 1)].type_str
            return "tensor(float16)" in allowed.get(type_name, [type_name])

        return may_be_half

    return predicate(schema.inputs), predicate(schema.outputs)


def _set_result_type(node: NodeProto, old: int, new: int) -> None:
    """Operators whose result has the type that an attribute says."""
    from onnx import helper, numpy_helper

    if node.op_type == "ConstantOfShape" and not node.attribute:
        value = numpy_helper.from_array(np.zeros(1, np.float16))
        node.attribute.append(helper.make_attribute("value", value))
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == old:
            attribute.i = new
        if node.op_type == "ConstantOfShape" and attribute.t.data_type == old:
            constant = numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(numpy_helper.from_array(constant))


def _constants_to_initializers(model: ModelProto) -> None:
    """So that an FP16 copy of a constant is made like that of a weight."""
    from onnx import helper, numpy_helper

    dtypes = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    for node in [n for n in model.graph.node if n.op_type == "Constant"]:
        attribute = node.attribute[0]
        if attribute.name == "value":
            values = numpy_helper.to_array(attribute.t)
        elif attribute.name in dtypes:
            values = np.array(helper.get_attribute_value(attribute), dtypes[attribute.name])
        else:
            continue
        model.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        model.graph.node.remove(node)
