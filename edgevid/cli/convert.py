"""`edgevid convert`: a model file goes in, a checked bundle comes out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevid.cli._output import json_option, write_json
from edgevid.errors import SpecError
from edgevid.presets import NAMES

if TYPE_CHECKING:
    from edgevid.convert import ConversionResult
    from edgevid.convert.journal import Listener, Progress
    from edgevid.convert.quantize.procedure import QuantizeSettings
    from edgevid.engines.build_options import BuildOptions

_EPILOG = """\b
Examples:
  edgevid convert resnet.onnx --labels labels.txt
  edgevid convert lrcn.onnx --spec lrcn.toml --calib videos/ --target tensorrt-rtx
  edgevid convert package.models:r3d --example-shape 1,3,16,112,112 --preset kinetics
  edgevid convert gesture.edgevid --rebuild
"""

_Command = TypeVar("_Command", bound=Callable[..., Any])
_File = click.Path(path_type=Path)
_QUANTIZE = ("eval", "calib_clips", "eval_clips", "quantizer", "method", "seed", "max_drop", "rest",
             "scales", "depthwise", "by_speed", "budget_s")  # fmt: skip
_BUILD = ("min_batch", "opt_batch", "max_batch", "workspace_mb", "optimization_level", "dla_core")


def _option(*names: str, **settings: Any) -> Callable[[_Command], _Command]:
    """An option that is None where it is not given, so that the library's default holds."""
    return click.option(*names, default=None, **settings)


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option(
    "--out", type=_File, metavar="B.edgevid", help="Bundle to write.  [default: MODEL's name, here]"
)
@_option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "int8"]),
    help="Of the graph: auto tries int8, mixed and fp16.  [default: auto with --calib, else fp32]",
)
@click.option(
    "--spec",
    type=_File,
    metavar="F.toml",
    help="What the shapes do not say: clip, inputs, outputs (docs/spec.md).",
)
@click.option(
    "--preset",
    metavar="NAME",
    help=f"Preprocessing that the model was trained with: {', '.join(NAMES)}.",
)
@click.option("--labels", type=_File, metavar="F", help="One label a line, in the output's order.")
@click.option(
    "--example-shape", metavar="1,3,16,112,112", help="PyTorch: of the input, batch first."
)
@click.option(
    "--calib",
    multiple=True,
    metavar="VIDEOS",
    help="Videos, folder, glob or CSV to find INT8 ranges on; may be given again.",
)
@click.option(
    "--eval",
    multiple=True,
    metavar="VIDEOS",
    help="The same, to judge on (labels from a CSV).  [default: part of --calib, held out]",
)
@_option("--calib-clips", type=click.IntRange(min=1), help="Windows to calibrate on.  [64]")
@_option(
    "--eval-clips", type=click.IntRange(min=1), help="Windows to judge on.  [twice --calib-clips]"
)
@_option(
    "--quantizer",
    type=click.Choice(["edgevid", "modelopt"]),
    help="Who places INT8; modelopt is NVIDIA's Model Optimizer (docs/quantizers.md).  [edgevid]",
)
@_option(
    "--calib-method",
    "method",
    type=click.Choice(["minmax", "percentile", "entropy", "mse"]),
    help="How ranges are found.  [mse; with modelopt entropy]",
)
@_option("--seed", type=click.IntRange(min=0), help="Of the drawing of windows.  [0]")
@_option("--max-drop", type=float, help="Share of answers that may get worse.  [0.01]")
@_option(
    "--rest", type=click.Choice(["fp16", "fp32"]), help="Precision of what is not INT8.  [fp16]"
)
@_option("--scales", type=click.Choice(["fp32", "fp16"]), help="Type of the INT8 scales.  [fp32]")
@_option(
    "--search-budget",
    "budget_s",
    type=float,
    metavar="S",
    help="Seconds to look for the layers that INT8 hurts.  [30]",
)
@_option("--depthwise", is_flag=True, flag_value=True, help="Quantise depthwise convolutions too.")
@_option(
    "--by-speed/--not-by-speed",
    "by_speed",
    help="Let times decide among what passes.  [only those taken on a device]",
)
@click.option(
    "--target",
    type=click.Choice(["auto", "onnx", "tensorrt", "tensorrt-rtx"]),
    default="auto",
    show_default=True,
    help="Engines to build: auto builds what this machine can use, onnx none.",
)
@click.option(
    "--compute-capability",
    "compute_capabilities",
    multiple=True,
    metavar="8.6",
    help="GPU to build for, if not this machine's (tensorrt-rtx); may be given again.",
)
@_option("--min-batch", type=int, help="TensorRT: smallest batch of the engine.  [1]")
@_option("--opt-batch", type=int, help="TensorRT: usual batch of the engine.  [1]")
@_option("--max-batch", type=int, help="TensorRT: largest batch of the engine.  [4]")
@_option("--workspace-mb", type=int, help="TensorRT: scratch memory, in 2^20 bytes.  [1024]")
@_option("--optimization-level", type=int, help="TensorRT: 0 (quick) to 5 (searches longest).")
@_option("--dla", "dla_core", type=int, metavar="CORE", help="TensorRT: run on this DLA core.")
@click.option("--rebuild", is_flag=True, help="MODEL is a bundle: build its engines anew, here.")
@click.option(
    "--frames",
    type=_File,
    metavar="VIDEO",
    multiple=True,
    help="One more real video to check the new graph on; may be given again.",
)
@click.option(
    "--stateful",
    is_flag=True,
    help="Take frame by frame and remember, instead of windows: other answers (docs/streaming.md).",
)
@click.option(
    "--streaming",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="auto: let overlapping windows compute no frame twice: split a clip model, or take causal "
    "convolutions frame by frame.",
)
@click.option(
    "--reference/--no-reference",
    default=True,
    help="Keep the FP32 graph beside another one, for later checks.",
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@json_option
def command(model: str, json_target: str | None, rebuild: bool, **options: Any) -> None:
    """Turn MODEL into a bundle that `edgevid run` runs.

    MODEL is an .onnx file, or PyTorch: .pt2, TorchScript .pt, or module:factory. Puts
    preprocessing and the final softmax into the graph, checks on real frames that the new
    graph answers like MODEL, and says what it assumed. With --calib it tries INT8, and keeps
    it only where it is proven to answer the same.
    """
    if rebuild:
        _rebuild(model, options, json_target)
        return
    from edgevid.convert import convert

    quantize, build = _quantize_settings(options), _build_options(options)
    shape = _shape(options.pop("example_shape"))
    with _watched() as (listener, progress):
        result = convert(
            model,
            options.pop("out"),
            quantize=quantize,
            build=build,
            example_shape=shape,
            command=shlex.join(["edgevid", *sys.argv[1:]]),
            progress=listener,
            watch=progress,
            **options,
        )
    if json_target is not None:
        write_json(result.report.model_dump(mode="json"), json_target)
    if json_target != "-":
        click.echo(_conclusion(result))


def _quantize_settings(options: dict[str, Any]) -> QuantizeSettings | None:
    """Takes its part out of `options`."""
    from edgevid.convert.quantize.procedure import QuantizeSettings

    calib = options.pop("calib")
    said = {name: options.pop(name) for name in _QUANTIZE}
    said = {name: value for name, value in said.items() if value not in (None, ())}
    if not calib:
        if said:
            option = next(iter(said))
            name = {"method": "calib_method", "budget_s": "search_budget"}.get(option, option)
            raise SpecError(
                f"--{name.replace('_', '-')} says how to quantise, but there is no --calib",
                "Add --calib VIDEOS, or leave it out",
            )
        return None
    if "scales" in said:
        said["scales"] = {"fp32": "float32", "fp16": "float16"}[said["scales"]]
    return QuantizeSettings(calib=calib, **said)


def _build_options(options: dict[str, Any]) -> BuildOptions:
    """Takes its part out of `options`."""
    from edgevid.engines.build_options import BuildOptions

    said = {name: options.pop(name) for name in _BUILD}
    return BuildOptions(**{name: value for name, value in said.items() if value is not None})


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SpecError(
            f"--example-shape {text!r} is no shape", "Write it as 1,3,16,112,112"
        ) from None


def _rebuild(bundle: str, options: dict[str, Any], json_target: str | None) -> None:
    from edgevid.convert.rebuild import rebuild

    build = _build_options(options)
    with _watched() as (listener, progress):
        plans = rebuild(
            bundle,
            options["target"],
            options["compute_capabilities"],
            build,
            progress,
            lambda text: listener("step", text),
        )
    if json_target is not None:
        write_json([{"key": str(p.key), "path": str(p.path)} for p in plans], json_target)
    if json_target != "-":
        for plan in plans:
            click.echo(f"{plan.path}: built in {plan.seconds:.1f} s")


def _conclusion(result: ConversionResult) -> str:
    report = result.report
    start = f"{result.bundle}: {report.precision}, {report.converted.megabytes:.1f} MB; "
    if report.quantisation is not None:
        return f"{start}{report.quantisation.reason}"
    parity = report.parity
    return (
        f"{start}scores differ from the model's by at most {parity.max_abs_diff:.1g} on "
        f"{parity.frames_from}"
    )


@contextmanager
def _watched() -> Iterator[tuple[Listener, Progress]]:
    """Shows steps and progress as they come, and at the end what was assumed and noted."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    remarks: list[str] = []
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bars = Bars(*columns, TimeRemainingColumn(), console=console, transient=True)
    # Elsewhere than on a terminal, bars that show nothing still end with an empty line.
    with bars if console.is_terminal else nullcontext():
        tasks: dict[str, Any] = {}

        def listen(kind: str, text: str) -> None:
            if kind == "step":
                console.print(text, markup=False)
            else:
                remarks.append(f"{kind}: {text}")

        def watch(text: str, done: int, total: int) -> None:
            if not console.is_terminal:
                return
            if text not in tasks:
                tasks[text] = bars.add_task(text, total=total)
            bars.update(tasks[text], completed=done, total=total)
            if done >= total:
                bars.remove_task(tasks.pop(text))

        yield listen, watch
    for remark in remarks:
        console.print(remark, markup=False)
