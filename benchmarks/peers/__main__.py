"""Run edgevid and its peers in turn, and print the table: see the package.

    python -m edgevid.benchmarks.peers BUNDLE MODEL.onnx [VIDEO]

All label every n-th frame of the same file with the same model and the same number of engine
threads, models loaded beforehand; the time is from opening the file to the last label.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import edgevid
from edgevid.benchmarks.live_material import video
from edgevid.benchmarks.peers.engine_only import engine_only
from edgevid.benchmarks.peers.peers import EDGEVID, PEERS, Peer
from edgevid.benchmarks.peers.rounds import take_turns
from edgevid.benchmarks.peers.table import heading, table, versions
from edgevid.benchmarks.peers.variants import clip_of_one, unit_range
from edgevid.errors import EdgevidError, SpecError


def job_for(
    bundle: edgevid.Bundle, model: Path, file: Path, stride: int, threads: int, scratch: Path
) -> dict[str, Any]:
    """What every peer is told.

    Raises:
        SpecError: The model is not one of single frames, resized whole.
    """
    (spec, *others) = bundle.manifest.inputs
    whole = spec.layout == "NCHW" and spec.resize == "stretch" and spec.modality == "rgb"
    if others or not whole or bundle.manifest.clip.num_frames != 1:
        raise SpecError(
            f"{bundle.path} cannot be run by every peer",
            "Give a classifier of single frames: NCHW, RGB or BGR, resized whole (stretch)",
        )
    return {
        "bundle": str(bundle.path.resolve()),
        "model": str(model.resolve()),
        "clip_model": str(clip_of_one(model, spec, scratch / "clip.onnx")),
        "unit_model": str(unit_range(model, spec, bundle.labels, scratch / "unit.onnx")),
        "video": str(file.resolve()),
        "stride": stride,
        "threads": threads,
        "size": list(spec.size),
        "scale": spec.scale,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "color": spec.color,
        "classes": len(bundle.labels),
        "bytes": False,
        "scratch": str(scratch),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and print; the value is the exit status."""
    args = _parser().parse_args(argv)
    try:
        return _compare(args)
    except EdgevidError as exc:
        print(f"peers: error: {exc}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    keys = ", ".join(peer.key for peer in PEERS)
    parser = argparse.ArgumentParser(prog="python -m edgevid.benchmarks.peers")
    parser.add_argument("bundle", type=Path, help="a one-frame model's bundle, in FP32")
    parser.add_argument("model", type=Path, help="the ONNX file that it was converted from")
    parser.add_argument("video", type=Path, nargs="?", help="[one made here]")
    parser.add_argument("--seconds", type=int, default=30, help="of the video made here")
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", metavar="PEER", help=f"of {keys}")
    parser.add_argument("--json", type=Path, metavar="F", help="write every round there")
    return parser


def _compare(args: argparse.Namespace) -> int:
    peers = _chosen(args.only)
    bundle = edgevid.load(args.bundle)
    if not args.model.is_file():
        raise SpecError(f"no such file: {args.model}", "Give the model that was converted")
    file = args.video or video(args.seconds, _say)
    frames = _count(file)
    with tempfile.TemporaryDirectory(prefix="edgevid-peers-") as folder:
        job = job_for(bundle, args.model, file, args.stride, args.threads, Path(folder))
        found = take_turns(peers, job, args.rounds, Path(folder), _say)
    cores = len(os.sched_getaffinity(0))
    name = bundle.manifest.model.name
    print(heading(name, file.name, frames, args.stride, args.threads, args.rounds, cores))
    print(table(peers, found, frames))
    print("\n" + versions(found))
    print("\n" + "\n".join(engine_only(args.model, bundle)))
    if args.json:
        words = {key: asdict(passes) for key, passes in found.items()}
        args.json.write_text(json.dumps(words, indent=2) + "\n")
    return 0


def _chosen(only: Sequence[str] | None) -> list[Peer]:
    known = [peer.key for peer in PEERS]
    for key in only or ():
        if key not in known:
            raise SpecError(f"no peer {key!r}", f"There are {', '.join(known)}")
    return [p for p in PEERS if only is None or p.key in only or p.key == EDGEVID]


def _count(file: Path) -> int:
    with closing(edgevid.open_source(str(file))) as source:
        while source.read(lambda _: False) is not None:
            pass
        return source.stats.frames_read


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
