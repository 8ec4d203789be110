"""`edgevid convert`: a model file goes in, a checked bundle comes out."""

from __future__ import annotations

from pathlib import Path

import click

from edgevid.presets import NAMES

_File = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_File)
@click.option("--out", type=_File, help="Bundle to write.  [default: ./MODEL.edgevid]")
@click.option(
    "--spec",
    type=_File,
    metavar="F.toml",
    help="What the shapes do not say: clip, inputs, outputs (docs/spec.md).",
)
@click.option("--preset", metavar="NAME", help=f"Preprocessing: {', '.join(NAMES)}.")
@click.option("--labels", type=_File, metavar="F", help="One label a line, in the output's order.")
@click.option(
    "--frames",
    type=_File,
    metavar="VIDEO",
    multiple=True,
    help="One more video to compare the graphs on; may be given again.",
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def command(
    model: Path,
    out: Path | None,
    spec: Path | None,
    preset: str | None,
    labels: Path | None,
    frames: tuple[Path, ...],
    force: bool,
) -> None:
    """Turn MODEL (.onnx) into a bundle that `edgevid run` runs."""
    from edgevid.convert import convert

    def show(kind: str, text: str) -> None:
        click.echo(text if kind == "step" else f"  {kind}: {text}", err=True)

    result = convert(
        model,
        out,
        spec=spec,
        preset=preset,
        labels=labels,
        frames=frames,
        force=force,
        progress=show,
    )
    click.echo(str(result.bundle))
