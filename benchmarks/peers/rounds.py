"""Peers that take turns on one video, each in a process of its own."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevid.benchmarks.peers.environments import python_of
from edgevid.benchmarks.peers.peers import Peer
from edgevid.errors import EdgevidError

_PREPARE_S = 180.0
_PASS_S = 300.0


@dataclass
class Passes:
    """What one peer did.

    Attributes:
        seconds, cpu_s: Of each round.
        labels: Best class of each frame that was labelled, the same in every round.
        peak_mb: Largest resident memory, in 2^20 bytes.
        versions: Of its packages.
        failure: Why it did not run, or did not run to the end; empty: it did.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    peak_mb: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    failure: str = ""


class Worker:
    """A peer's process. See `worker` for what is said.

    Args:
        peer: Whose loop to run.
        job: What to do.
        scratch: A folder that may be written to; its `peers` is this package.
        say: Told when an environment is made.

    Raises:
        EdgevidError: It has no environment, or cannot load the model.
    """

    def __init__(
        self, peer: Peer, job: dict[str, Any], scratch: Path, say: Callable[[str], None]
    ) -> None:
        self._peer = peer
        own = peer.packages is None
        python = Path(sys.executable) if peer.packages is None else _python(peer, say)
        paths = [str(scratch), os.environ.get("PYTHONPATH", "") if own else ""]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
        self._log = (scratch / f"{peer.key}.log").open("w")
        self._process = subprocess.Popen(
            [str(python), "-m", "peers.worker", peer.loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
            cwd=scratch,
        )
        try:
            self.versions: dict[str, str] = self._ask({**job, **peer.words}, _PREPARE_S)["versions"]
        except BaseException:
            self.close()
            raise

    def go(self) -> dict[str, Any]:
        """One pass over the video.

        Raises:
            EdgevidError: It failed, or took too long.
        """
        return self._ask("go", _PASS_S)

    def _ask(self, what: Any, within_s: float) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(what) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise EdgevidError(f"{self._peer.title} ended; see {self._log.name}") from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(within_s):
                raise EdgevidError(f"{self._peer.title} gave no answer within {within_s:.0f} s")
        line = stdout.readline()
        if not line:
            raise EdgevidError(f"{self._peer.title} ended; see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EdgevidError(f"{self._peer.title}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()


def _python(peer: Peer, say: Callable[[str], None]) -> Path:
    assert peer.packages is not None
    name = peer.loop.split("_")[0] if peer.loop not in ("tutorial", "threaded") else "opencv"
    return python_of(name, peer.packages, say)


def take_turns(
    peers: Sequence[Peer],
    job: dict[str, Any],
    rounds: int,
    scratch: Path,
    say: Callable[[str], None],
) -> dict[str, Passes]:
    """Every peer labels the video once a round; a first round warms up and is not counted.

    A peer that fails is left out from then on, and its failure told.

    Returns:
        By the peer's key.
    """
    package = scratch / "peers"
    if not package.exists():
        package.symlink_to(Path(__file__).parent, target_is_directory=True)
    found = {peer.key: Passes() for peer in peers}
    workers: dict[str, Worker] = {}
    try:
        for peer in peers:
            try:
                workers[peer.key] = Worker(peer, job, scratch, say)
                found[peer.key].versions = workers[peer.key].versions
            except EdgevidError as exc:
                _failed(found[peer.key], exc, say)
        for number in range(rounds + 1):
            say(f"round {number} of {rounds}" if number else "warming up")
            for key in _turned(list(workers), number):
                try:
                    _note(found[key], workers[key].go(), number)
                except EdgevidError as exc:
                    _failed(found[key], exc, say)
                    workers.pop(key).close()
    finally:
        for worker in workers.values():
            worker.close()
    return found


def _turned(keys: list[str], number: int) -> list[str]:
    """Each round begins with another one, so that none always follows the same."""
    first = number % len(keys) if keys else 0
    return keys[first:] + keys[:first]


def _note(passes: Passes, answer: dict[str, Any], number: int) -> None:
    if number == 0:
        passes.labels = answer["labels"]
        return
    if answer["labels"] != passes.labels:
        raise EdgevidError("gave other labels in another round")
    passes.seconds.append(answer["seconds"])
    passes.cpu_s.append(answer["cpu_s"])
    passes.peak_mb = answer["peak_mb"]


def _failed(passes: Passes, exc: EdgevidError, say: Callable[[str], None]) -> None:
    passes.failure = str(exc)
    say(f"left out: {exc}")
