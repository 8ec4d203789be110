"""From a trained model to a checked bundle."""

from edgevid.convert.cache import cached
from edgevid.convert.workflow import ConversionResult, convert

__all__ = ["ConversionResult", "cached", "convert"]
