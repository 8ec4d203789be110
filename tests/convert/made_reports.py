"""Reports of conversions that never took place, with figures as real ones have them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from edgevid.convert.quantize.gate import Gate, Scores
from edgevid.convert.quantize.metrics import Comparison
from edgevid.convert.quantize.report import (
    CandidateReport,
    ClipsReport,
    GroupReport,
    Quantisation,
    Run,
    describe_answers,
    score_differences,
)
from edgevid.convert.quantize.search import Sensitivity, Trial
from edgevid.convert.quantize.speed import Timing, compare_samples
from edgevid.convert.report import GraphReport, PlanReport, Report
from edgevid.manifest import Parity

LABELS = ("Biking", "Diving", "GolfSwing", "Punch", "Rowing")


def plain(**changes: Any) -> Report:
    """Of a conversion to FP16."""
    figures: dict[str, Any] = {
        "edgevid_version": "0.1.0",
        "model": "model.onnx",
        "precision": "fp16",
        "dynamic_batch": True,
        "assumptions": ("Frame rate 30: nothing said at which the model was trained.",),
        "notes": ("2 nodes stay in FP32.",),
        "parity": Parity(
            clips=6,
            max_abs_diff=0.00213,
            mean_abs_diff=0.000151,
            top1_agreement=1.0,
            frames_from="6 windows of edgevid's demo clip",
        ),
        "original": GraphReport(nodes=153, operators={"Conv": 52, "Add": 10}, megabytes=14.123),
        "converted": GraphReport(nodes=108, operators={"Conv": 52, "Cast": 3}, megabytes=7.071),
        "fp32_nodes": {"/pool/Pow": "values up to 4e5"},
        "plans": (
            PlanReport(
                flavour="tensorrt-rtx",
                compute_capability="8.6",
                key="trtrtx-1.7.0-sm86-int8-b1-4-0a1b2c3d",
                megabytes=4.567,
                seconds=81.25,
                note="The graph fixes the batch at 1.",
            ),
            PlanReport(flavour="tensorrt", note="the package 'tensorrt' is not installed"),
        ),
        "run": run(),
    }
    return Report(**{**figures, **changes})


def run() -> Run:
    return Run(
        started=datetime(2031, 5, 4, 13, 2, 1, tzinfo=timezone(timedelta(hours=2))),
        seconds=187.4,
        command="edgevid convert model.onnx --spec spec.toml --calib clips --target tensorrt-rtx",
        environment={"processor": "Quick CPU, 2 cores", "Python": "3.11.9"},
    )


def scores(labels: tuple[str, ...], clips: int, noise: float, flips: int) -> tuple[Scores, Scores]:
    """FP32's and a candidate's scores, of which so many have another best class."""
    rng = np.random.default_rng(len(labels) + clips)
    logits = rng.normal(0, 1, (clips, len(labels)))
    true = rng.integers(0, len(labels), clips)
    logits[np.arange(clips), true] = logits.max(axis=1) + rng.uniform(1, 6, clips)
    other = logits + rng.uniform(-noise, noise, logits.shape) * rng.lognormal(-1, 0.3, (clips, 1))
    other[np.arange(flips), (true[:flips] + 1) % len(labels)] = 12.0
    truth = tuple(int(t) for t in true)
    reference, candidate = (_softmax(values) for values in (logits, other))
    return (
        Scores(reference, logits.astype(np.float32), truth),
        Scores(candidate, other.astype(np.float32), truth),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def timing(milliseconds: float, baseline: float, noise: float = 0.03) -> Timing:
    rng = np.random.default_rng(int(milliseconds * 1000))
    samples = milliseconds * rng.uniform(1 - noise, 1 + noise, 15)
    base = baseline * rng.uniform(1 - noise, 1 + noise, 15)
    return Timing(
        samples_ms=tuple(samples),
        median_ms=float(np.median(samples)),
        calls=90,
        steady=True,
        speedup=compare_samples(base, samples),
    )


def candidate(
    name: str,
    precision: str,
    pair: tuple[Scores, Scores],
    megabytes: float,
    milliseconds: float,
    **changes: Any,
) -> CandidateReport:
    comparison: Comparison = pair[0].compare(pair[1])
    figures = {
        "name": name,
        "precision": precision,
        "megabytes": megabytes,
        "verdict": Gate().check(comparison),
        "comparison": comparison,
        "differences": score_differences(*pair),
        "timing": timing(milliseconds, 41.8),
    }
    return CandidateReport(**{**figures, **changes})


def fp32(megabytes: float = 14.1, milliseconds: float = 41.8) -> CandidateReport:
    return CandidateReport(
        name="FP32",
        precision="fp32",
        megabytes=megabytes,
        timing=timing(milliseconds, 41.8, noise=0.0),
    )


def groups(count: int, in_float: int = 2) -> tuple[GroupReport, ...]:
    """Layers of a residual net, the last two the most sensitive."""
    return tuple(
        GroupReport(
            name=f"/backbone/features/features.{i}/conv/conv.{i % 3}/Conv",
            op_type="Conv" if i < count - 1 else "Gemm",
            in_float=i >= count - in_float,
            sensitivity=Sensitivity(
                group=f"/backbone/features/features.{i}/conv/conv.{i % 3}/Conv",
                mean_sqnr_db=48.25 - 38 * ((i + 1) / count) ** 3,
                mean_kl=0.0004 * (i + 1),
                flips=i // 30,
                clips=8,
            ),
        )
        for i in range(count)
    )


def clip_set(clips: int, count: int, **changes: Any) -> ClipsReport:
    figures: dict[str, Any] = {
        "clips": clips,
        "videos": tuple(f"v_{LABELS[i % 5]}_g{i:02d}_c01.avi" for i in range(count)),
        "labelled": 0,
        "seed": 7,
        "sha256": f"{clips:064x}",
        "notes": ("v_Punch_g08_c01.avi is one colour throughout.",),
    }
    return ClipsReport(**{**figures, **changes})


def quantisation(
    labels: tuple[str, ...] = LABELS, layers: int = 60, flips: int = 1, **changes: Any
) -> Quantisation:
    """INT8 fails, mixed passes and is kept; FP16 and FP32 stand beside it."""
    mixed = scores(labels, 240, 0.12, flips)
    candidates = (
        candidate("INT8", "int8", scores(labels, 240, 0.5, 13), 3.61, 16.2),
        candidate("mixed", "mixed", mixed, 4.02, 18.9),
        candidate("FP16", "fp16", scores(labels, 240, 0.002, 0), 7.07, 55.3),
        fp32(),
    )
    first = candidates[0]
    assert first.verdict is not None
    assert first.comparison is not None
    figures: dict[str, Any] = {
        "kept": "mixed",
        "reason": "INT8 fails the gate (agreement 94.58 %); mixed kept, agreement 99.58 %; "
        "times here (onnxruntime 1.31.1 (CPU, 1 thread), not the device) did not decide: 2.9 "
        "times as fast as FP16, 2.2 times as fast as FP32",
        "by_speed": False,
        "candidates": candidates,
        "engine": "onnxruntime 1.31.1 (CPU, 1 thread)",
        "groups": groups(layers),
        "trials": (
            Trial(
                stage="int8",
                kept=(),
                verdict=first.verdict,
                mean_sqnr_db=first.comparison.mean_sqnr_db,
                mean_kl=first.comparison.mean_kl,
            ),
        ),
        "answers": describe_answers(*mixed, labels),
        "method": "entropy",
        "calibration": clip_set(64, 20),
        "evaluation": clip_set(240, 30, labelled=240, seed=8, notes=()),
        "left_alone": {
            "/lstm/LSTM": "a recurrent layer: TensorRT has no INT8 for it",
            "/pool/GlobalAveragePool": "takes a mean: its sum would be rounded to INT8 again",
            "/head/pool/ReduceMean": "takes a mean: its sum would be rounded to INT8 again",
        },
        "not_built": {"INT8 with FP16 scales": "the opset is 17, below 19"},
    }
    return Quantisation(**{**figures, **changes})
