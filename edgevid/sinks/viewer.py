"""The process behind `WindowSink`: shows the pictures that come on its standard input.

It is a program of its own, started by its path, because Qt (OpenCV's window toolkit) ends the
process that cannot reach the display, waits for ever outside the main thread, and does so too
where PyAV was imported before: their wheels bring different copies of libxcb
(https://github.com/PyAV-Org/PyAV/issues/978). So nothing else of edgevid is imported here.

In: for every picture `HEADER` (length of the name, height, width), the window's name in
UTF-8, and height * width * 3 bytes BGR. Out: one byte when it is ready and one after every
picture, `GOING` or `STOP`. Ends when its input does.
"""

from __future__ import annotations

import select
import signal
import struct
import sys
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from edgevid.types import UInt8Array

HEADER = struct.Struct("<3I")
GOING, STOP = b".", b"q"

MAX_WINDOWS = 4
_ESCAPE = 27
_STOP_KEYS = (ord("q"), ord("Q"), _ESCAPE)
_POLL_S = 0.05


class Windows:
    """A window for every name, at most four: beyond that the oldest is taken over.

    None is ever closed before the process ends: Qt shuts down with its last window, and does
    not come back reliably. The first is there from the start, to find out whether one can be.
    """

    def __init__(self) -> None:
        self._handles: dict[str, str] = {}
        self._open: list[str] = []
        self._add_window()

    def show(self, name: str, image: UInt8Array) -> None:
        """Show a picture `(H, W, 3)` uint8 BGR."""
        import cv2

        if name not in self._handles:
            handle = self._free_handle()
            self._handles[name] = handle
            cv2.setWindowTitle(handle, name)
        cv2.imshow(self._handles[name], image)

    def stop_asked(self) -> bool:
        """Let the windows work; True where q or Esc was pressed or one of them is closed."""
        import cv2

        if cv2.pollKey() & 0xFF in _STOP_KEYS:
            return True
        return any(cv2.getWindowProperty(h, cv2.WND_PROP_VISIBLE) < 1 for h in self._open)

    def _free_handle(self) -> str:
        used = len(self._handles)
        if used == MAX_WINDOWS:
            return self._handles.pop(next(iter(self._handles)))
        if used == len(self._open):
            self._add_window()
        return self._open[used]

    def _add_window(self) -> None:
        import cv2

        handle = f"edgevid {len(self._open)}"
        # GUI_NORMAL is without Qt's tool bar.
        cv2.namedWindow(handle, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        self._open.append(handle)


def serve(pictures: BinaryIO, replies: BinaryIO, windows: Windows) -> None:
    """Show what comes until it ends; once stopped, only reply. `pictures` is unbuffered."""
    import numpy as np

    replies.write(GOING)
    stopped = False
    while True:
        # While the source is silent the windows still want to be drawn, moved and closed.
        while not stopped and not select.select([pictures], [], [], _POLL_S)[0]:
            stopped = windows.stop_asked()
        header = _read(pictures, HEADER.size)
        if not header:
            return
        name_length, height, width = HEADER.unpack(header)
        name = _read(pictures, name_length).decode("utf-8", "replace")
        image = np.frombuffer(_read(pictures, height * width * 3), np.uint8)
        if not stopped:
            windows.show(name, image.reshape(height, width, 3))
            stopped = windows.stop_asked()
        replies.write(STOP if stopped else GOING)


def _read(pictures: BinaryIO, size: int) -> bytearray:
    """`size` bytes; none at the end of the input."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = pictures.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return bytearray()
        view = view[count:]
    return data


def main() -> None:
    """Open the first window, then serve standard input."""
    # Python put this file's folder first: its neighbours are no top-level modules.
    sys.path.pop(0)
    # Ctrl-C reaches this process too; it is the parent that ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(0, "rb", buffering=0) as pictures, open(1, "wb", buffering=0) as replies:
        serve(pictures, replies, Windows())


if __name__ == "__main__":
    main()
