"""A PyTorch model in memory, whatever it was read from: its inputs, and how to call it."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgevid.errors import MissingDependencyError, ModelError, SpecError
from edgevid.types import Array, TensorInfo

if TYPE_CHECKING:
    import torch

EXAMPLE_FLAG = "--example-shape 1,3,16,112,112"
HOW_TO_EXPORT = "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')"

_DTYPES = ("float16", "float32", "float64", "uint8")


@dataclass(frozen=True)
class TorchModel:
    """A model on the CPU, in evaluation mode.

    Attributes:
        source: What the user gave.
        name: For file names.
        form: `program` is a `torch.export.ExportedProgram`, `script` a
            `torch.jit.ScriptModule`, `module` any other `torch.nn.Module`.
        code: The object itself.
        inputs: Its tensors in order, batch first. A dimension is None where the program
            leaves it open; the shape is () where nothing says it yet.
    """

    source: str
    name: str
    form: Literal["program", "script", "module"]
    code: Any
    inputs: tuple[TensorInfo, ...]

    @property
    def module(self) -> torch.nn.Module:
        """Something to call."""
        module: torch.nn.Module = self.code
        if self.form == "program":
            module = self.code.module()
            # A program has one mode; the exporter's wish to set it must not be an error.
            module.train = lambda _mode=True: module
        return module

    def arguments(self, arrays: Sequence[Array]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and named arguments of a call with `arrays`, in the order of `inputs`."""
        import torch
        from torch.utils import _pytree as pytree

        tensors = [torch.from_numpy(array) for array in arrays]
        if self.form != "program" or self.code.example_inputs is None:
            return tuple(tensors), {}
        # A program may take its tensors in lists, by name, and beside constants.
        leaves, structure = pytree.tree_flatten(self.code.example_inputs)
        given = iter(tensors)
        leaves = [next(given) if isinstance(x, torch.Tensor) else x for x in leaves]
        args, kwargs = pytree.tree_unflatten(leaves, structure)
        return args, kwargs

    def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Every output by name.

        Raises:
            Exception: Whatever the model raises.
        """
        import torch

        args, kwargs = self.arguments(arrays)
        with torch.no_grad():
            result = self.module(*args, **kwargs)
        taken = {tensor.name for tensor in self.inputs}
        return {name: tensor.numpy() for name, tensor in _named(result, taken)}

    def random(self, batch: int, seed: int) -> list[Array]:
        """Inputs for one call: standard normal numbers, or bytes."""
        rng = np.random.default_rng(seed)
        arrays = []
        for tensor in self.inputs:
            shape = (batch, *(1 if length is None else length for length in tensor.shape[1:]))
            if np.issubdtype(tensor.dtype, np.floating):
                arrays.append(rng.standard_normal(shape).astype(tensor.dtype))
            else:
                arrays.append(rng.integers(0, 256, shape).astype(tensor.dtype))
        return arrays


def _named(result: Any, taken: set[str]) -> list[tuple[str, Any]]:
    """The tensors that a model returned: a mapping's keys are their names where no input has
    them; else they are `output`, or `output_0`, `output_1` and so on."""
    import torch
    from torch.utils import _pytree as pytree

    tensors = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]
    if isinstance(result, Mapping) and len(result) == len(tensors):
        names = [str(key) for key in result]
        if not taken & set(names):
            return list(zip(names, tensors, strict=True))
    if len(tensors) == 1:
        return [("output", tensors[0])]
    return [(f"output_{i}", tensor) for i, tensor in enumerate(tensors)]


def with_example(model: TorchModel, example_shape: Sequence[int] | None, dtype: str) -> TorchModel:
    """`model` with every shape known, from the model itself or from the user.

    Raises:
        SpecError: A shape is missing, cannot be, or contradicts the model.
    """
    if example_shape is None:
        for tensor in model.inputs:
            if not tensor.shape:
                raise SpecError(
                    f"nothing says the shape of input {tensor.name!r} of {model.source}",
                    f"Give it, batch first: {EXAMPLE_FLAG}",
                )
        return _as_exported(model)
    shape = tuple(example_shape)
    shown = ",".join(map(str, shape))
    if len(shape) < 2 or min(shape) < 1:
        raise SpecError(
            f"--example-shape {shown} cannot be: it is two or more positive numbers, batch first",
            f"Give it such as {EXAMPLE_FLAG}",
        )
    if dtype not in _DTYPES:
        raise SpecError(f"unknown dtype {dtype!r}", f"Choose one of: {', '.join(_DTYPES)}")
    if len(model.inputs) != 1:
        names = ", ".join(tensor.name for tensor in model.inputs)
        raise SpecError(
            f"--example-shape gives one shape, but {model.source} takes {len(model.inputs)} "
            f"inputs ({names})",
            f"Export it with examples of all: {HOW_TO_EXPORT}",
        )
    (tensor,) = model.inputs
    if model.form != "program":
        return replace(model, inputs=(TensorInfo(tensor.name, shape, dtype),))
    fits = len(shape) == len(tensor.shape) and all(
        own in (None, length) for own, length in zip(tensor.shape[1:], shape[1:], strict=True)
    )
    if not fits:
        own = ",".join("?" if length is None else str(length) for length in tensor.shape)
        raise SpecError(
            f"--example-shape {shown} does not fit {model.source}, exported for {own}",
            "Leave it out",
        )
    asked = TensorInfo(tensor.name, (tensor.shape[0], *shape[1:]), tensor.dtype)
    return replace(model, inputs=(asked,))


def _as_exported(model: TorchModel) -> TorchModel:
    """Close a program's open dimensions, all but the batch, to those of its own example."""
    import torch
    from torch.utils import _pytree as pytree

    if model.form != "program" or model.code.example_inputs is None:
        return model
    leaves = pytree.tree_leaves(model.code.example_inputs)
    examples = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    inputs = tuple(
        replace(tensor, shape=(tensor.shape[0], *example.shape[1:]))
        for tensor, example in zip(model.inputs, examples, strict=True)
    )
    return replace(model, inputs=inputs)


def one_input(source: str, names: Sequence[str]) -> tuple[TensorInfo, ...]:
    """The only input that a module or script needs, of a shape yet unknown.

    Raises:
        ModelError: It needs several, or none.
    """
    if len(names) != 1:
        listed = f" ({', '.join(names)})" if names else ""
        raise ModelError(
            f"forward() of {source} takes {len(names)} inputs{listed}; edgevid exports modules "
            "with one",
            f"Export it with examples of all: {HOW_TO_EXPORT}",
        )
    return (TensorInfo(names[0], (), "float32"),)


def reason(exc: BaseException) -> str:
    """The first line of an exception's message that says something, without its full stop."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    # TorchScript's interpreter puts its own stack first.
    telling = [line for line in lines if line.startswith(("RuntimeError:", "ValueError:"))]
    text = (telling or lines or [type(exc).__name__])[0]
    return (text if len(text) <= 240 else f"{text[:240]}...").rstrip(". ")


def require_torch() -> None:
    """Raise MissingDependencyError where a package of the extra `torch` is missing."""
    for package in ("torch", "onnx", "onnxscript"):
        try:
            importlib.import_module(package)
        except ImportError:
            raise MissingDependencyError(package, "torch", "Reading a PyTorch model") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch and a user's module print out of stdout, and drop log and warnings.

    What matters of them becomes a note or an error.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
