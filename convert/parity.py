"""Check that the converted graph gives the original's answers on real frames.

The original is fed by arithmetic that is written here a second time, in NumPy and in
float64, so that a mistake in the graph's own preprocessing shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from edgevid.convert.answers import as_scores
from edgevid.convert.frames import Window
from edgevid.convert.graph import SCORES
from edgevid.convert.load import Model
from edgevid.convert.session import Session
from edgevid.errors import ModelError, ParityError
from edgevid.manifest import Parity, Precision
from edgevid.spec import InputSpec, OutputKind, StateSpec
from edgevid.states import States
from edgevid.types import Array, UInt8Array

MAX_DIFFERENCE: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.05}
"""Largest allowed difference of one score."""


def prepare(frames: UInt8Array, spec: InputSpec, dtype: str) -> Array:
    """What the original model is fed for `frames`.

    Args:
        frames: `(N, H, W, channels)` or `(N, K, H, W, channels)` uint8: BGR or optical flow.
        spec: The input's contract.
        dtype: Of the original's input.

    Returns:
        (value * scale - mean) / std in the layout of `spec`.
    """
    values = frames.astype(np.float64)
    if spec.modality == "flow":
        values = values / 255 * 40 - 20
    elif spec.color == "rgb":
        values = values[..., ::-1]
    if spec.modality == "rgb_diff":
        values = np.diff(values, axis=1)
    values = (values * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    if values.ndim == 5 and spec.layout in ("NCHW", "NHWC"):
        values = values[:, 0]
    if spec.layout == "NCHW":
        values = np.moveaxis(values, 3, 1)
    elif spec.layout in ("NTCHW", "N(TC)HW"):
        values = np.moveaxis(values, 4, 2)
    elif spec.layout in ("NCTHW", "N(CT)HW"):
        values = np.moveaxis(values, 4, 1)
    if spec.layout in ("N(TC)HW", "N(CT)HW"):
        values = values.reshape(len(values), -1, *values.shape[3:])
    return np.ascontiguousarray(values.astype(dtype))


def original_scores(
    model: Model,
    inputs: Sequence[InputSpec],
    output: str,
    windows: Sequence[Window],
    states: Sequence[StateSpec] = (),
) -> Array:
    """`(rows, C)` float32: the original's raw output on each window.

    A model with states is stepped through each window from zero states, and gives a row a step.

    Raises:
        ModelError: The original fails on a window, or its output is not one score a class.
    """
    dtypes = {t.name: t.dtype for t in model.inputs}
    rows: list[Array] = []
    for frames, carried in _steps(windows, states):
        feeds = {spec.name: prepare(frames[spec.name], spec, dtypes[spec.name]) for spec in inputs}
        try:
            outputs = model.session.run({**feeds, **carried.feeds})
        except RuntimeError as exc:
            raise _failed(model, states, exc) from None
        _check_shapes(model, states, outputs)
        raw = outputs[output]
        if not carried.take(outputs):
            raise ModelError(
                f"a state of {model.path} is NaN or infinite after {len(rows) + 1} frames",
                "Check the model, and scale, mean and std in the --spec file",
            )
        if len(raw) != 1:
            raise ModelError(
                f"output {output!r} has shape {list(raw.shape)} for a batch of 1",
                "Export the model with one row of scores a window",
            )
        if not np.isfinite(raw).all():
            raise ModelError(
                f"output {output!r} of {model.path} is NaN or infinite on real frames"
                f"{_broken_weight(model)}",
                "Check the model where it was trained, and scale, mean and std in the --spec file",
            )
        rows.append(as_scores(raw, output))
    return np.concatenate(rows)


def _failed(model: Model, states: Sequence[StateSpec], exc: Exception) -> ModelError:
    """What to say of a model that fails: an open axis of a state may be more than the batch."""
    loose = next((s for s in states if s.batch_axis is not None), None)
    if loose is not None:
        return ModelError(
            f"{model.path} fails with one stream's states: {exc}",
            f"State {loose.input!r} was fed as {list(loose.shape)}; if one stream's is larger, "
            "export it with its size",
        )
    return ModelError(
        f"{model.path} fails on frames of the size it asks for: {exc}",
        "Check size, layout and num_frames in the --spec file",
    )


def _check_shapes(model: Model, states: Sequence[StateSpec], outputs: Mapping[str, Array]) -> None:
    """Raise ModelError where a state comes back in another shape."""
    for state in states:
        if outputs[state.output].shape != state.shape:
            raise ModelError(
                f"{model.path} takes state {state.input!r} as {list(state.shape)} and gives "
                f"{state.output!r} back as {list(outputs[state.output].shape)}",
                "Export the model with states that keep their shape",
            )


def _broken_weight(model: Model) -> str:
    """The first weight that is not finite, as the end of a sentence; empty where all are."""
    from onnx import numpy_helper

    for tensor in model.proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return f": its weight {tensor.name!r} holds NaN or infinity"
    return ""


def _steps(
    windows: Sequence[Window], states: Sequence[StateSpec]
) -> Iterator[tuple[Window, States]]:
    """The frames of each call, with the states that belong to its window."""
    for window in windows:
        carried = States(states)
        for i in range(len(next(iter(window.values())))):
            yield {name: array[i : i + 1] for name, array in window.items()}, carried


def activate(scores: Array, kind: OutputKind) -> Array:
    """Raw output to scores in [0, 1], in NumPy."""
    values = scores.astype(np.float64)
    if kind == "logits":
        values = np.exp(values - values.max(axis=1, keepdims=True))
        values /= values.sum(axis=1, keepdims=True)
    elif kind == "sigmoid":
        values = 1 / (1 + np.exp(-values))
    return values


def compare(
    session: Session,
    expected: Array,
    windows: Sequence[Window],
    frames_from: str,
) -> Parity:
    """How the graph's scores on `windows` differ from `expected`, `(rows, C)`.

    Raises:
        ParityError: The graph fails.
    """
    try:
        actual = session.run_each(windows, SCORES)
    except RuntimeError as exc:
        raise ParityError(
            f"the converted graph fails on {frames_from}: {exc}", "Try --precision fp32"
        ) from None
    difference = np.abs(actual - expected)
    agree = actual.argmax(axis=1) == expected.argmax(axis=1)
    return Parity(
        clips=len(windows),
        # A score that is no number differs by all it can.
        max_abs_diff=float(np.nan_to_num(difference, nan=1.0).max()),
        mean_abs_diff=float(np.nan_to_num(difference, nan=1.0).mean()),
        top1_agreement=float(agree.mean()),
        frames_from=frames_from,
    )


def require_parity(parity: Parity, precision: Precision) -> None:
    """Raise ParityError where the scores differ by more than the precision allows."""
    limit = MAX_DIFFERENCE[precision]
    if parity.max_abs_diff <= limit:
        return
    hint = (
        "Check with --spec what is assumed; if it is right, this is a fault of edgevid: report it"
    )
    if precision == "fp16":
        hint = "Convert with --precision fp32"
    raise ParityError(
        f"the {precision} graph's scores differ from the model's by up to "
        f"{parity.max_abs_diff:.2g} (allowed: {limit:g}; same best class on "
        f"{parity.top1_agreement:.0%} of {parity.frames_from})",
        hint,
    )
