"""From a frame to the pixels of one model input: crop and resize, nothing else."""

from edgevid.preprocess.resize import CropPlace, FrameTooSmall, Resizer

__all__ = ["CropPlace", "FrameTooSmall", "Resizer"]
