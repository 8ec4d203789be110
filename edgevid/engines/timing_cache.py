"""What the builder measured, kept in the user's cache so that the next build is quicker.

One file for each flavour, version and compute capability. It starts with a line of our own
that holds this key and the SHA-256 of the rest: the library gets only bytes that it wrote
itself, for this kind of device.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.engines.user_cache import user_cache
from edgevid.errors import OutputError
from edgevid.files import locked, remove_leftovers, write_atomic

if TYPE_CHECKING:
    import tensorrt


class TimingCache:
    """The timing cache of one build.

    Args:
        config: Of the build; it takes the kept timings, if there are any.
        key: What the timings are valid for, such as "trt-10.3.0-sm87".

    Attributes:
        path: The file.
        note: Why kept timings were left out; empty where none were.
    """

    def __init__(self, config: tensorrt.IBuilderConfig, key: str) -> None:
        self.path = user_cache("timing") / f"{key}.cache"
        self._key = key
        self._config: tensorrt.IBuilderConfig = config
        self._kept, self.note = _read(self.path, key)
        # The builder does not own the cache: it must live until the build is over.
        self._cache: tensorrt.ITimingCache = config.create_timing_cache(self._kept)
        if not config.set_timing_cache(self._cache, False):
            self.note = f"Kept timings are left out: {self.path} is of another device"
            self._kept = b""
            self._cache = config.create_timing_cache(b"")
            config.set_timing_cache(self._cache, False)

    def save(self) -> str:
        """Keep the timings, those of other builds too; why that failed, or nothing."""
        try:
            with locked(self.path.parent):
                remove_leftovers(self.path.parent)
                others, _ = _read(self.path, self._key)
                if others and others != self._kept:
                    self._cache.combine(self._config.create_timing_cache(others), False)
                data = bytes(self._cache.serialize())
                if data != others:
                    write_atomic(self.path, _header(self._key, data) + data)
        except OutputError as exc:
            return f"The timings are not kept: {exc.message}"
        return ""


def _header(key: str, data: bytes) -> bytes:
    return f"edgevid-timing-1 {key} {hashlib.sha256(data).hexdigest()}\n".encode()


def _read(path: Path, key: str) -> tuple[bytes, str]:
    """The timings in a file, and why they cannot be used."""
    try:
        header, newline, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return b"", ""
    except OSError as exc:
        return b"", f"Kept timings are left out: {path} cannot be read ({exc.strerror})"
    if header + newline == _header(key, data):
        return data, ""
    return b"", f"Kept timings are left out: {path} is damaged, or of another version or device"
