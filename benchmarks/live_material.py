"""What the throughput benchmarks need and can make themselves: a video and a model.

Both are kept in the user's cache. The video is 1280x720 H.264 at 25 frames a second, of moving
shapes; the model a ResNet-18 (He et al. 2016, arXiv:1512.03385) with random weights, in INT8:
how fast it is does not depend on what it knows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from edgevid.benchmarks.reference.optional_torch import Module, nn, torch
from edgevid.benchmarks.reference.real import MOBILENET
from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings
from edgevid.engines.user_cache import user_cache
from edgevid.manifest import Bundle
from edgevid.sources.moving_shapes import MOTIONS, Scene

SIZE = (1280, 720)
FPS = 25
_SCENE_FRAMES = 2 * FPS
_QUALITY = "23"  # x264's constant rate factor, its own default

_RESNET_INPUT: dict[str, Any] = {
    "name": "input", "layout": "NCHW", "size": [224, 224], "resize": "stretch", "crop": "full",
    "color": "rgb", "scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
}  # fmt: skip

Say = Callable[[str], None]


def video(seconds: int, say: Say) -> Path:
    """An H.264 file of so many seconds; made where it is not in the cache yet."""
    path = user_cache("benchmarks") / f"shapes-{SIZE[1]}p-{seconds}s.mp4"
    if not path.exists():
        say(f"making {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.mp4")
        _encode(unfinished, seconds * FPS)
        unfinished.replace(path)
    return path


def _encode(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "medium", "crf": _QUALITY}
        for start in range(0, frames, _SCENE_FRAMES):
            number = start // _SCENE_FRAMES
            scene = Scene(MOTIONS[number % len(MOTIONS)], number, SIZE)
            for i in range(min(_SCENE_FRAMES, frames - start)):
                picture = av.VideoFrame.from_ndarray(scene.frame(i / FPS), format="bgr24")
                file.mux(stream.encode(picture))
        file.mux(stream.encode(None))


def resnet18_int8(clips: Path, say: Say) -> Path:
    """The bundle of a ResNet-18 in INT8, calibrated on `clips`; made where it is not there yet.

    Its `reference.onnx` is the same in FP32.

    Raises:
        MissingDependencyError: PyTorch is not installed.
    """
    path = user_cache("benchmarks") / "resnet18-int8.edgevid"
    if not path.exists():
        say(f"making {path}")
        # Random weights lose answers in INT8, which says nothing of how fast they are.
        quantize = QuantizeSettings((str(clips),), calib_clips=16, max_drop=0.99, rest="fp32")
        shutil.rmtree(unfinished := path.with_suffix(".part.edgevid"), ignore_errors=True)
        convert(
            f"{__name__}:resnet18", unfinished, spec={"inputs": [_RESNET_INPUT]}, precision="int8",
            quantize=quantize, target="onnx", example_shape=(1, 3, 224, 224),
            progress=lambda _, text: say(text),
        )  # fmt: skip
        unfinished.rename(path)
    return path


def resnet18_fp32(say: Say) -> Path:
    """The bundle of the same in FP32, as `resnet18_int8`."""
    path = user_cache("benchmarks") / "resnet18-fp32.edgevid"
    if not path.exists():
        say(f"making {path}")
        shutil.rmtree(unfinished := path.with_suffix(".part.edgevid"), ignore_errors=True)
        convert(
            f"{__name__}:resnet18", unfinished, spec={"inputs": [_RESNET_INPUT]}, precision="fp32",
            target="onnx", example_shape=(1, 3, 224, 224), progress=lambda _, text: say(text),
        )  # fmt: skip
        unfinished.rename(path)
    return path


def mobilenet(data: Path, say: Say) -> tuple[Bundle, Path] | None:
    """The bundle of a real MobileNetV2 in FP32, and its ONNX file; None without the test data."""
    folder = data / "models" / "mobilenet-v2-imagenet"
    model = folder / "model.onnx"
    if not model.exists():
        say(f"no MobileNet: {model} is not there")
        return None
    path = user_cache("benchmarks") / "mobilenet-v2.edgevid"
    if not path.exists():
        say(f"making {path}")
        spec = {**MOBILENET, "labels": str(folder / "labels.txt")}
        convert(model, path, spec=spec, precision="fp32", target="onnx")
    return Bundle.load(path), model


def resnet18() -> Any:
    """ResNet-18, `(N, 3, 224, 224)` to 1000 logits, the same random weights every time."""
    torch.manual_seed(0)
    layers = [*_unit(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for width in (64, 128, 256, 512):
        layers += [_Block(channels, width, width // channels), _Block(width, width, 1)]
        channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        # Statistics of noise, so that values neither vanish nor explode from layer to layer.
        for _ in range(8):
            net(torch.randn(4, 3, 224, 224))
    return net.eval()


def _unit(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[Any, Any]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs)


class _Block(Module):
    """Two 3x3 convolutions and the way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first, second = _unit(inputs, outputs, 3, stride), _unit(outputs, outputs, 3, 1)
        self.through = nn.Sequential(*first, nn.ReLU(), *second)
        same = inputs == outputs and stride == 1
        self.around = nn.Identity() if same else nn.Sequential(*_unit(inputs, outputs, 1, stride))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.through(x) + self.around(x))
