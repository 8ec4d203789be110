"""The table of docs/models.md: every family of video model, through all of edgevid.

    pip install 'edgevid[torch,tensorrt-rtx]'
    python -m edgevid.benchmarks.families --cache FOLDER [--data FOLDER] [--only NAME]...

Each model is converted to FP32, FP16 and, through the gate, INT8, on videos of its own; judged
on others; compared with its original on real clips, through decoding, sampling and resizing on
both sides; timed with and without streaming, and by `edgevid bench`; run on a live source; and
built for TensorRT-RTX.
The reference models (benchmarks/reference) are trained where FOLDER does not hold their weights
(see benchmarks/train_families.py). The table is Markdown.

`--short` does the same in seconds, with models that have hardly been trained.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np

import edgevid
from edgevid.benchmarks.reference.answers import answers
from edgevid.benchmarks.reference.families import FAMILIES
from edgevid.benchmarks.reference.subjects import DERIVED, NAMES, REAL, Subject, reference
from edgevid.benchmarks.reference.training import Trainer
from edgevid.benchmarks.reference.videos import render_videos, truth
from edgevid.convert import convert
from edgevid.convert.quantize.settings import QuantizeSettings
from edgevid.engines.build_options import BuildOptions
from edgevid.errors import EdgevidError
from edgevid.manifest import Bundle
from edgevid.pipeline import SamplingOptions

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
COMPUTE_CAPABILITY = "8.6"
CLIPS = (
    "abseiling_k400.mp4", "bird.mkv", "carving_ice_rpi.mp4", "demo_demo.mp4", "eat.mkv",
    "golfdb_test_video.mp4", "help.mkv", "milk.mkv", "roboflow_test_video.mp4",
    "stream_ucf5_concat.mp4", "thanks.mkv", "torchvideo_video1.mp4", "torchvideo_video2.mp4",
    "v_ApplyEyeMakeup_g01_c02.avi", "v_Basketball_g01_c01.avi", "v_BenchPress_g01_c03.avi",
    "v_Biking_g06_c03.avi", "v_Diving_g01_c01.avi", "v_Diving_g01_c02.avi",
    "v_LongJump_g01_c04.avi",
)  # fmt: skip
"""The 20 real clips that bundles are compared with their originals on."""

_LIVE = "synthetic:?motions=left&seconds=3&fps=30&size=320x240&seed=5&live=1"
_SMOOTH = "mean:8"
_HEADER = (
    "| model | contract | FP32 | FP16 | INT8 | parity | windows / clips | windows/s | streaming "
    "| bench ms | live | plan MB | remark |\n"
    "|---|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---|---|"
)


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        held_out, calibration: Rendered videos.
        clips, windows: How many clips, and windows of each, to compare on.
        timed: Windows for one rate.
        quick: Of the training.
    """

    held_out: range = range(1_000_000, 1_000_160)
    calibration: range = range(2_000_000, 2_000_048)
    clips: int = 20
    windows: int = 4
    timed: int = 100
    quick: bool = False


SHORT = Effort(range(1_000_000, 1_000_008), range(2_000_000, 2_000_008), 3, 2, 20, True)


@dataclass
class Row:
    """What was measured of one model; None is what was not.

    Attributes:
        accuracy: Share of the rendered videos that are right, for each precision.
        became: What each precision became: the gate may refuse INT8.
        parity: Largest difference of a probability from the original's.
        compared: Windows of how many clips it was taken from.
        rate, plain_rate: Windows a second of one engine thread, with streaming and without.
        plans_mb: Of the TensorRT-RTX plans, for each precision.
        bench_ms: From frames to labels by `edgevid bench`, median.
        live: Windows answered in 3 s of a live source.
        remarks: What did not work, and why.
    """

    model: str
    contract: str
    accuracy: dict[str, float] = field(default_factory=dict)
    became: dict[str, str] = field(default_factory=dict)
    parity: float | None = None
    compared: tuple[int, int] = (0, 0)
    against: str = ""
    rate: float | None = None
    plain_rate: float | None = None
    plans_mb: dict[str, float] = field(default_factory=dict)
    bench_ms: float | None = None
    live: int | None = None
    remarks: list[str] = field(default_factory=list)


