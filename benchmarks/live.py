"""What a live pipeline must reach, measured: `python -m edgevid.benchmarks.live [PART]...`

throughput  a file: the share of the bound, and the loops that users write
overhead    CPU time beside decoder, resizer and engine
start       from the start of the process to the first label
paced       eight files at their own rate into one engine: shares and latency
overload    three times what the engine can do: memory, latency, counts
reconnect   an RTSP server killed and started again while it is watched
soak        cameras that misbehave, for half an hour

Prints a table in Markdown: what was asked, what was seen.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from edgevid.benchmarks.live_overhead import overhead
from edgevid.benchmarks.live_overload import overload
from edgevid.benchmarks.live_paced import paced
from edgevid.benchmarks.live_reconnect import reconnect
from edgevid.benchmarks.live_rows import Row, table
from edgevid.benchmarks.live_soak import soak
from edgevid.benchmarks.live_start import start
from edgevid.benchmarks.live_throughput import throughput

Part = Callable[[argparse.Namespace], list[Row]]

PARTS: dict[str, Part] = {
    "throughput": lambda args: throughput(args.short, args.data, _say),
    "overhead": lambda args: overhead(args.short, args.data, _say),
    "start": lambda args: start(args.short, args.data, _say),
    "paced": lambda args: paced(args.short, _say),
    "overload": lambda args: overload(args.short),
    "reconnect": lambda args: reconnect(args.short),
    "soak": lambda args: soak(args.minutes, args.short),
}
"""By name, in the order of the table."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the value is the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--short", action="store_true", help="only to see that it works")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="real models, where they are"
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write the rows there")
    args = parser.parse_args(argv)
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    rows: list[Row] = []
    for name in args.parts or PARTS:
        _say(f"{name} ...")
        rows += PARTS[name](args)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
