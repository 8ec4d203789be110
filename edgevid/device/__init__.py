"""What this machine is and what it can run: readers of its files, and checks with a mend."""

from __future__ import annotations

from edgevid.device.fixes import fix_script
from edgevid.device.machine import Check, Machine
from edgevid.device.report import Report, diagnose

__all__ = ["Check", "Machine", "Report", "diagnose", "fix_script"]