class Bench:
    """Measures subjects.

    Args:
        cache: Weights, videos and bundles.
        data: Folder of the shared test data; without it there are no real clips.
        device: PyTorch's name of what trains.
    """

    def __init__(self, cache: Path, data: Path, effort: Effort, device: str = "cpu") -> None:
        self._cache = cache
        self._effort = effort
        self._trainer = Trainer(cache, say, effort.quick, device)
        self._data = data
        (cache / "bundles").mkdir(parents=True, exist_ok=True)
        held_out, calibration = effort.held_out, effort.calibration
        self._held_out = render_videos(cache / f"held-out-{len(held_out)}", held_out)
        self._calibration = render_videos(cache / f"calibration-{len(calibration)}", calibration)
        self._truth = truth(self._held_out)
        real = [data / "clips" / name for name in CLIPS] if data.is_dir() else []
        rendered = [self._held_out.parent / name for name in self._truth]
        self._clips = (real or rendered)[: effort.clips]

    def subject(self, name: str) -> Subject:
        """The model called so, trained if need be."""
        if name in REAL:
            return REAL[name](self._data)
        if name in DERIVED:
            return DERIVED[name](self._trainer)
        return reference(FAMILIES[name], self._trainer)

    def measure(self, subject: Subject) -> Row:
        row = Row(subject.name, subject.contract, against=subject.against)
        for precision in PRECISIONS:
            say(f"{subject.name}: {precision}")
            try:
                bundle = self._bundle(subject, precision, row)
                if subject.moving:
                    row.accuracy[precision] = self._accuracy(bundle)
                if precision == "fp32":
                    self._compare(subject, bundle, row)
                    self._convert_whole(subject, bundle)
                    self.time(row)
            except EdgevidError as exc:
                row.remarks.append(f"{precision.upper()}: {exc.message}")
        return row

    def _bundle(self, subject: Subject, precision: Precision, row: Row) -> Bundle:
        short = self._effort.quick
        report = convert(
            subject.model,
            out := self._path(subject.name, precision),
            spec=subject.spec,
            precision=precision,
            quantize=self._quantize(subject) if precision == "int8" else None,
            # The only target whose failure is a remark and not the end.
            target="onnx" if short else "auto",
            compute_capabilities=() if short else [COMPUTE_CAPABILITY],
            build=BuildOptions(workspace_mb=1024),
            stateful=subject.stateful,
            force=True,
        ).report
        row.became[precision] = report.precision
        for plan in report.plans:
            if plan.megabytes is not None:
                row.plans_mb[precision] = plan.megabytes
            elif plan.flavour == "tensorrt-rtx":
                row.remarks.append(f"{precision.upper()}: no plan: {plan.note}")
        return edgevid.load(out)

    def _path(self, name: str, which: str) -> Path:
        return self._cache / "bundles" / f"{name}-{which}.edgevid"

    def _quantize(self, subject: Subject) -> QuantizeSettings:
        videos = [str(self._calibration)] if subject.moving else [str(c) for c in self._clips]
        clips = 8 if self._effort.quick else 32
        return QuantizeSettings(calib=tuple(videos), calib_clips=clips, eval_clips=2 * clips)

    def _accuracy(self, bundle: Bundle) -> float:
        """Share of the rendered videos that are right by the mean of their last answers."""
        last: dict[str, str] = {}
        folder = str(self._held_out.parent / "*.mp4")
        for prediction in edgevid.stream(bundle, folder, smooth=_SMOOTH):
            last[Path(prediction.source_id).name] = prediction.label
        return sum(last.get(name) == label for name, label in self._truth.items()) / len(
            self._truth
        )

    def _compare(self, subject: Subject, bundle: Bundle, row: Row) -> None:
        """The largest difference between runtime and original on the first windows of clips."""
        worst, windows, clips = 0.0, 0, 0
        for video in self._clips:
            expected = answers(
                subject.begin,
                subject.clip,
                subject.inputs,
                subject.kind,
                video,
                self._effort.windows,
            )
            # A step knows what a window knows once it has seen as many frames.
            stepped = bundle.manifest.stepped is not None
            first = subject.clip.num_frames - 1 if stepped else 0
            expected = expected[:1] if stepped else expected
            with edgevid.stream(bundle, video) as stream:
                given = [p.scores for p in islice(stream, first, first + len(expected))]
            # Nor does it say anything of a clip that is shorter.
            if len(given) != len(expected) and not stepped:
                row.remarks.append(f"{video.name}: {len(given)} windows, not {len(expected)}")
            count = min(len(given), len(expected))
            if count:
                worst = max(worst, float(np.abs(given[:count] - expected[:count]).max()))
            windows, clips = windows + count, clips + bool(count)
        row.parity, row.compared = worst, (windows, clips)

    def _convert_whole(self, subject: Subject, bundle: Bundle) -> None:
        """Beside a bundle that was made for streams, one that computes every window whole."""
        if bundle.manifest.features is not None or bundle.manifest.stepped is not None:
            whole = self._path(subject.name, "whole")
            convert(
                subject.model, whole, spec=subject.spec, streaming="off", target="onnx", force=True
            )

    def time(self, row: Row) -> None:
        """Measure the times of a row whose bundles are in the cache."""
        bundle = edgevid.load(self._path(row.model, "fp32"))
        if bundle.manifest.features is None and bundle.manifest.stepped is None:
            row.plain_rate = self._rate(bundle)
        else:
            whole = edgevid.load(self._path(row.model, "whole"))
            # In turn, so that a drift of the machine touches both.
            rates = [(self._rate(whole), self._rate(bundle)) for _ in range(3)]
            row.plain_rate, row.rate = (median(side) for side in zip(*rates, strict=True))
        row.bench_ms = _bench(bundle)
        row.live = _live(bundle)

    def _rate(self, bundle: Bundle) -> float:
        """Windows a second, one sample apart, by the median of the engine's time for one."""
        clip = bundle.manifest.clip
        options = SamplingOptions()
        if clip.sampling != "interval":
            options = SamplingOptions(window_s=clip.window_s, hop_s=clip.period_s)
        video = max(self._clips, key=lambda path: path.stat().st_size)
        count = self._effort.timed
        with edgevid.stream(bundle, video, options=options, threads=1) as stream:
            times = [p.timings.infer_ms for p in islice(stream, count)]
        return 1000 / median(times[count // 5 :])


def _bench(bundle: Bundle) -> float:
    """Milliseconds from frames to labels by `edgevid bench`, median."""
    result = json.loads(_edgevid("bench", bundle, "--duration", "1", "--rounds", "2"))
    return float(result["figures"]["p50_ms"]["value"])


def _live(bundle: Bundle) -> int:
    """Windows that `edgevid run` answers on a live source."""
    return len(_edgevid("run", bundle, "--source", _LIVE, "--duration", "3").splitlines())


def _edgevid(verb: str, bundle: Bundle, *options: str) -> str:
    """What a command prints as JSON."""
    form = "--json" if verb == "bench" else "--jsonl"
    command = [sys.executable, "-m", "edgevid", verb, str(bundle.path), *options, form, "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgevidError(f"{verb}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def render(row: Row) -> str:
    """A row of the Markdown table."""
    int8 = _percent(row.accuracy.get("int8"))
    if row.became.get("int8") in ("fp32", "fp16"):
        int8 = f"{int8} refused: {row.became['int8'].upper()}".strip()
    elif "int8" in row.became and not int8:
        int8 = "passed"
    parity = "" if row.parity is None else f"{row.parity:.0e} ({row.against})"
    windows, clips = row.compared
    cells = [
        row.model,
        row.contract,
        _percent(row.accuracy.get("fp32")),
        _percent(row.accuracy.get("fp16")),
        int8,
        parity,
        f"{windows} / {clips}",
        "" if row.plain_rate is None else f"{row.plain_rate:.0f}",
        "" if row.rate is None else f"{row.rate:.0f}",
        "" if row.bench_ms is None else f"{row.bench_ms:.2f}",
        "" if row.live is None else f"{row.live}",
        " / ".join(f"{row.plans_mb[p]:.2f}" for p in PRECISIONS if p in row.plans_mb),
        "; ".join(row.remarks),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kept(file: Path | None) -> dict[str, Row]:
    """The rows of a file, by what `--only` calls them."""
    if file is None or not file.exists():
        return {}
    tables = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {table.pop("name"): Row(**table) for table in tables}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def say(text: str) -> None:
    """Tell how far things are, on stderr."""
    print(f"  {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for weights and bundles")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="real clips")
    parser.add_argument("--only", action="append", metavar="NAME", choices=NAMES)
    parser.add_argument("--device", default="cpu", help="PyTorch's name of what trains")
    parser.add_argument("--short", action="store_true", help="seconds, to try the script")
    parser.add_argument("--json", type=Path, help="keep the rows in this file, one a line")
    parser.add_argument("--times", action="store_true", help="measure times of --json's rows anew")
    args = parser.parse_args(argv)
    names = args.only or [n for n in NAMES if n not in REAL or args.data.is_dir()]
    bench = Bench(args.cache, args.data, SHORT if args.short else Effort(), args.device)
    rows = _kept(args.json)
    print(_HEADER, flush=True)
    for name in rows if args.times else names:
        if args.times:
            bench.time(rows[name])
        else:
            rows[name] = bench.measure(bench.subject(name))
        print(render(rows[name]), flush=True)
        if args.json is not None:
            lines = [json.dumps({"name": name, **asdict(row)}) + "\n" for name, row in rows.items()]
            args.json.write_text("".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
