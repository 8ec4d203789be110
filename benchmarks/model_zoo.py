"""Which of torchvision's video classifiers convert: export, bundle and plan of each.

    pip install 'edgevid[torch,tensorrt-rtx]' && pip install --no-deps torchvision
    python -m edgevid.benchmarks.model_zoo [MODEL ...]

Each model, with random weights, goes from Python to ONNX, to a bundle in FP32, FP16 and INT8,
and to a TensorRT-RTX plan of each, in a process of its own. What fails is a row with the
reason. The table is Markdown.

Random weights have no accuracy to lose: the gate that would judge INT8 is held open, and the
figures tell whether a graph converts and builds, not whether its INT8 is good.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings
from edgevid.convert.torch_export import export_torch
from edgevid.engines.build_options import BuildOptions
from edgevid.errors import EdgevidError

MODELS = {
    "r3d_18": (1, 3, 16, 112, 112),
    "mc3_18": (1, 3, 16, 112, 112),
    "r2plus1d_18": (1, 3, 16, 112, 112),
    "s3d": (1, 3, 16, 224, 224),
    "mvit_v2_s": (1, 3, 16, 224, 224),
    "swin3d_t": (1, 3, 16, 224, 224),
}
"""Names in `torchvision.models.video`, and the clip that each takes (N, C, T, H, W)."""

COMPUTE_CAPABILITY = "8.6"
WORKSPACE_MB = 2048  # the attention of mvit_v2_s at batch 4 needs 1.2 GB
MEMORY_GB = 10
CLASSES = 400
_ONNX = "exported.onnx"
_PRECISIONS: tuple[Literal["fp32", "fp16", "int8"], ...] = ("fp32", "fp16", "int8")
_SEED = 7
_LIBRARIES: list[object] = []
"""Operators live as long as the library object that declares them."""

_HEADER = (
    "| model | clip | to ONNX | precision | nodes | MB | scores differ | same top-1 "
    "| seconds | plan MB | plan seconds | remark |\n"
    "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---|"
)


@dataclass(frozen=True)
class Row:
    """One model in one precision; None is what was not reached.

    Attributes:
        model: Name in torchvision.
        clip: Frames and size.
        export_s: Seconds from Python to ONNX, the check against PyTorch included.
        precision: Of the bundle.
        nodes, megabytes: Of the bundle's graph.
        difference: The largest difference of a score from the ONNX model's, on real frames,
            in parts of an even share (1 / 400); random weights give scores near that.
        top1_agreement: Share of the windows with the same best class.
        convert_s: Seconds from ONNX to bundle, without the plan.
        plan_mb, plan_s: Of the plan, and of building it.
        peak_gb: Most memory that the process of this step held.
        remark: Nodes kept in FP32, notes of the conversion, or why there is no bundle or plan.
    """

    model: str
    clip: str
    export_s: float | None = None
    precision: str = ""
    nodes: int | None = None
    megabytes: float | None = None
    difference: float | None = None
    top1_agreement: float | None = None
    convert_s: float | None = None
    plan_mb: float | None = None
    plan_s: float | None = None
    peak_gb: float = 0.0
    remark: str = ""


def declare_operators() -> None:
    """Make torchvision importable where its native operators do not load.

    Its wheels are built against another build of PyTorch than the CPU one; importing it then
    fails on detection operators that are not registered. No video model uses them, so their
    signatures are enough.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)


def export(name: str, folder: Path) -> Row:
    """Write the model as ONNX; a row with the seconds, or with what went wrong."""
    import torch

    declare_operators()
    torch.manual_seed(_SEED)
    start = time.monotonic()
    try:
        exported = export_torch(
            f"torchvision.models.video:{name}", folder, example_shape=MODELS[name], notify=_say
        )
    except EdgevidError as exc:
        return Row(name, _clip(name), remark=str(exc), peak_gb=_peak_gb())
    exported.path.rename(folder / _ONNX)
    for note in exported.notes:
        _say(note)
    return Row(name, _clip(name), time.monotonic() - start)


def _clip(name: str) -> str:
    return "x".join(map(str, MODELS[name][2:]))


