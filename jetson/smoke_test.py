"""Converts the model that ships with edgevid, runs it, and compares labels with what is true.

    python jetson/smoke_test.py --engine tensorrt

Run with the Python of the installation to try. Exit status 0: the labels are right.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from edgevid import demo


def edgevid(folder: str, *arguments: str) -> None:
    """Run a command of the installation; its own words are the explanation where it fails.

    In a folder without modules: Python would take edgevid from a source tree that it starts in.
    """
    command = [sys.executable, "-m", "edgevid", *arguments]
    done = subprocess.run(command, check=False, cwd=folder)
    if done.returncode:
        sys.exit(f"smoke test: `edgevid {' '.join(arguments)}` ended with {done.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto", help="as for `edgevid run`")
    engine = parser.parse_args().engine
    truth = [s["label"] for s in json.loads(demo.TRUTH.read_text())["segments"]]
    with tempfile.TemporaryDirectory() as folder:
        bundle, summary = f"{folder}/demo.edgevid", Path(folder) / "summary.json"
        edgevid(folder, "convert", str(demo.MODEL), "--spec", str(demo.SPEC), "--out", bundle)
        edgevid(
            folder, "run", bundle, "--source", str(demo.CLIP), "--engine", engine,
            "--smooth", "mean:4", "--quiet", "--summary", str(summary),
        )  # fmt: skip
        said = json.loads(summary.read_text())
    labels = [span["label"] for span in said["sources"][0]["timeline"]]
    if labels != truth:
        sys.exit(f"smoke test: labels are {labels}, and should be {truth}")
    print(f"smoke test: {len(labels)} labels, all right, from {said['clips']} windows")
    print(f"smoke test: engine {said['engine']}")


if __name__ == "__main__":
    main()
