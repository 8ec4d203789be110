"""The builder's progress, told to a callback that may also stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Progress = Callable[[str, int, int], None]
"""Told (phase, steps done, steps in all) while the builder works. Phases are nested: the
outermost is "Building engine"; each ends at its own total."""


def progress_monitor(trt: Any, progress: Progress | None) -> Any:
    """A progress monitor that also ends the build where `progress` or Ctrl-C raises.

    An exception must not cross the library's own frames: it is kept in the attribute
    `raised`, the build is told to stop, and the caller raises it again.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.raised: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            self._steps[phase_name] = num_steps

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                if progress is not None:
                    progress(phase_name, step + 1, self._steps.get(phase_name, step + 1))
            except BaseException as exc:
                self.raised = exc
            return self.raised is None

    return Monitor()
