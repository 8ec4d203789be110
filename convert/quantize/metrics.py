"""How a graph's scores compare with those of the graph that it came from, on the same clips.

With p a clip's scores from the reference and q from the candidate:

    KL(p || q) = sum p ln(p / q)                 in nats, p and q clipped at 1e-12
                                                 (Kullback & Leibler 1951)
    SQNR       = 10 log10(sum x^2 / sum (x - y)^2)    in dB, on the logits x and y
    cosine     = sum x y / sqrt(sum x^2 sum y^2)      on the logits

A softmax ignores what is added to all logits alike, so each clip's mean logit is taken off
before SQNR and cosine. Log-probabilities are logits less a constant: where the logits are
not to be had, ln p gives the same two figures, but for probabilities below 1e-12.

Scores that do not sum to 1 are sigmoids, a yes or no for each label. Then a clip's answer is
the set of labels at 0.5 or above, KL is the sum over the labels' Bernoulli distributions, and
logits, ln(p / (1 - p)), keep their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgevid.convert.answers import ACTIVATIONS, SEE_THROUGH
from edgevid.convert.graph import PREFIX, SCORES
from edgevid.errors import ConversionError
from edgevid.evaluation import top_k_accuracy, wilson_interval
from edgevid.spec import Strict
from edgevid.types import Array, Float32Array

if TYPE_CHECKING:
    from onnx import ModelProto

LOGITS = f"{PREFIX}logits"
"""The output that `with_logits` adds."""

MAX_DB = 150.0
"""SQNR is cut off here: beyond the precision of float32, and where nothing differs."""

_Float64Array = npt.NDArray[np.float64]
_SMALLEST = 1e-12
_SUM_TOLERANCE = 1e-2
_YES = 0.5
_TOP_5 = 5


class Comparison(Strict):
    """A candidate's scores against the reference's."""

    clips: int = Field(ge=1)
    classes: int = Field(ge=1)
    multi_label: bool = Field(description="The scores are sigmoids, not one softmax.")
    top1_agreement: float = Field(
        ge=0,
        le=1,
        description="Share of the clips that keep their answer: the best class, or "
        "for sigmoids the set of labels at 0.5 or above.",
    )
    agreement_low: float = Field(ge=0, le=1, description="95 % Wilson interval, lower end.")
    agreement_high: float = Field(ge=0, le=1, description="95 % Wilson interval, upper end.")
    label_agreement: float = Field(
        ge=0, le=1, description="Share of all scores on the same side of 0.5 as the reference's."
    )
    flips: tuple[int, ...] = Field(description="The clips whose answer changes, by position.")
    flip_margins: tuple[float, ...] = Field(
        description="For each flip, how much surer the reference was of its own answer than of "
        "the candidate's, from 0 to 1."
    )
    flip_rate: float = Field(ge=0, le=1)
    labelled: int = Field(ge=0, description="Clips whose true class is known.")
    reference_top1: float | None = Field(None, description="Accuracy on the labelled clips.")
    candidate_top1: float | None = None
    reference_top5: float | None = Field(
        None,
        description="Share of the labelled clips with the true class among the best five; "
        "None with five classes or fewer.",
    )
    candidate_top5: float | None = None
    mean_kl: float = Field(ge=0, description="KL(reference || candidate), nats.")
    max_kl: float = Field(ge=0)
    compared_on: Literal["logits", "scores"] = Field(
        description="What cosine and SQNR were computed from."
    )
    mean_cosine: float = Field(ge=-1, le=1)
    min_cosine: float = Field(ge=-1, le=1)
    mean_sqnr_db: float = Field(ge=-MAX_DB, le=MAX_DB)
    min_sqnr_db: float = Field(ge=-MAX_DB, le=MAX_DB)


def compare_scores(
    reference: Float32Array,
    candidate: Float32Array,
    labels: Sequence[int | None] = (),
    *,
    reference_logits: Float32Array | None = None,
    candidate_logits: Float32Array | None = None,
) -> Comparison:
    """Compare two graphs' answers to the same clips.

    Args:
        reference: `(n, C)` float32 in [0, 1].
        candidate: The same of the graph in question.
        labels: The clips' true classes, None where unknown; empty: none is known.
        reference_logits: `(n, C)`, what the final softmax or sigmoid takes.
        candidate_logits: Without both, or where one is not finite, the scores are used.

    Raises:
        ConversionError: There is no clip.
        ValueError: Shapes do not fit, a score is not finite, or a label is no class.
    """
    p, q = _checked(reference, candidate, labels)
    multi_label = is_multi_label(p)
    flips = _flips(p, q, multi_label)
    agree = 1 - len(flips) / len(p)
    low, high = wilson_interval(len(p) - len(flips), len(p))
    kl = divergence(p, q, multi_label)
    x, y, compared_on = _logits(p, q, reference_logits, candidate_logits, multi_label)
    cosine, sqnr = cosine_similarity(x, y), sqnr_db(x, y)
    known = [i for i, label in enumerate(labels) if label is not None]
    truth = np.array([labels[i] for i in known], np.int64)
    return Comparison(
        clips=p.shape[0],
        classes=p.shape[1],
        multi_label=multi_label,
        top1_agreement=agree,
        agreement_low=low,
        agreement_high=high,
        label_agreement=float(np.mean((p >= _YES) == (q >= _YES))),
        flips=tuple(flips),
        flip_margins=tuple(_margin(p[i], q[i], multi_label) for i in flips),
        flip_rate=1 - agree,
        labelled=len(known),
        reference_top1=_accuracy(p[known], truth, 1),
        candidate_top1=_accuracy(q[known], truth, 1),
        reference_top5=_accuracy(p[known], truth, _TOP_5),
        candidate_top5=_accuracy(q[known], truth, _TOP_5),
        mean_kl=float(kl.mean()),
        max_kl=float(kl.max()),
        compared_on=compared_on,
        mean_cosine=float(cosine.mean()),
        min_cosine=float(cosine.min()),
        mean_sqnr_db=float(sqnr.mean()),
        min_sqnr_db=float(sqnr.min()),
    )


def is_multi_label(scores: Array) -> bool:
    """True where `scores`, `(n, C)` in [0, 1], come from sigmoids: they do not sum to 1."""
    sums = scores.sum(axis=1, dtype=np.float64)
    return bool(scores.shape[1] == 1 or np.any(np.abs(sums - 1) > _SUM_TOLERANCE))


def divergence(p: Array, q: Array, multi_label: bool) -> _Float64Array:
    """`(n,)` KL(p || q) of each clip, nats; see the module for both definitions."""
    p, q = _clipped(p), _clipped(q)
    terms = p * np.log(p / q)
    if multi_label:
        p, q = _clipped(1 - p), _clipped(1 - q)
        terms = terms + p * np.log(p / q)
    # Scores that sum to a little less than 1 can bring a sum just below zero.
    kl: _Float64Array = np.maximum(terms.sum(axis=1), 0.0)
    return kl


def sqnr_db(x: Array, y: Array) -> _Float64Array:
    """`(n,)` signal-to-quantisation-noise ratio of each row of `y` against `x`, dB.

    Within +-`MAX_DB`: the upper end where the rows are equal.
    """
    signal = np.square(x, dtype=np.float64).sum(axis=1)
    noise = np.square(np.subtract(x, y, dtype=np.float64)).sum(axis=1)
    tiny = np.finfo(np.float64).tiny
    ratio = np.log10(np.maximum(signal, tiny)) - np.log10(np.maximum(noise, tiny))
    clipped: _Float64Array = np.clip(10 * ratio, -MAX_DB, MAX_DB)
    return np.where(noise == 0, MAX_DB, clipped)


def cosine_similarity(x: Array, y: Array) -> _Float64Array:
    """`(n,)` cosine of the angle between rows; 1 where both are zero, 0 where one is."""
    dot = np.multiply(x, y, dtype=np.float64).sum(axis=1)
    norms = np.linalg.norm(x.astype(np.float64), axis=1), np.linalg.norm(y, axis=1)
    product = norms[0] * norms[1]
    both_zero = (norms[0] == 0) & (norms[1] == 0)
    cosine = np.divide(dot, product, out=both_zero.astype(np.float64), where=product > 0)
    clipped: _Float64Array = np.clip(cosine, -1.0, 1.0)
    return clipped


def with_logits(model: ModelProto) -> tuple[ModelProto, str | None]:
    """A copy of a graph with a second output, what its last softmax or sigmoid takes.

    Returns:
        The copy, and the output's name, `LOGITS`; None where the scores do not come from a
        softmax or sigmoid, or from one that is written out in other operators.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = [value.name for value in copy.graph.output]
    producers = {out: node for node in copy.graph.node for out in node.output}
    node = producers.get(SCORES if SCORES in names else names[0])
    while node is not None and node.op_type in SEE_THROUGH:
        node = producers.get(node.input[0])
    if node is None or node.op_type not in ACTIVATIONS:
        return copy, None
    # A name of its own, as the tensor may be an output already.
    copy.graph.node.append(onnx.helper.make_node("Identity", [node.input[0]], [LOGITS]))
    # ONNX Runtime finds out type and shape by itself.
    copy.graph.output.append(onnx.ValueInfoProto(name=LOGITS))
    return copy, LOGITS


