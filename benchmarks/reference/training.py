"""From clips of moving shapes to weights, kept in a cache, and from weights to ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.reference import networks
from edgevid.benchmarks.reference.data import SIZE, Tracks, augment, training_tracks
from edgevid.benchmarks.reference.families import Family
from edgevid.benchmarks.reference.original import model_input
from edgevid.benchmarks.reference.pretraining import pretrained
from edgevid.types import Array

THREADS = 1
CLIPS = 4096
QUICK_CLIPS = 64
_SEED = 0
_OPSET = 17
_WARM_UP = 0.15


def train(
    family: Family,
    tracks: Tracks,
    labels: Array,
    say: Callable[[str], None],
    epochs: int,
    start: Mapping[str, Any] | None = None,
) -> Any:
    """The family's module, trained on clips of `NUM_FRAMES`, in `eval` mode.

    Args:
        start: Weights of its CNN for single frames to start from.
    """
    import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(_SEED)
    rng = np.random.default_rng(_SEED)
    net = _channels_last(torch, family.make())
    if start is not None:
        net.frame.load_state_dict(start)
    length, batch = family.trained_on or family.num_frames, family.batch
    optimizer = torch.optim.AdamW(net.parameters(), lr=family.rate, weight_decay=0.01)
    steps = len(labels) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, family.rate, total_steps=epochs * steps, pct_start=_WARM_UP
    )
    for epoch in range(epochs):
        total = 0.0
        for chosen in rng.permutation(len(labels))[: steps * batch].reshape(steps, batch):
            first = int(rng.integers(tracks["full"].shape[1] - length + 1))
            used = slice(first, first + length)
            clips, classes = augment(
                rng, {name: track[chosen, used] for name, track in tracks.items()}, labels[chosen]
            )
            feeds = feeds_of(family, clips)
            loss = torch.nn.functional.cross_entropy(net(*feeds), torch.from_numpy(classes))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        say(f"{family.name}: epoch {epoch + 1}/{epochs}, loss {total / steps:.4f}")
    return net.eval()


def feeds_of(family: Family, tracks: Tracks) -> list[Any]:
    """The module's arguments, as tensors, of some windows of T frames."""
    import torch

    return [
        torch.from_numpy(model_input(tracks[family.track(spec)], spec))
        for spec in family.input_specs
    ]


def _channels_last(torch: Any, net: Any) -> Any:
    """The same module with weights laid out as convolutions on a CPU run fastest."""
    for module in net.modules():
        if isinstance(module, torch.nn.Conv3d):
            return net.to(memory_format=torch.channels_last_3d)
    return net.to(memory_format=torch.channels_last)


def trained(family: Family, cache: Path, quick: bool, say: Callable[[str], None]) -> Any:
    """The family's trained module; weights are looked for in `cache`, and left there.

    Args:
        quick: A few steps on a few clips: the module works, and is not good.
    """
    import torch

    weights = _weights(family.of or family.name, cache, quick)
    if not weights.exists():
        tracks, labels = _clips(cache, QUICK_CLIPS if quick else CLIPS, family.tracks, say)
        start = _pretrained(cache, quick, tracks, say) if family.pretrained else None
        net = train(
            family,
            tracks,
            labels,
            say,
            epochs=1 if quick else family.epochs,
            start=start,
        )
        weights.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), weights)
    net = family.make()
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net.eval()


def _pretrained(
    cache: Path, quick: bool, tracks: Tracks, say: Callable[[str], None]
) -> Mapping[str, Any]:
    """Weights of the CNN of one frame that knows poses."""
    import torch

    weights = _weights("frame", cache, quick)
    if not weights.exists():
        torch.set_num_threads(THREADS)
        weights.parent.mkdir(parents=True, exist_ok=True)
        frame = pretrained(networks.Frame(SIZE), networks.FEATURES, tracks, say)
        torch.save(frame.state_dict(), weights)
    kept: Mapping[str, Any] = torch.load(weights, weights_only=True)
    return kept


def _weights(name: str, cache: Path, quick: bool) -> Path:
    return cache / "weights" / f"{name}{'-quick' if quick else ''}.pt"


def _clips(
    cache: Path, count: int, names: Collection[str], say: Callable[[str], None]
) -> tuple[Tracks, Array]:
    """Clips to train on, rendered once."""
    file = cache / f"clips-{count}.npz"
    if not file.exists():
        say(f"rendering {count} clips to train on")
        tracks, labels = training_tracks(range(count))
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, **{**tracks, "labels": labels})  # type: ignore[arg-type]
    with np.load(file) as kept:
        return {name: kept[name] for name in names}, kept["labels"]


def export(family: Family, net: Any, file: Path) -> None:
    """Write the ONNX file of a trained module, with an open batch."""
    import torch

    steps = family.steps(net) if family.steps else net
    inputs = {
        spec.name: torch.zeros(1, *spec.model_shape(1 if family.states else family.num_frames))
        for spec in family.exported_inputs
    }
    inputs |= {f"{name}_in": torch.zeros(shape) for name, shape in family.states.items()}
    outputs = ["logits", *(f"{name}_out" for name in family.states)]
    batch = {f"{name}_{side}": {family.batch_axis: "batch"} for name in family.states
             for side in ("in", "out")}  # fmt: skip
    batch |= {name: {0: "batch"} for name in (*inputs, "logits") if name not in batch}
    with warnings.catch_warnings():
        # The older exporter folds batch normalisation.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            steps.eval(), tuple(inputs.values()), file, dynamo=False, opset_version=_OPSET,
            input_names=list(inputs), output_names=outputs, dynamic_axes=batch,
        )  # fmt: skip
