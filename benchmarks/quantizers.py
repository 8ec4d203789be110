"""edgevid's INT8 beside Model Optimizer's, on the same clips.

    pip install 'edgevid[modelopt,tensorrt-rtx]'
    python -m edgevid.benchmarks.quantizers --model lrcn lrcn.onnx lrcn.toml videos/

Each model becomes an FP32 bundle; both quantizers take that graph and the same calibration
clips; the rest of either graph becomes FP16, as `edgevid convert` does it, and the gate judges
both on the same other clips, of other videos where there are several. Seconds are the
processor's, for quantising alone. The table is Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edgevid.convert import convert
from edgevid.convert.precision import fp32_nodes
from edgevid.convert.quantize.clipset import ClipSet, draw
from edgevid.convert.quantize.gate import Gate, Scores, evaluate
from edgevid.convert.quantize.half_rest import to_fp16
from edgevid.convert.quantize.insert import insert_qdq
from edgevid.convert.quantize.modelopt import (
    ModelOptMethod,
    describe_qdq,
    quantize_with_modelopt,
)
from edgevid.convert.quantize.placement import plan_placement
from edgevid.convert.quantize.prepare import prepare
from edgevid.convert.quantize.ranges import Method, collect_ranges
from edgevid.convert.quantize.search import find_mixed
from edgevid.engines.tensorrt_build import build_plan
from edgevid.errors import EdgevidError
from edgevid.manifest import Bundle, Manifest

if TYPE_CHECKING:
    from onnx import ModelProto

COMPUTE_CAPABILITY = "8.6"
_FP16_WINDOWS = 8
_OWN_METHODS: tuple[Method, ...] = ("mse", "entropy")
_HEADER = (
    "| model | quantizer | ranges | INT8 layers | agreement | SQNR | KL | gate | MB | CPU s "
    "| RTX plan |\n|---|---|---|---:|---:|---:|---:|---|---:|---:|---|"
)

_Quantise = Callable[[], "ModelProto"]


@dataclass(frozen=True)
class _Subject:
    """A model with what it is calibrated and judged on."""

    name: str
    prepared: ModelProto
    calibration: ClipSet
    evaluation: ClipSet
    expected: Scores
    in_fp32: Mapping[str, str]
    """Nodes that FP16 leaves alone."""


@dataclass(frozen=True)
class _Own:
    """edgevid's INT8 of a subject."""

    subject: _Subject
    method: Method

    def everywhere(self) -> ModelProto:
        return self._inserter()(keep_float=())

    def mixed(self) -> ModelProto:
        """What `edgevid convert` goes on with where the gate refuses INT8 everywhere."""
        insert = self._inserter()
        search = find_mixed(
            self.subject.expected,
            lambda kept: insert(keep_float=kept),
            [group.name for group in plan_placement(self.subject.prepared).groups],
            self.subject.evaluation,
            Gate(),
        )
        return insert(keep_float=search.kept)

    def _inserter(self) -> Callable[..., ModelProto]:
        model, feeds = self.subject.prepared, self.subject.calibration.feeds
        placement = plan_placement(model)
        ranges = collect_ranges(model, placement.tensors, feeds, self.method)
        return partial(insert_qdq, model, placement, ranges)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--model",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "MODEL", "SPEC", "VIDEOS"),
        help="may be given again",
    )
    parser.add_argument("--calib-clips", type=int, default=64)
    parser.add_argument("--eval-clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    for package in ("nvidia-modelopt", "onnxruntime", "onnx", "tensorrt-rtx"):
        print(f"{package} {version(package)}", file=sys.stderr)
    print(_HEADER, flush=True)
    counts = args.calib_clips, args.eval_clips
    for name, model, spec, videos in args.model:
        with tempfile.TemporaryDirectory() as folder:
            graph, manifest = _convert(model, spec, Path(folder))
            clips = draw([videos], manifest.clip, manifest.inputs, sum(counts), args.seed)
            subject = _subject(name, graph, *clips.split(counts[0] / sum(counts), args.seed))
            for line in _rows(subject, Path(folder)):
                print(line, flush=True)
    return 0


def _convert(model: str, spec: str, folder: Path) -> tuple[ModelProto, Manifest]:
    """The FP32 graph of a bundle, and its contract."""
    import onnx

    out = folder / "fp32.edgevid"
    convert(model, out, spec=Path(spec), precision="fp32", target="onnx", streaming="off")
    bundle = Bundle.load(out)
    return onnx.load(str(bundle.file("model"))), bundle.manifest


def _subject(name: str, graph: ModelProto, calibration: ClipSet, evaluation: ClipSet) -> _Subject:
    print(f"{name}: {len(calibration)} + {len(evaluation)} clips", file=sys.stderr, flush=True)
    prepared = prepare(graph)
    return _Subject(
        f"{name}, {len(calibration)} + {len(evaluation)} clips",
        prepared,
        calibration,
        evaluation,
        evaluate(graph, evaluation),
        fp32_nodes(prepared, [clip.feeds for clip in calibration[:_FP16_WINDOWS]]),
    )


def _rows(subject: _Subject, folder: Path) -> Iterator[str]:
    """A row for each quantizer and method, and for edgevid's mixed one where INT8 fails."""
    for method in _OWN_METHODS:
        own = _Own(subject, method)
        row, passed = _measure(subject, "edgevid", method, own.everywhere, folder)
        yield row
        if not passed:
            yield _measure(subject, "edgevid, mixed", method, own.mixed, folder)[0]
    for theirs in get_args(ModelOptMethod):
        quantise = partial(quantize_with_modelopt, subject.prepared, subject.calibration, theirs)
        yield _measure(subject, "Model Optimizer", theirs, quantise, folder)[0]


def _measure(
    subject: _Subject, quantizer: str, method: str, quantise: _Quantise, folder: Path
) -> tuple[str, bool]:
    """A row, and whether the gate lets the graph pass."""
    start = time.process_time()
    try:
        int8 = quantise()
    except EdgevidError as exc:
        return f"| {subject.name} | {quantizer} | {method} | {exc.message} |", False
    seconds = time.process_time() - start
    graph = to_fp16(int8, subject.in_fp32)
    comparison = subject.expected.compare(evaluate(graph, subject.evaluation))
    verdict = Gate().check(comparison)
    path = folder / "candidate.onnx"
    path.write_bytes(graph.SerializeToString())
    layers = describe_qdq(int8)
    cells = [
        subject.name,
        quantizer,
        method,
        f"{len(layers.groups)} of {len(layers.groups) + len(layers.left_alone)}",
        f"{comparison.top1_agreement:.1%}",
        f"{comparison.mean_sqnr_db:.1f} dB",
        f"{comparison.mean_kl:.2g}",
        "passed" if verdict.passed else "refused",
        f"{path.stat().st_size / 1e6:.2f}",
        f"{seconds:.1f}",
        _plan(path),
    ]
    return f"| {' | '.join(cells)} |", verdict.passed


def _plan(path: Path) -> str:
    try:
        plan = build_plan(path, "tensorrt-rtx", COMPUTE_CAPABILITY, precision="int8")
    except EdgevidError as exc:
        return f"no: {exc.message}"
    return f"yes, {len(plan.data) / 1e6:.2f} MB"


if __name__ == "__main__":
    sys.exit(main())
