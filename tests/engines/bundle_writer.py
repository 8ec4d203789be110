"""Writes to a bundle in processes of their own, and kills them. Run as a script by the tests.

    bundle_writer.py add BUNDLE NAME COUNT     adds COUNT plans, one after the other
    bundle_writer.py kill_steps BUNDLE         a writer killed before each of its file operations
    bundle_writer.py kill_random BUNDLE SEED   writers killed at random moments
    bundle_writer.py hold FOLDER               takes the lock, says so, and never lets go

Every line of output is JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from edgevid.files import locked
from edgevid.manifest import Bundle

# File operations that Python reports before it does them (sys.addaudithook).
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.chmod", "os.remove", "fcntl.flock"}


def kill_self_at(step: int) -> None:
    steps = itertools.count()

    def count(event: str, _args: object) -> None:
        if event in OPERATIONS and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def in_child(work) -> int:
    """Fork, do `work`, give the child's process id."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def ended_by(pid: int) -> int:
    """The signal that ended a child; 0 where it ended by itself."""
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def check(folder: Path) -> dict[str, object]:
    """Load the bundle and everything that its manifest lists; raise where that fails."""
    bundle = Bundle.load(folder)
    bundle.verify_all()
    plans = [a.key for a in bundle.manifest.artifacts if a.kind == "plan"]
    assert all(bundle.plan(key) for key in plans)
    files = [*folder.glob(".tmp-*"), *folder.glob("engines/.tmp-*")]
    return {"plans": plans, "leftovers": len(files)}


def kill_steps(folder: Path) -> None:
    for step in itertools.count():

        def work(step: int = step) -> None:
            bundle = Bundle.load(folder)
            kill_self_at(step)
            bundle.add_plan("replaced", b"new bytes %d" % step)

        signal_ = ended_by(in_child(work))
        print(json.dumps({"step": step, "signal": signal_, **check(folder)}), flush=True)
        if signal_ == 0:
            return


def kill_random(folder: Path, seed: int) -> None:
    """At least 40 kills, and until four plans came through."""
    rng = random.Random(seed)
    plans: list[object] = []
    for turn in itertools.count():
        if turn >= 40 and len(plans) == 4:
            return
        told, tell = os.pipe()

        def work(turn: int = turn, tell: int = tell) -> None:
            os.write(tell, b"!")
            for i in itertools.count():
                Bundle.load(folder).add_plan(
                    f"plan-{(turn + i) % 4}", b"%d %d" % (turn, i) * 50_000
                )

        pid = in_child(work)
        os.read(told, 1)
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert ended_by(pid) == signal.SIGKILL
        os.close(told)
        os.close(tell)
        state = check(folder)
        plans = state["plans"]
        print(json.dumps(state), flush=True)


def main(command: str, folder: Path, *rest: str) -> None:
    if command == "add":
        bundle = Bundle.load(folder)
        for i in range(int(rest[1])):
            bundle.add_plan(f"{rest[0]}-{i}", f"{rest[0]} {i}".encode() * 1000)
    elif command == "kill_steps":
        kill_steps(folder)
    elif command == "kill_random":
        kill_random(folder, int(rest[0]))
    else:
        with locked(folder):
            print(json.dumps("held"), flush=True)
            time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
