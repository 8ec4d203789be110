"""Traces: every score of a run with its times, to decide on again (`--trace`, `replay`).

docs/traces.md describes the files for those who read them.
"""

from edgevid.traces.reading import read_trace
from edgevid.traces.trace import Trace, TraceInfo
from edgevid.traces.writing import TraceSink, open_trace_sink

__all__ = ["Trace", "TraceInfo", "TraceSink", "open_trace_sink", "read_trace"]
