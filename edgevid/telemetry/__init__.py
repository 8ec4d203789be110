"""What a running pipeline tells of itself: metrics, health, and a log of facts."""

from edgevid.telemetry.facts import FactLog
from edgevid.telemetry.metrics import RunMetrics
from edgevid.telemetry.server import Server, parse_address

__all__ = ["FactLog", "RunMetrics", "Server", "parse_address"]
