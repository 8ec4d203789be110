"""From a frame to the pixels of one model input: crop and resize, nothing else."""

from edgevid.preprocess.resize import Resizer

__all__ = ["Resizer"]
