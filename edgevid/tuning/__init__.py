"""Which smoother and which events suit a model: tried on annotated streams (`edgevid tune`)."""

from edgevid.tuning.search import Tried, choose, front, try_events, try_smoothers
from edgevid.tuning.tune import Tuning, tune
from edgevid.tuning.videos import ScoredVideo, play_videos, videos_of_trace

__all__ = [
    "ScoredVideo",
    "Tried",
    "Tuning",
    "choose",
    "front",
    "play_videos",
    "try_events",
    "try_smoothers",
    "tune",
    "videos_of_trace",
]
