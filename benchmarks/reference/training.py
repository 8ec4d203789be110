"""From clips of moving shapes to weights, kept in a cache, and from weights to ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.reference import networks
from edgevid.benchmarks.reference.augmentation import augment
from edgevid.benchmarks.reference.data import (
    NUM_FRAMES,
    SIZE,
    is_rendered,
    load_clips,
    render_clips,
)
from edgevid.benchmarks.reference.families import FAMILIES, Family
from edgevid.benchmarks.reference.original import model_input
from edgevid.benchmarks.reference.pretraining import pretrained

CLIPS = range(24_576)
JUDGED = range(3_000_000, 3_000_800)
"""Seeds of the clips to learn from, and of those that the trained modules are judged on."""

QUICK_CLIPS = range(64)
QUICK_JUDGED = range(3_000_000, 3_000_016)
_THREADS = 1
_SEED = 0
_OPSET = 17
_WARM_UP = 0.15
_DECAY = 0.01
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Trainer:
    """Where and how the reference models are trained.

    Attributes:
        cache: Folder of weights and clips.
        say: Told how far things are.
        quick: A few steps on a few clips: the modules work, and are not good.
        device: PyTorch's name of it, such as `cpu` or `cuda`.
    """

    cache: Path
    say: Callable[[str], None]
    quick: bool = False
    device: str = "cpu"

    def trained(self, family: Family) -> Any:
        """The family's module on the CPU, in `eval` mode; its weights are kept in the cache."""
        import torch

        weights = self._weights(family.of or family.name)
        if not weights.exists():
            tracks, labels = self._clips(CLIPS, QUICK_CLIPS, family)
            epochs = 1 if self.quick else family.epochs
            if family.frame_of:
                frame = self.trained(FAMILIES[family.frame_of]).frame
                net = train_head(family, frame, tracks, labels, self.say, epochs, self.device)
            else:
                start = self.pretrain() if family.pretrained else None
                net = train(family, tracks, labels, self.say, epochs, self.device, start)
            judged = self._clips(JUDGED, QUICK_JUDGED, family, varied=False)
            share = accuracy(family, net, *judged)
            self.say(f"{family.name}: {100 * share:.1f} % of clips that it has not seen")
            _save(net, weights)
        net = family.make()
        net.load_state_dict(torch.load(weights, weights_only=True))
        return net.eval()

    def render(self) -> None:
        """Render the clips, where they are not in the cache."""
        self._rendered(CLIPS, QUICK_CLIPS)
        self._rendered(JUDGED, QUICK_JUDGED, varied=False)

    def pretrain(self) -> Any:
        """The CNN of one frame that knows poses; its weights are kept in the cache."""
        import torch

        weights, frame = self._weights("frame"), networks.Frame(SIZE)
        if not weights.exists():
            clips = self._rendered(CLIPS, QUICK_CLIPS)
            net = pretrained(
                networks.Frame(SIZE), networks.FEATURES, clips, self.say, self.quick, self.device
            )
            _save(net, weights)
        frame.load_state_dict(torch.load(weights, weights_only=True))
        return frame

    def _weights(self, name: str) -> Path:
        return self.cache / "weights" / f"{name}{'-quick' if self.quick else ''}.pt"

    def _clips(self, seeds: range, few: range, family: Family, varied: bool = True) -> Any:
        """Clips for a family, rendered once: tensors of tracks, and of classes."""
        import torch

        tracks, labels = load_clips(self._rendered(seeds, few, varied), family.tracks)
        device = torch.device(self.device)
        tensors = {name: torch.from_numpy(track).to(device) for name, track in tracks.items()}
        return tensors, torch.from_numpy(labels).to(device)

    def _rendered(self, seeds: range, few: range, varied: bool = True) -> Path:
        seeds = few if self.quick else seeds
        folder = self.cache / f"clips-{seeds.start}-{len(seeds)}"
        if not is_rendered(folder):
            self.say(f"rendering {len(seeds)} clips")
            render_clips(folder, seeds, varied)
        return folder


def _save(net: Any, file: Path) -> None:
    import torch

    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: value.cpu() for name, value in net.state_dict().items()}, file)


def train(
    family: Family,
    tracks: Mapping[str, Any],
    labels: Any,
    say: Callable[[str], None],
    epochs: int,
    device: str = "cpu",
    start: Any = None,
) -> Any:
    """The family's module, trained on clips of `NUM_FRAMES`, in `eval` mode, on the device.

    Args:
        tracks, labels: Tensors on the device, as `data.load_clips` reads them.
        start: The `Frame` that it starts from, where it does.
    """
    import torch

    net, dice = _begin(family, device)
    if start is not None:
        net.start_from(start)
    net = prepared(net, device)

    def loss_of(chosen: Any) -> Any:
        window = _drawn_window(family)
        used = {name: track[chosen, window] for name, track in tracks.items()}
        clips, classes = augment(used, labels[chosen], dice)
        return torch.nn.functional.cross_entropy(net(*feeds_of(family, clips)), classes)

    _descend(family, net, loss_of, len(labels), say, epochs, dice)
    return net.eval()