def _checked(
    reference: Array, candidate: Array, labels: Sequence[int | None]
) -> tuple[_Float64Array, _Float64Array]:
    if len(reference) == 0:
        raise ConversionError("there are no clips to compare on", "Give videos with --eval")
    if reference.ndim != 2 or reference.shape != candidate.shape:
        raise ValueError(
            f"scores are (n, C), the same of both; got {reference.shape} and {candidate.shape}"
        )
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        raise ValueError("a score is NaN or infinite")
    if labels and len(labels) != len(reference):
        raise ValueError(f"{len(labels)} labels for {len(reference)} clips")
    if any(label is not None and not 0 <= label < reference.shape[1] for label in labels):
        raise ValueError(f"a label is outside 0..{reference.shape[1] - 1}")
    return reference.astype(np.float64), candidate.astype(np.float64)


def _flips(p: Array, q: Array, multi_label: bool) -> list[int]:
    if multi_label:
        changed = np.any((p >= _YES) != (q >= _YES), axis=1)
    else:
        changed = p.argmax(axis=1) != q.argmax(axis=1)
    return [int(i) for i in np.flatnonzero(changed)]


def _margin(p: Array, q: Array, multi_label: bool) -> float:
    """How much surer the reference's `p`, `(C,)`, was of its answer than of that of `q`."""
    if multi_label:
        changed = (p >= _YES) != (q >= _YES)
        return float(np.abs(2 * p[changed] - 1).max())
    return float(p.max() - p[q.argmax()])


def _accuracy(scores: Array, truth: Array, best: int) -> float | None:
    if scores.shape[1] == 1 and best == 1 and len(truth):
        return float(np.mean(scores[:, 0] >= _YES))
    return top_k_accuracy(scores, truth, best)


def _logits(
    p: Array, q: Array, x: Array | None, y: Array | None, multi_label: bool
) -> tuple[_Float64Array, _Float64Array, Literal["logits", "scores"]]:
    compared_on: Literal["logits", "scores"] = "logits"
    if x is None or y is None or not (np.isfinite(x).all() and np.isfinite(y).all()):
        compared_on = "scores"
        x, y = np.log(_clipped(p)), np.log(_clipped(q))
        if multi_label:
            x, y = x - np.log(_clipped(1 - p)), y - np.log(_clipped(1 - q))
    if x.shape != p.shape or y.shape != p.shape:
        raise ValueError(f"logits have shapes {x.shape} and {y.shape}, scores {p.shape}")
    x, y = x.astype(np.float64), y.astype(np.float64)
    if not multi_label:
        x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    return x, y, compared_on


def _clipped(values: Array) -> _Float64Array:
    clipped: _Float64Array = np.maximum(values, _SMALLEST)
    return clipped
