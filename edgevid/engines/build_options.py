"""What a user may choose about a TensorRT build."""

from __future__ import annotations

from dataclasses import dataclass

from edgevid.errors import BuildError

OPTIMIZATION_LEVELS = range(6)


@dataclass(frozen=True)
class BuildOptions:
    """How a plan is built. What it computes is the graph's business.

    Attributes:
        min_batch, opt_batch, max_batch: Smallest, usual and largest batch, for graphs whose
            batch varies. The builder tunes for the usual one.
        workspace_mb: Most scratch memory that a layer may take, in 2^20 bytes.
        optimization_level: 0 (quick to build) to 5 (searches longest); None: the library's
            own choice, which is 3.
        timing_cache: Keep what the builder measured in the user's cache folder, so that the
            next build on this kind of device is quicker (TensorRT only: it does nothing in
            TensorRT-RTX, which measures nothing while it builds).
        layer_details: Keep each layer's types and kernel in the plan, for reports.
        dla_core: Run on that DLA core what can run there, and the rest on the GPU; None: all
            on the GPU.

    Raises:
        BuildError: A value cannot be.
    """

    min_batch: int = 1
    opt_batch: int = 1
    max_batch: int = 4
    workspace_mb: int = 1024
    optimization_level: int | None = None
    timing_cache: bool = True
    layer_details: bool = True
    dla_core: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.min_batch <= self.opt_batch <= self.max_batch:
            raise BuildError(
                f"batch {self.batch} cannot be",
                "Give smallest, usual, largest, such as (1, 1, 4)",
            )
        if self.workspace_mb < 1:
            raise BuildError(f"a workspace of {self.workspace_mb} MB cannot be", "Give 1 or more")
        if self.optimization_level not in (None, *OPTIMIZATION_LEVELS):
            raise BuildError(
                f"there is no optimization level {self.optimization_level}", "Give 0 to 5"
            )
        if self.dla_core is not None and self.dla_core < 0:
            raise BuildError(f"there is no DLA core {self.dla_core}", "Give 0 or more")

    @property
    def batch(self) -> tuple[int, int, int]:
        """Smallest, usual and largest batch."""
        return self.min_batch, self.opt_batch, self.max_batch
