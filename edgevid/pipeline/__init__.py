"""Sources, sampler, rings, engine and smoother, joined by threads and bounded queues."""

from edgevid.pipeline.capture import CaptureJob, NamedSource
from edgevid.pipeline.decision_rules import DecisionRules, read_rules
from edgevid.pipeline.due import Batching
from edgevid.pipeline.label_spans import LabelSpan
from edgevid.pipeline.lanes import Opening, Source
from edgevid.pipeline.messages import Result, SourceEnded, SourceStarted
from edgevid.pipeline.plan import SamplingOptions
from edgevid.pipeline.replay import replay
from edgevid.pipeline.stream import Stream
from edgevid.pipeline.summary import SourceProgress, SourceSummary, Summary

__all__ = [
    "Batching",
    "CaptureJob",
    "DecisionRules",
    "LabelSpan",
    "NamedSource",
    "Opening",
    "Result",
    "SamplingOptions",
    "Source",
    "SourceEnded",
    "SourceProgress",
    "SourceStarted",
    "SourceSummary",
    "Stream",
    "Summary",
    "read_rules",
    "replay",
]
