"""Make the scores of successive windows steadier (`--smooth`)."""

from edgevid.smoothing.mean import RollingMean
from edgevid.smoothing.parse import Unsmoothed, parse_smoother

__all__ = ["RollingMean", "Unsmoothed", "parse_smoother"]
