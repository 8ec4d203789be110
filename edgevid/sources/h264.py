"""What the bytes of an H.264 packet say of its picture (ITU-T H.264, 7.3.1 and Annex B)."""

from __future__ import annotations

from collections.abc import Iterator

_SLICES = frozenset(range(1, 6))
"""Types of the units that hold a picture's slices."""


def prefix_size(extradata: bytes | None) -> int:
    """Bytes of the length before each unit of a packet; 0 where start codes part them.

    Args:
        extradata: Of the codec; an `avcC` record (ISO/IEC 14496-15) begins with 1.
    """
    if extradata and extradata[0] == 1 and len(extradata) > 4:
        return (extradata[4] & 3) + 1
    return 0


def is_reference(packet: bytes, prefix: int) -> bool:
    """False where no other picture is predicted from this one (`nal_ref_idc` is 0).

    Args:
        packet: The units of one picture.
        prefix: As `prefix_size` says.
    """
    for header in _parted(packet, prefix) if prefix else _started(packet):
        if header & 0x1F in _SLICES:
            return bool(header >> 5 & 3)
    return True


def _parted(packet: bytes, prefix: int) -> Iterator[int]:
    """First byte of each unit behind its length."""
    at = 0
    while at + prefix < len(packet):
        length = int.from_bytes(packet[at : at + prefix], "big")
        yield packet[at + prefix]
        at += prefix + max(length, 1)


def _started(packet: bytes) -> Iterator[int]:
    """First byte of each unit behind a start code."""
    at = packet.find(b"\0\0\1")
    while 0 <= at < len(packet) - 3:
        yield packet[at + 3]
        at = packet.find(b"\0\0\1", at + 3)
