"""Five actions in a row, seen by a real model: what smoothing does there.

Windows of 20 frames, every second frame of the video (1.6 s), each labelling the time from its
last frame on. benchmarks.md has the figures for a window with every sample.
"""

from __future__ import annotations

import pytest

from edgevid.cli import main
from edgevid.tuning import tune

pytestmark = pytest.mark.timeout(300)


def test_the_tuned_smoother_is_steady_and_no_less_accurate_than_raw_labels(
    bundles, data, tmp_path
) -> None:
    bundle, video = bundles("lrcn-ucf50", "fp32"), data / "clips" / "stream_ucf5_concat.mp4"
    truth, trace = data / "reference" / "stream_ucf5_concat.segments.json", tmp_path / "t.npz"
    windows = ["--window", "1.6", "--hop", "0.16"]
    run = ["run", str(bundle), "--source", str(video), *windows, "--quiet"]
    assert main([*run, "--trace", str(trace)]) == 0

    tuning = tune(bundle, truth, trace=trace, with_events=False)
    assert tuning.raw.accuracy >= 0.89
    assert tuning.raw.figures.true_switches == 4
    assert tuning.choice.accuracy >= tuning.raw.accuracy
    assert tuning.choice.figures.switches <= 4
    assert tuning.choice.figures.missed == 0
    # It waits for later windows, and that is what it costs.
    assert tuning.raw.delay_s < tuning.choice.delay_s < 5
    [ema] = [t for t in tuning.labels if t.smooth == "ema:0.4"]
    assert ema.accuracy < tuning.raw.accuracy - 0.01

    quick = tune(bundle, truth, trace=trace, with_events=False, max_delay_s=1.5)
    assert quick.choice.delay_s <= 1.5