def converted(exported: Row, precision: Literal["fp32", "fp16", "int8"], folder: Path) -> Row:
    """The row of one precision."""
    name, clip, export_s = exported.model, exported.clip, exported.export_s
    start = time.monotonic()
    try:
        report = convert(
            folder / _ONNX,
            folder / f"{name}-{precision}.edgevid",
            precision=precision,
            quantize=_quantize() if precision == "int8" else None,
            # The only target whose failure is a remark and not the end.
            target="auto",
            compute_capabilities=[COMPUTE_CAPABILITY],
            build=BuildOptions(workspace_mb=WORKSPACE_MB),
            reference=False,
            progress=lambda _, text: _say(text),
        ).report
    # ONNX Runtime reports the end of memory as a RuntimeError.
    except (EdgevidError, RuntimeError, MemoryError) as exc:
        return Row(name, clip, export_s, precision, remark=str(exc), peak_gb=_peak_gb())
    seconds = time.monotonic() - start
    plan = next(p for p in report.plans if p.flavour == "tensorrt-rtx")
    remarks = [] if report.precision == precision else [f"became {report.precision}"]
    remarks += [f"{len(report.fp32_nodes)} nodes in FP32"] if report.fp32_nodes else []
    remarks += [note for note in report.notes if "engine was built" not in note]
    if plan.key is None:
        remarks.append(f"no plan: {plan.note}")
    return Row(
        name,
        clip,
        export_s,
        precision,
        report.converted.nodes,
        report.converted.megabytes,
        report.parity.max_abs_diff * CLASSES,
        report.parity.top1_agreement,
        seconds - (plan.seconds or 0.0),
        plan.megabytes,
        plan.seconds,
        _peak_gb(),
        "; ".join(remarks),
    )


def _quantize() -> QuantizeSettings:
    demo = resources.files("edgevid.demo") / "demo.mp4"
    return QuantizeSettings(calib=(str(demo),), calib_clips=4, eval_clips=4, max_drop=0.99)


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def render(row: Row) -> str:
    """A row of the Markdown table."""

    def show(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [
        row.model,
        row.clip,
        show(row.export_s, ".0f") + (" s" if row.export_s else ""),
        row.precision,
        show(row.nodes, "d"),
        show(row.megabytes, ".1f"),
        show(row.difference, ".0e"),
        show(row.top1_agreement, ".0%"),
        show(row.convert_s, ".0f"),
        show(row.plan_mb, ".1f"),
        show(row.plan_s, ".0f"),
        f"{row.remark}{'; ' if row.remark else ''}peak {row.peak_gb:.1f} GB".replace("|", "\\|"),
    ]
    return f"| {' | '.join(cells)} |"


def measure(name: str) -> Iterator[Row]:
    """The rows of one model, each step in a process of its own.

    So the memory that each takes is its own, and a crash ends no more than its row.
    """
    with tempfile.TemporaryDirectory() as folder:
        exported = _in_own_process(Row(name, _clip(name)), "onnx", folder)
        if exported.export_s is None:
            yield exported
            return
        for precision in _PRECISIONS:
            yield _in_own_process(exported, precision, folder)


def _in_own_process(before: Row, step: str, folder: str) -> Row:
    command = [sys.executable, "-m", "edgevid.benchmarks.model_zoo", "--step", step]
    done = subprocess.run(
        [*command, "--row", json.dumps(asdict(before)), "--folder", folder],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        remark = f"the process ended with status {done.returncode}"
        return replace(before, precision=step, remark=remark)
    return Row(**json.loads(done.stdout))


def main(argv: Sequence[str] | None = None) -> int:
    """Convert the models and print the table; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--step", choices=["onnx", *_PRECISIONS], help=argparse.SUPPRESS)
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    names = args.models or list(MODELS)
    if unknown := set(names) - set(MODELS):
        parser.error(f"unknown model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    if args.step:
        # A model that needs more is a row with the reason, not a machine that swaps.
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_GB << 30, MEMORY_GB << 30))
        before = Row(**args.row)
        if args.step == "onnx":
            row = export(before.model, args.folder)
        else:
            row = converted(before, args.step, args.folder)
        print(json.dumps(asdict(row)))
        return 0
    print(_HEADER, flush=True)
    for name in names:
        for row in measure(name):
            print(render(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
