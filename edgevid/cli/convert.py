"""`edgevid convert`: a model file goes in, a checked bundle comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.presets import NAMES

if TYPE_CHECKING:
    from edgevid.convert.journal import Listener

_EPILOG = """\b
Examples:
  edgevid convert resnet.onnx --labels labels.txt
  edgevid convert lrcn.onnx --spec lrcn.toml --precision fp16
  edgevid convert r3d.onnx --target tensorrt-rtx --compute-capability 8.6
"""

_File = click.Path(path_type=Path)


@click.command(epilog=_EPILOG)
@click.argument("model", type=_File)
@click.option(
    "--out", type=_File, metavar="B.edgevid", help="Bundle to write.  [default: MODEL's name, here]"
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Of the graph. With fp16, layers that real frames show to need FP32 keep it.",
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
@click.option(
    "--frames",
    type=_File,
    metavar="VIDEO",
    multiple=True,
    help="One more real video to check the new graph on; may be given again.",
)
@click.option(
    "--reference/--no-reference",
    default=True,
    help="Keep the FP32 graph beside an FP16 one, for later checks.",
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option(
    "--json",
    "json_file",
    metavar="F",
    help="Write the report there as JSON; - is standard output.",
)
def command(json_file: str | None, **options: Any) -> None:
    """Turn MODEL (.onnx) into a bundle that `edgevid run` runs.

    Puts preprocessing and the final softmax into the graph, checks on real frames that the
    new graph answers like MODEL, and says what it assumed.
    """
    from edgevid.convert import convert

    model = options.pop("model")
    with _progress() as listener:
        result = convert(model, options.pop("out"), progress=listener, **options)
    report = result.report
    if json_file == "-":
        click.echo(report.model_dump_json(indent=2))
        return
    if json_file is not None:
        from edgevid.manifest import write_atomic

        write_atomic(Path(json_file), (report.model_dump_json(indent=2) + "\n").encode())
    parity = report.parity
    click.echo(
        f"{result.bundle}: {report.precision}, {report.converted.megabytes:.1f} MB; scores differ "
        f"from the model's by at most {parity.max_abs_diff:.1g} on {parity.frames_from}"
    )


@contextmanager
def _progress() -> Iterator[Listener]:
    """Shows steps as they start, and at the end what was assumed and noted."""
    from rich.console import Console

    remarks: list[str] = []
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with console.status("Reading the model") as status:

        def listen(kind: str, text: str) -> None:
            if kind != "step":
                remarks.append(f"{kind}: {text}")
            elif console.is_terminal:
                status.update(text)
            else:
                console.print(text, markup=False)

        yield listen
    for remark in remarks:
        console.print(remark, markup=False)
