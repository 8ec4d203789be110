"""Make everything in edgevid/demo again: train the model, measure it, render the clip.

    python -m edgevid.benchmarks.demo_model --out edgevid/demo

Training needs PyTorch (`pip install 'edgevid[torch]'`) and a few minutes on two cores.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from edgevid.benchmarks.demo_clip import write_clip
from edgevid.benchmarks.demo_data import demo_spec, held_out_clips, to_model, training_clips
from edgevid.errors import MissingDependencyError
from edgevid.files import write_atomic
from edgevid.spec import Spec
from edgevid.types import Array, UInt8Array

_THREADS = 2
_OPSET = 17
_SEED = 0


@dataclass(frozen=True)
class Recipe:
    """How long to train, and on which seeds to train and measure."""

    training_seeds: range = range(6400)
    held_out_seeds: range = range(1_000_000, 1_001_600)
    epochs: int = 9
    batch: int = 64
    peak_rate: float = 4e-3
    augmented: bool = True


QUICK = Recipe(range(64), range(1_000_000, 1_000_016), epochs=18, batch=16, augmented=False)
"""Seconds instead of minutes: shows that the script runs, not that the model is good."""


@dataclass(frozen=True)
class Outcome:
    """What a run of the script gave.

    Attributes:
        top1: Share of held-out clips on which the best class is right.
        losses: Mean training loss of each epoch.
    """

    top1: float
    losses: tuple[float, ...]


def build(out: Path, recipe: Recipe) -> Outcome:
    """Train, export, measure and render into the folder `out`.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        OutputError: `out` cannot be written.
    """
    torch = _torch()
    spec = demo_spec()
    click.echo(f"rendering {len(recipe.training_seeds)} clips to train on", err=True)
    clips, labels = training_clips(recipe.training_seeds, spec)
    net, losses = _train(torch, clips, labels, spec, recipe)
    out.mkdir(parents=True, exist_ok=True)
    model = out / "model.onnx"
    _export(torch, net, spec, model)
    click.echo(f"measuring on {len(recipe.held_out_seeds)} clips it has not seen", err=True)
    top1 = measure(model, recipe.held_out_seeds, spec)
    report = {
        "top1": top1,
        "clips": len(recipe.held_out_seeds),
        "held_out_seeds": [recipe.held_out_seeds.start, recipe.held_out_seeds.stop],
        "training_seeds": [recipe.training_seeds.start, recipe.training_seeds.stop],
        "epochs": recipe.epochs,
        "parameters": sum(p.numel() for p in net.parameters()),
        "torch": torch.__version__,
    }
    write_atomic(out / "accuracy.json", (json.dumps(report, indent=2) + "\n").encode())
    write_clip(out)
    return Outcome(top1, losses)


def measure(model: Path, seeds: range, spec: Spec) -> float:
    """Share of the held-out clips of these seeds on which ONNX Runtime's best class is right."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    right = 0
    for start in range(seeds.start, seeds.stop, 64):
        clips, labels = held_out_clips(range(start, min(start + 64, seeds.stop)), spec)
        feeds = {spec.inputs[0].name: to_model(clips, spec.inputs[0])}
        (logits,) = session.run([spec.outputs[0].name], feeds)
        right += int((logits.argmax(axis=1) == labels).sum())
    return right / len(seeds)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("torch", "torch", "training the demo model") from None
    return torch


