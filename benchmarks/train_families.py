"""Train the reference models of docs/models.md.

    pip install 'edgevid[torch]'
    python -m edgevid.benchmarks.train_families --cache FOLDER [--device cuda] [--jobs N]

Renders the clips on all cores, then trains the families, several at a time in processes of their
own, and leaves their weights in FOLDER, where `python -m edgevid.benchmarks.families` finds them.
What is there already is left alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from edgevid.benchmarks.reference.families import FAMILIES
from edgevid.benchmarks.reference.training import Trainer

TRAINED = [name for name, family in FAMILIES.items() if family.of is None]


def train_all(trainer: Trainer, names: Sequence[str], jobs: int) -> None:
    """Train the families of these names, `jobs` at a time."""
    trainer.render()
    if any(FAMILIES[name].pretrained for name in names):
        trainer.pretrain()
    alone = [name for name in names if FAMILIES[name].frame_of is None]
    # The others take over what those have learned.
    for wave in (alone, [name for name in names if name not in alone]):
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for done in as_completed([pool.submit(_train, trainer, name) for name in wave]):
                done.result()


def _train(trainer: Trainer, name: str) -> None:
    trainer.trained(FAMILIES[name])


def say(text: str) -> None:
    """Tell how far things are, on stderr."""
    print(f"  {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; the value is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for clips and weights")
    parser.add_argument("--only", action="append", metavar="NAME", choices=TRAINED)
    parser.add_argument("--device", default="cpu", help="PyTorch's name, such as cuda")
    parser.add_argument("--jobs", type=int, default=1, help="families at a time")
    parser.add_argument("--short", action="store_true", help="seconds, to try the script")
    args = parser.parse_args(argv)
    trainer = Trainer(args.cache, say, args.short, args.device)
    train_all(trainer, args.only or TRAINED, args.jobs)
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
