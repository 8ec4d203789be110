"""Peak memory by stage, of this very process and of a written tree."""

from __future__ import annotations

import mmap

import pytest

from edgevid.benchmarks.harness.memory import MemoryLog

MB = 1_000_000


def fill(megabytes: int) -> None:
    """Touch that much memory, and give it back: to the kernel, which an allocator may not do."""
    with mmap.mmap(-1, megabytes * MB) as memory:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1


def test_each_stage_has_its_own_peak_though_it_is_given_back():
    log = MemoryLog(gpu_used=lambda: None)
    for name, megabytes in (("much", 300), ("little", 40)):
        # What the process holds may shrink at any time: each is held against the moment before.
        with log.stage(f"before {name}"):
            pass
        with log.stage(name):
            fill(megabytes)
    memory = log.memory()
    assert memory.exact, "this kernel sets the record back"
    taken = {n: memory.stages_mb[n] - memory.stages_mb[f"before {n}"] for n in ("much", "little")}
    assert taken == {"much": pytest.approx(300, abs=15), "little": pytest.approx(40, abs=15)}
    assert memory.peak_rss_mb == memory.stages_mb["much"]
    assert memory.gpu_mb is None


def test_a_stage_that_comes_again_keeps_its_larger_peak():
    log = MemoryLog(gpu_used=lambda: None)
    with log.stage("x"):
        fill(120)
    first = log.memory().stages_mb["x"]
    with log.stage("x"):
        pass
    assert log.memory().stages_mb == {"x": first}


def test_a_stage_that_fails_is_kept():
    log = MemoryLog(gpu_used=lambda: None)
    with pytest.raises(KeyError), log.stage("x"):
        raise KeyError
    assert log.memory().stages_mb["x"] > 1


@pytest.fixture
def tree(tmp_path):
    def write(rss_kb: int, peak_kb: int, available_kb: int) -> None:
        (tmp_path / "proc/self").mkdir(parents=True, exist_ok=True)
        status = f"VmHWM:\t{peak_kb} kB\nVmRSS:\t{rss_kb} kB\n"
        (tmp_path / "proc/self/status").write_text(status)
        meminfo = f"MemTotal: 8000000 kB\nMemAvailable: {available_kb} kB\n"
        (tmp_path / "proc/meminfo").write_text(meminfo)

    write(1000, 2000, 5_000_000)
    return tmp_path, write


def test_the_memory_of_gpu_and_machine_is_what_it_rose_by(tree):
    root, write = tree
    used = iter([400 * MB, 900 * MB, 700 * MB])
    log = MemoryLog(root, gpu_used=lambda: next(used))
    with log.stage("load"):
        write(3000, 4000, 4_000_000)
    with log.stage("run"):
        write(2500, 3500, 4_500_000)
    memory = log.memory()
    assert memory.stages_mb == {"load": 4.096, "run": 3.584}
    assert memory.gpu_mb == 500
    assert memory.system_mb == 1024


def test_a_record_that_cannot_be_set_back_is_told(tree):
    root, write = tree
    (root / "proc/self/clear_refs").mkdir()
    log = MemoryLog(root, gpu_used=lambda: None)
    with log.stage("load"):
        write(3000, 9000, 4_000_000)
    memory = log.memory()
    assert not memory.exact
    assert memory.stages_mb == {"load": 3.072}
    assert memory.peak_rss_mb == 9.216


def test_a_machine_that_tells_nothing(tmp_path):
    log = MemoryLog(tmp_path, gpu_used=lambda: None)
    with log.stage("x"):
        pass
    memory = log.memory()
    assert (memory.peak_rss_mb, memory.system_mb, memory.gpu_mb) == (0.0, None, None)
