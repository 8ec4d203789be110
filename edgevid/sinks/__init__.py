"""Where predictions go: JSON lines, a console, a video file, a window, files of events."""

from edgevid.sinks.console import ConsoleSink
from edgevid.sinks.event_files import EventFileSink
from edgevid.sinks.jsonl import JsonlSink
from edgevid.sinks.video import VideoSink
from edgevid.sinks.window import WindowSink

__all__ = ["ConsoleSink", "EventFileSink", "JsonlSink", "VideoSink", "WindowSink"]
