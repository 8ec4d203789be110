"""From frames to windows: which frames to take, and the ring that holds them."""

from edgevid.clips.features import FeatureStore
from edgevid.clips.ring import ClipRing
from edgevid.clips.sampling import (
    FrameIndexSampler,
    IntervalSampler,
    NthFrameSampler,
    PairSampler,
    Pick,
    Sampler,
    segment_indices,
    uniform_indices,
)
from edgevid.clips.windows import WindowBuilder

__all__ = [
    "ClipRing",
    "FeatureStore",
    "FrameIndexSampler",
    "IntervalSampler",
    "NthFrameSampler",
    "PairSampler",
    "Pick",
    "Sampler",
    "WindowBuilder",
    "segment_indices",
    "uniform_indices",
]
