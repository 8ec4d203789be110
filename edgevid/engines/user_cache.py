"""The user's cache folder, for what is costly to make and can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(kind: str) -> Path:
    """The folder for `kind` of things: `$XDG_CACHE_HOME/edgevid/kind`, or below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "edgevid" / kind
