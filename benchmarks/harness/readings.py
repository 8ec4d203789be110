"""What was read beside a run: power, heat, memory, as results keep them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgevid.strict import Strict


class Series(Strict):
    """A reading over time."""

    at_s: tuple[float, ...] = Field(description="From the start of the run.")
    values: tuple[float, ...]


class Gaps(Strict):
    """Where readings of power are missing: stretches of over three intervals."""

    count: int
    longest_s: float
    total_s: float


class Power(Strict):
    """What the run drew, from readings beside it."""

    source: str = Field(description="Where it was read.")
    total: str = Field(description="Name of the rail, or the rails, that the figures are of.")
    mean_mw: float
    peak_mw: float = Field(description="The largest reading; between two, nothing is seen.")
    joules: float
    joules_per_clip: float | None = None
    energy_from: dict[str, Literal["counter", "trapezoids"]] = Field(
        {}, description="How each source's joules were found."
    )
    interval_s: float = Field(description="Between two readings, as asked for.")
    failed: int = Field(0, description="Readings that were not answered.")
    gaps: Gaps
    total_mw: Series
    rails_mw: dict[str, Series] = Field({}, description="By rail, in mW.")


class Heat(Strict):
    """How warm it became, how fast it ran, and what slowed it down."""

    zones_c: dict[str, Series]
    cpu_mhz: Series | None = Field(None, description="Mean over the cores.")
    gpu_mhz: Series | None = Field(None, description="Of an integrated GPU; 0 while it sleeps.")
    gpu_load: Series | None = Field(None, description="Of an integrated GPU, 0 to 1.")
    throttle_events: dict[str, int] = Field({}, description="During the run, by cause.")
    slowed_s: dict[str, float] = Field(
        {}, description="Seconds in which a cooling device held the clocks down, by its name."
    )
    sampler_cpu: float = Field(0.0, description="What the sampling cost, as a share of one core.")

    @property
    def throttled(self) -> bool:
        """True where anything slowed the device during the run."""
        return bool(self.throttle_events or self.slowed_s)


class Memory(Strict):
    """Memory of the process, in MB (10^6 bytes)."""

    peak_rss_mb: float
    stages_mb: dict[str, float] = Field({}, description="Peak by what was being done.")
    exact: bool = Field(True, description="False: peaks shorter than a stage may be missing.")
    gpu_mb: float | None = Field(
        None, description="Rise of the memory in use on discrete GPUs, of all programs."
    )
    system_mb: float | None = Field(
        None, description="Fall of the machine's available memory; on a Jetson the GPU is in it."
    )