def train_head(
    family: Family,
    frame: Any,
    tracks: Mapping[str, Any],
    labels: Any,
    say: Callable[[str], None],
    epochs: int,
    device: str = "cpu",
) -> Any:
    """As `train`, but of the `head` alone; what it takes is computed once for every clip.

    Args:
        frame: A trained `Frame`.
    """
    import torch

    net, dice = _begin(family, device)
    net.start_from(frame)
    net = prepared(net, device)
    net.eval()
    features, classes = [], []
    with torch.no_grad():
        for part in torch.arange(len(labels), device=device).split(family.batch):
            used = {name: track[part] for name, track in tracks.items()}
            clips, changed = augment(used, labels[part], dice)
            features.append(net.see(*feeds_of(family, clips)))
            classes.append(changed)
    seen, wanted = torch.cat(features), torch.cat(classes)
    net.train()

    def loss_of(chosen: Any) -> Any:
        part = seen[chosen, _drawn_window(family)]
        return torch.nn.functional.cross_entropy(net.head(part), wanted[chosen])

    _descend(family, net, loss_of, len(labels), say, epochs, dice)
    return net.eval()


def _begin(family: Family, device: str) -> tuple[Any, Any]:
    """A new module on the CPU, and the dice of its training on the device."""
    import torch

    torch.set_num_threads(_THREADS)
    torch.manual_seed(_SEED)
    return family.make(), torch.Generator(device).manual_seed(_SEED)


def _descend(
    family: Family,
    net: Any,
    loss_of: Callable[[Any], Any],
    count: int,
    say: Callable[[str], None],
    epochs: int,
    dice: Any,
) -> None:
    """AdamW under a warm-up and half a cosine (Smith & Topin 2017, arXiv:1708.07120).

    Args:
        loss_of: From the indices of a batch, of `count`.
    """
    import torch

    device = dice.device
    batch = min(family.batch, count)
    steps = count // batch
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=family.rate, weight_decay=_DECAY, fused=device.type != "cpu"
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, family.rate, total_steps=epochs * steps, pct_start=_WARM_UP
    )
    for epoch in range(epochs):
        total = torch.zeros((), device=device)
        order = torch.randperm(count, generator=dice, device=device)
        for chosen in order[: steps * batch].view(steps, batch):
            loss = loss_of(chosen)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            total += loss.detach()
        say(f"{family.name}: epoch {epoch + 1}/{epochs}, loss {float(total) / steps:.4f}")


def accuracy(family: Family, net: Any, tracks: Mapping[str, Any], labels: Any) -> float:
    """Share of clips whose first window is told right."""
    import torch

    right, window = 0, _window(family, 0, family.num_frames)
    with torch.no_grad():
        for part in torch.arange(len(labels), device=labels.device).split(100):
            used = {name: track[part, window] for name, track in tracks.items()}
            given = net(*feeds_of(family, used)).argmax(1)
            right += int((given == labels[part]).sum())
    return right / len(labels)


def feeds_of(family: Family, tracks: Mapping[str, Any]) -> list[Any]:
    """The module's arguments for windows of tracks."""
    return [model_input(tracks[family.track(spec)], spec) for spec in family.input_specs]


def _drawn_window(family: Family) -> slice:
    """Where a batch is cut from its clips."""
    import torch

    longest = family.longest or family.num_frames
    length = int(torch.randint(family.num_frames, longest + 1, ()))
    span = (length - 1) * family.apart + 1
    return _window(family, int(torch.randint(NUM_FRAMES - span + 1, ())), length)


def _window(family: Family, first: int, length: int) -> slice:
    # Of T frames there are T - 1 fields of flow.
    count = length - ("flow" in family.tracks)
    return slice(first, first + count * family.apart, family.apart)


def prepared(net: Any, device: str) -> Any:
    """The same module on a device; on a CPU laid out as convolutions run fastest there."""
    import torch

    if device != "cpu":
        torch.backends.cudnn.benchmark = True
        return net.to(device)
    volumes = any(isinstance(module, torch.nn.Conv3d) for module in net.modules())
    layout = torch.channels_last_3d if volumes else torch.channels_last
    return net.to(memory_format=layout)


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