def _network(nn: Any, classes: int) -> Any:
    """Five 3D convolutions; time is kept whole until the motion has been seen."""
    # Output channels, kernel and stride, each along time, height and width.
    stages = (
        (16, (1, 5, 5), (1, 2, 2)),
        (24, (3, 3, 3), (1, 2, 2)),
        (32, (3, 3, 3), (1, 2, 2)),
        (48, (3, 3, 3), (2, 1, 1)),
        (64, (3, 3, 3), (2, 2, 2)),
    )
    layers: list[Any] = []
    channels = 3
    for wider, kernel, stride in stages:
        padding = tuple(k // 2 for k in kernel)
        layers += [
            nn.Conv3d(channels, wider, kernel, stride, padding, bias=False),
            nn.BatchNorm3d(wider),
            nn.ReLU(),
        ]
        channels = wider
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


def _train(
    torch: Any, clips: UInt8Array, labels: Array, spec: Spec, recipe: Recipe
) -> tuple[Any, tuple[float, ...]]:
    """The trained network, ready to export, and the mean loss of each epoch."""
    torch.set_num_threads(_THREADS)
    torch.manual_seed(_SEED)
    rng = np.random.default_rng(_SEED)
    net = _network(torch.nn, len(spec.labels)).to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.peak_rate, weight_decay=0.01)
    steps = len(clips) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, total_steps=recipe.epochs * steps
    )
    losses = []
    for epoch in range(recipe.epochs):
        total = 0.0
        order = rng.permutation(len(clips))[: steps * recipe.batch]
        for chosen in order.reshape(steps, recipe.batch):
            x, y = clips[chosen], labels[chosen]
            if recipe.augmented:
                x, y = augment(rng, x, y)
            inputs = torch.from_numpy(to_model(x, spec.inputs[0]))
            loss = torch.nn.functional.cross_entropy(net(inputs), torch.from_numpy(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        losses.append(total / steps)
        click.echo(f"epoch {epoch + 1}/{recipe.epochs}: loss {losses[-1]:.4f}", err=True)
    return net.eval(), tuple(losses)


def _export(torch: Any, net: Any, spec: Spec, path: Path) -> None:
    contract = spec.inputs[0]
    example = torch.zeros(1, 3, spec.clip.num_frames, *contract.size)
    output = spec.outputs[0].name
    with warnings.catch_warnings():
        # The older exporter folds batch normalisation and needs no further package.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (example,),
            path,
            dynamo=False,
            opset_version=_OPSET,
            input_names=[contract.name],
            output_names=[output],
            dynamic_axes={contract.name: {0: "batch"}, output: {0: "batch"}},
        )


# Where each class goes when the picture is mirrored, transposed or played backwards.
MIRRORED_X = np.array([1, 0, 2, 3, 5, 4, 6, 7])
MIRRORED_Y = np.array([0, 1, 3, 2, 5, 4, 6, 7])
TRANSPOSED = np.array([2, 3, 0, 1, 5, 4, 6, 7])
BACKWARDS = np.array([1, 0, 3, 2, 5, 4, 7, 6])


def augment(rng: np.random.Generator, clips: UInt8Array, labels: Array) -> tuple[Array, Array]:
    """Clips seen in a mirror, turned over, backwards, in other colours; the classes follow.

    Args:
        clips: `(N, T, S, S, 3)` uint8.
        labels: `(N,)` int64, in the order of `MOTIONS`.

    Returns:
        The same shapes and types.
    """
    changed = np.empty_like(clips)
    classes = labels.copy()
    for i, clip in enumerate(clips):
        mirror_x, mirror_y, transpose, backwards = rng.random(4) < 0.5
        if mirror_x:
            clip, classes[i] = clip[:, :, ::-1], MIRRORED_X[classes[i]]
        if mirror_y:
            clip, classes[i] = clip[:, ::-1], MIRRORED_Y[classes[i]]
        if transpose:
            clip, classes[i] = clip.swapaxes(1, 2), TRANSPOSED[classes[i]]
        if backwards:
            clip, classes[i] = clip[::-1], BACKWARDS[classes[i]]
        contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-25, 25)
        values = np.clip((np.arange(256) - 128) * contrast + 128 + brightness, 0, 255)
        changed[i] = values.astype(np.uint8)[clip[..., rng.permutation(3)]]
    return changed, classes


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--quick", is_flag=True, help="A few steps only: to try the script.")
def main(out: Path, quick: bool) -> None:
    """Train the demo model, measure it and render the demo clip into a folder."""
    outcome = build(out, QUICK if quick else Recipe())
    click.echo(f"held-out accuracy: {100 * outcome.top1:.2f} %")


if __name__ == "__main__":
    main()
