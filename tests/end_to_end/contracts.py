"""What the real models were trained with."""

from edgevid.benchmarks.reference.real import CONV3D, LRCN, MOBILENET

__all__ = ["CONV3D", "LRCN", "MOBILENET"]
