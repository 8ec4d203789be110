"""Runs a sweep: several bundles and settings, their rounds in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from edgevid.benchmarks.harness.accuracy import known_accuracies
from edgevid.benchmarks.harness.measure import Measurement, Options
from edgevid.benchmarks.harness.pareto import against
from edgevid.benchmarks.harness.sweep import (
    Point,
    Setting,
    Sweep,
    Value,
    settings_of,
    take_turns,
)
from edgevid.manifest import Bundle

_FIELDS = {"hop": "hop_s"}
"""Axes that options call otherwise."""


def run_sweep(
    bundles: Mapping[str, Bundle],
    axes: Mapping[str, Sequence[Value]],
    options: Options,
    *,
    notify: Callable[[str], None] = lambda _: None,
    progress: Callable[[float, int], None] = lambda _done, _total: None,
) -> Sweep:
    """Measure every combination of bundles and settings.

    Ctrl-C ends it early; points that were measured, be it in part, are the result.

    Args:
        bundles: Name to bundle; with several, the first axis is `model`.
        axes: From `parse_axes`.
        options: What all points have in common.
        notify: Told, in one sentence each, what was chosen and found.
        progress: Told the rounds that are done, and how many there will be.

    Raises:
        EdgevidError: No point can be measured.
        KeyboardInterrupt: Ctrl-C came before anything was measured.
    """
    started, begun = datetime.now(timezone.utc), time.monotonic()
    whole = ({"model": tuple(bundles)} if len(bundles) > 1 else {}) | {
        axis: tuple(values) for axis, values in axes.items()
    }
    settings = settings_of(whole)

    def begin(setting: Setting) -> Measurement:
        changes: dict[str, Any] = {_FIELDS.get(a, a): v for a, v in setting.items() if a != "model"}
        bundle = bundles[_model(setting, bundles)]
        return Measurement(bundle, replace(options, **changes), notify=notify, in_turns=True)

    measured, skipped = take_turns(settings, begin, progress)
    accuracies = dict(zip(bundles, known_accuracies(list(bundles.values())), strict=True))
    results = [(setting, measurement.result()) for setting, measurement in measured]
    return Sweep(
        command=options.command,
        started=started,
        seconds=round(time.monotonic() - begun, 3),
        axes=whole,
        points=tuple(
            Point(
                setting=setting,
                result=result,
                accuracy=accuracies[_model(setting, bundles)],
                against_first=against(results[0][1], result) if number else None,
            )
            for number, (setting, result) in enumerate(results)
        ),
        skipped=tuple(skipped),
    )


def _model(setting: Setting, bundles: Mapping[str, Bundle]) -> str:
    return str(setting.get("model", next(iter(bundles))))
