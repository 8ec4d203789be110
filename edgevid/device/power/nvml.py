"""Power of discrete NVIDIA GPUs, through the driver's library (package `nvidia-ml-py`).

Source: NVML API reference, nvmlDeviceGetPowerUsage (mW; on Ampere and later a mean over a
second) and nvmlDeviceGetTotalEnergyConsumption (mJ since the driver was loaded).
"""

from __future__ import annotations

from typing import Any

from edgevid.device.power.reading import PowerReading


class NvmlReader:
    """Every GPU that the driver shows and that tells its power.

    Args:
        nvml: The module `pynvml`, initialised.
        gpus: Handles by the rail's name.
    """

    name = "NVML"

    def __init__(self, nvml: Any, gpus: dict[str, Any]) -> None:
        self._nvml = nvml
        self._gpus = gpus
        self.total_of = tuple(gpus)
        self._start_mj = self._counted_mj()

    @classmethod
    def find(cls, nvml: Any | None = None) -> NvmlReader | None:
        """The reader of this machine; None without the package, the driver, or such a GPU.

        Args:
            nvml: Stands for the module `pynvml` in tests.
        """
        nvml = nvml or nvml_module()
        if nvml is None:
            return None
        try:
            nvml.nvmlInit()
        except nvml.NVMLError:
            return None
        gpus = {}
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                nvml.nvmlDeviceGetPowerUsage(handle)
            except nvml.NVMLError:  # one that is not ours, or an integrated one
                continue
            gpus[f"GPU {index}"] = handle
        if not gpus:
            nvml.nvmlShutdown()
            return None
        return cls(nvml, gpus)

    def read(self) -> PowerReading:
        try:
            rails = {n: float(self._nvml.nvmlDeviceGetPowerUsage(h)) for n, h in self._gpus.items()}
        except self._nvml.NVMLError as exc:
            raise OSError(f"NVML: {exc}") from None
        counted = self._counted_mj()
        known = counted is not None and self._start_mj is not None
        energy = (counted - self._start_mj) / 1e3 if known else None  # type: ignore[operator]
        return PowerReading(rails, sum(rails.values()), energy)

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def _counted_mj(self) -> float | None:
        """Of all GPUs together; None before Volta."""
        count = self._nvml.nvmlDeviceGetTotalEnergyConsumption
        try:
            return float(sum(count(handle) for handle in self._gpus.values()))
        except self._nvml.NVMLError:
            return None


def nvml_module() -> Any | None:
    """The module `pynvml`; None without the package."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
