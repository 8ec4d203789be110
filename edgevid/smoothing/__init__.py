"""Make the scores of successive windows steadier (`--smooth`).

One file for each kind; parse.py lists them. docs/smoothing.md explains when to take which.
"""

from edgevid.smoothing.chain import Unsmoothed, as_delayed
from edgevid.smoothing.mean import RollingMean
from edgevid.smoothing.parse import SmootherFactory, parse_smoother

__all__ = ["RollingMean", "SmootherFactory", "Unsmoothed", "as_delayed", "parse_smoother"]
