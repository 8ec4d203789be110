"""How hot the device is."""

from __future__ import annotations

from pathlib import Path

_ZONES = "sys/class/thermal"


def temperatures(root: Path = Path("/")) -> dict[str, float]:
    """Degrees Celsius by zone, such as "cpu-thermal"; empty where the kernel shows none.

    Source: kernel documentation, driver-api/thermal/sysfs-api: `temp` is in thousandths. A zone
    that is off answers with an error and is left out; of two of one name the hotter counts.

    Args:
        root: Of the file system; another one in tests.
    """
    found: dict[str, float] = {}
    for zone in sorted((root / _ZONES).glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text().strip()
            celsius = int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue
        found[name] = max(celsius, found.get(name, celsius))
    return found
