"""What a running pipeline tells of itself: metrics, health, a log of facts, and to systemd."""

from edgevid.telemetry.facts import FactLog
from edgevid.telemetry.health import Health
from edgevid.telemetry.metrics import RunMetrics
from edgevid.telemetry.server import Server, parse_address
from edgevid.telemetry.systemd import Notifier

__all__ = ["FactLog", "Health", "Notifier", "RunMetrics", "Server", "parse_address"]
