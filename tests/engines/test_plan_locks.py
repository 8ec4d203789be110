"""Several writers, and writers that are killed: the bundle stays whole, no plan is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgevid.errors import OutputError
from edgevid.files import locked, sha256_file
from edgevid.manifest import Bundle, dump

WRITER = Path(__file__).parent / "bundle_writer.py"


def start(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answers(*args: object) -> list[dict[str, object]]:
    """What a run of the writer said; it must have come to its end."""
    process = start(*args)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [json.loads(line) for line in said.splitlines()]


def plans_of(bundle: Bundle) -> list[str | None]:
    return sorted(a.key for a in Bundle.load(bundle.path).manifest.artifacts if a.kind == "plan")


def test_processes_that_write_at_once_lose_nothing(make_bundle):
    bundle = make_bundle()
    names = ("a", "b", "c", "d")
    running = [start("add", bundle.path, name, 12) for name in names]
    assert [process.wait(timeout=60) for process in running] == [0] * 4
    assert plans_of(bundle) == sorted(f"{name}-{i}" for name in names for i in range(12))
    again = Bundle.load(bundle.path)
    again.verify_all()
    assert again.plan("c-7").read_bytes() == b"c 7" * 1000


def test_threads_that_write_at_once_lose_nothing(make_bundle):
    bundle = make_bundle()
    threads = [
        threading.Thread(target=Bundle.load(bundle.path).add_plan, args=(f"t{i}", b"x" * i))
        for i in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plans_of(bundle) == sorted(f"t{i}" for i in range(16))


def test_a_bundle_opened_before_others_wrote_keeps_theirs(make_bundle):
    """The manifest in memory is old; the one on disk counts."""
    first = make_bundle()
    second = Bundle.load(first.path)
    first.add_plan("one", b"1")
    second.add_plan("two", b"2")
    assert plans_of(first) == ["one", "two"]
    assert [a.key for a in second.manifest.artifacts if a.kind == "plan"] == ["one", "two"]


def test_other_fields_written_meanwhile_are_kept(make_bundle):
    bundle = make_bundle()
    changed = bundle.manifest.model_copy(update={"assumptions": ("added meanwhile",)})
    (bundle.path / "manifest.json").write_bytes(dump(changed))
    bundle.add_plan("one", b"1")
    assert Bundle.load(bundle.path).manifest.assumptions == ("added meanwhile",)


def test_a_bundle_converted_anew_takes_no_plan_of_the_old_graph(make_bundle):
    bundle = make_bundle()
    model = bundle.path / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\x00")
    artifacts = tuple(
        a.model_copy(update={"sha256": sha256_file(model)}) if a.kind == "model" else a
        for a in bundle.manifest.artifacts
    )
    anew = dump(bundle.manifest.model_copy(update={"artifacts": artifacts}))
    (bundle.path / "manifest.json").write_bytes(anew)
    with pytest.raises(OutputError, match="was converted anew meanwhile"):
        bundle.add_plan("old", b"old")
    assert (bundle.path / "manifest.json").read_bytes() == anew
    assert not list(bundle.path.rglob("*.plan"))


def test_a_kill_before_any_file_operation_leaves_a_whole_bundle(make_bundle):
    """A plan is replaced by one of other bytes, killed before each step; then the other plans
    are still there, and either bytes of this one or none of it."""
    bundle = make_bundle()
    bundle.add_plan("other", b"other")
    bundle.add_plan("replaced", b"old bytes")
    said = answers("kill_steps", bundle.path)
    assert len(said) > 12
    assert [turn["signal"] for turn in said] == [signal.SIGKILL] * (len(said) - 1) + [0]
    assert all("other" in turn["plans"] for turn in said)
    assert any("replaced" not in turn["plans"] for turn in said)
    assert any(turn["leftovers"] for turn in said)
    assert said[-1]["leftovers"] == 0
    assert said[-1]["plans"] == ["other", "replaced"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_kill_at_any_moment_leaves_a_whole_bundle(make_bundle, seed):
    bundle = make_bundle()
    said = answers("kill_random", bundle.path, seed)
    assert len(said) >= 40
    assert sorted(said[-1]["plans"]) == [f"plan-{i}" for i in range(4)]
    bundle.add_plan("last", b"last")
    assert not [*bundle.path.glob(".tmp-*"), *bundle.path.glob("engines/.tmp-*")]


def test_only_leftovers_of_our_own_are_removed(make_bundle):
    bundle = make_bundle()
    engines = bundle.path / "engines"
    engines.mkdir()
    ours = [bundle.path / ".tmp-ab12cd34", engines / ".tmp-________"]
    others = [bundle.path / ".tmp-ab12cd34.mp4", engines / "notes.txt", engines / "unlisted.plan"]
    for path in (*ours, *others):
        path.write_bytes(b"x")
    bundle.add_plan("one", b"1")
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in others)


def test_a_lock_ends_with_its_holder(tmp_path):
    holder = start("hold", tmp_path)
    assert holder.stdout.readline() == '"held"\n'
    with (
        pytest.raises(OutputError, match=r"another process has been writing .* for 0\.1 s"),
        locked(tmp_path, wait_s=0.1),
    ):
        pytest.fail("two holders at once")
    holder.kill()
    holder.communicate()
    with locked(tmp_path, wait_s=5):
        assert (tmp_path / ".lock").is_file()


def test_a_lock_ends_with_an_exception(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path, wait_s=0):
        pass


def test_a_folder_that_cannot_be_locked(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"), locked(tmp_path / "file"):
        pass
