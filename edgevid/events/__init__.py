"""Spans of time in which a label is seen: where they begin and end (`--events`)."""

from edgevid.events.detector import EventDetector
from edgevid.events.rules import EventRule, EventRules, parse_events

__all__ = ["EventDetector", "EventRule", "EventRules", "parse_events"]
