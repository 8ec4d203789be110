"""From a trained model to a checked bundle."""

from edgevid.convert.workflow import ConversionResult, convert

__all__ = ["ConversionResult", "convert"]
