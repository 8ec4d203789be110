"""What a result was made with, for reports."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from edgevid._version import __version__


def environment(packages: Sequence[str]) -> dict[str, str]:
    """Name to value, for people: edgevid, Python, packages, system, cores.

    Args:
        packages: Distributions; those that are not installed are left out.
    """
    found = {"edgevid": __version__, "Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["cores"] = str(len(os.sched_getaffinity(0)))
    return found
