"""Peak memory of a run, stage by stage.

Source: proc(5). `VmHWM` is the kernel's own record of the largest resident set, so no peak is
missed; writing 5 to `/proc/self/clear_refs` sets it back, which separates the stages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.readings import Memory
from edgevid.device.machine import ROOT, read_text
from edgevid.device.power.nvml import nvml_module
from edgevid.device.system import read_memory

_MB = 1e6


class MemoryLog:
    """Follows the memory of this process through the stages of a run.

    Args:
        root: Of the file system; another one in tests.
        gpu_used: Bytes in use on the discrete GPUs, or None; replaced in tests.
    """

    def __init__(self, root: Path = ROOT, gpu_used: Callable[[], int | None] | None = None) -> None:
        self._proc = root / "proc/self"
        self._root = root
        self._gpu_used = gpu_used or _gpu_used
        self._stages_mb: dict[str, float] = {}
        self._exact = True
        self._gpu_start, self._gpu_peak = self._gpu_used(), 0
        self._available_start, self._available_least = self._available(), self._available()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens inside is this stage; one that comes again keeps its larger peak."""
        self._forget_peak()
        try:
            yield
        finally:
            peak = self._kb("VmHWM" if self._exact else "VmRSS") * 1024 / _MB
            self._stages_mb[name] = round(max(peak, self._stages_mb.get(name, 0.0)), 3)
            self._look_at_the_machine()

    def memory(self) -> Memory:
        """The figures so far; outside all stages, those of the process."""
        now_mb = self._kb("VmHWM") * 1024 / _MB
        gpu = None if self._gpu_start is None else max(self._gpu_peak - self._gpu_start, 0)
        fall = None
        if self._available_start is not None and self._available_least is not None:
            fall = max(self._available_start - self._available_least, 0)
        return Memory(
            peak_rss_mb=round(max([now_mb, *self._stages_mb.values()]), 3),
            stages_mb=self._stages_mb,
            exact=self._exact,
            gpu_mb=None if gpu is None else round(gpu / _MB, 3),
            system_mb=None if fall is None else round(fall / _MB, 3),
        )

    def _forget_peak(self) -> None:
        try:
            (self._proc / "clear_refs").write_text("5")
        except OSError:
            self._exact = False

    def _look_at_the_machine(self) -> None:
        used = self._gpu_used()
        self._gpu_peak = max(self._gpu_peak, used or 0)
        available = self._available()
        if available is not None and self._available_least is not None:
            self._available_least = min(self._available_least, available)

    def _available(self) -> int | None:
        try:
            return read_memory(self._root)[1]
        except (OSError, ValueError):
            return None

    def _kb(self, field: str) -> int:
        text = read_text(self._proc / "status") or ""
        match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        return int(match[1]) if match else 0


def _gpu_used() -> int | None:
    """Bytes in use on all GPUs that NVML shows; None without it."""
    nvml: Any = nvml_module()
    if nvml is None:
        return None
    try:
        nvml.nvmlInit()
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return sum(int(nvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in handles)
    except nvml.NVMLError:
        return None
