"""From a frame to the pixels of one model input: crop and resize, nothing else."""

from edgevid.preprocess.resize import FrameTooSmall, Resizer

__all__ = ["FrameTooSmall", "Resizer"]
