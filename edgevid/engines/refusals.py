"""What TensorRT's ONNX parser refused, said with the node, its operator and what to do.

The texts that are recognised were provoked with TensorRT-RTX 1.7, or stand in reports of
TensorRT 8.5 to 10.16. A text that is not recognised is passed on as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.errors import BuildError

if TYPE_CHECKING:
    import tensorrt

_DATA_DEPENDENT_OPERATORS = frozenset(
    {"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"}
)

_CPU = "or run it with --engine onnxruntime"
_DATA_DEPENDENT_SHAPE = (
    "the shape of its output depends on the data, which no fixed engine can hold",
    f"Export the model so that this node's shapes are constants, {_CPU}",
)
_ZERO_POINT = (
    "its zero point is not 0, and TensorRT takes only symmetric quantisation",
    "Convert the model as it was before it was quantised, with --precision int8 and --calib, "
    f"{_CPU}",
)
_NO_OPERATOR = (
    "TensorRT has no such operator",
    f"Export the model without it (a newer opset may write it with others), {_CPU}",
)
_NO_DATA_TYPE = (
    "TensorRT has no such data type",
    f"Export the model with float32 inputs and weights, {_CPU}",
)
_ONE_TYPE = (
    "Give all its inputs one type with a Cast in the model, or convert the FP32 model with "
    "--precision fp16"
)
_UNKNOWN = f"Export the model without that node, {_CPU}"
_NOT_A_NODE = "Check that it is a whole ONNX file: edgevid inspect"

_SAME_TYPE = re.compile(r"must (?:have|be of) (?:the )?same (?:input )?types?")
_TYPE = re.compile(r"\b(?:BF16|BFloat16|Bool|Double|Float|FP8|Half|Int4|Int8|Int32|Int64|UInt8)\b")
_ZERO_POINTS = re.compile(r"shiftIsAllZeros|zero.?point|zeroPt", re.IGNORECASE)
_SHAPES = re.compile(r"getSymbolicValue|symbolic execution|data.dependent", re.IGNORECASE)
_PLUGINS = re.compile(r"plugin (?:not found|creator)|no importer registered", re.IGNORECASE)
_DATA_TYPES = re.compile(r"convertDtype|convert ONNX dat\w+ type|UNSUPPORTED_NODE_DATATYPE")
# Lines that follow any error, on a machine without a GPU and of a node without a shape.
_NOISE = re.compile(r"catchCudaError|Output shape can not be computed")
_PLACES = re.compile(r"^\[\S+::\w+::\d+\] |^Assertion failed: | In \w+ at [^ )]+")


@dataclass(frozen=True)
class Refusal:
    """Why the parser refused a graph at one place.

    Attributes:
        node, operator: Name and operator of the node; empty where it is no node's fault.
        reason: What is wrong with it.
        hint: What to do.
    """

    node: str
    operator: str
    reason: str
    hint: str

    def __str__(self) -> str:
        return (
            f"node {self.node!r} ({self.operator}): {self.reason}" if self.operator else self.reason
        )


def explain(node: str, operator: str, code: str, text: str) -> Refusal:
    """Put the parser's words into plain ones.

    Args:
        node: The node's name, or its number where it has none.
        operator: Its operator; empty where the error is no node's.
        code: Name of the error code, such as "UNSUPPORTED_NODE".
        text: The parser's own description.
    """
    reason, hint = _words(operator, code, text)
    return Refusal(node, operator, reason, hint)


def _words(operator: str, code: str, text: str) -> tuple[str, str]:
    same_type = _SAME_TYPE.search(text)
    if same_type:
        types = " and ".join(dict.fromkeys(_TYPE.findall(text, same_type.end()))) or "several types"
        return f"its inputs are of {types}, and precision is what the graph says", _ONE_TYPE
    if operator in ("QuantizeLinear", "DequantizeLinear") and _ZERO_POINTS.search(text):
        return _ZERO_POINT
    if operator in _DATA_DEPENDENT_OPERATORS or _SHAPES.search(text):
        return _DATA_DEPENDENT_SHAPE
    if _DATA_TYPES.search(code) or _DATA_TYPES.search(text):
        return _NO_DATA_TYPE
    if operator and (_PLUGINS.search(text) or _only_says_no(code, text)):
        return _NO_OPERATOR
    return _clean(text) or "it did not say why", _UNKNOWN if operator else _NOT_A_NODE


def _only_says_no(code: str, text: str) -> bool:
    """The parser's answer for an operator that it knows by name alone."""
    return code in ("UNSUPPORTED_NODE", "UNSUPPORTED_GRAPH") and text.strip() in ("", "false")


def _clean(text: str) -> str:
    """The lines that say something, without where in the library they were written."""
    lines = [line for line in text.splitlines() if line.strip() and not _NOISE.search(line)]
    return " ".join(_PLACES.sub("", line).strip() for line in lines).strip(". ")


def parse_graph(trt: Any, parser: tensorrt.OnnxParser, path: Path) -> None:
    """Read an ONNX file into the parser's network.

    Raises:
        BuildError: The parser refused it: every node it named, and what to do.
    """
    if parser.parse_from_file(str(path)):
        return
    refusals: list[Refusal] = []
    for i in range(parser.num_errors):
        error: tensorrt.ParserError = parser.get_error(i)
        name = error.node_name() or f"number {error.node()}"
        code = str(error.code()).rpartition(".")[2]
        refusals.append(explain(name, error.node_operator(), code, error.desc()))
    raise BuildError(*_say(trt, path, refusals))


def _say(trt: Any, path: Path, refusals: list[Refusal]) -> tuple[str, str]:
    shown = "; ".join(str(refusal) for refusal in refusals[:5]) or "it did not say why"
    more = f"; and {len(refusals) - 5} more" if len(refusals) > 5 else ""
    hint = refusals[0].hint if refusals else _NOT_A_NODE
    return f"TensorRT {trt.__version__} cannot parse {path}: {shown}{more}", hint
