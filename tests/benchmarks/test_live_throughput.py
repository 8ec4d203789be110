"""Throughput, overhead and start of the live benchmark, on a small model and the demo clip."""

from __future__ import annotations

import time

import pytest

from edgevid.benchmarks import live_overhead, live_start, live_throughput
from edgevid.benchmarks.live_overhead import Meter
from edgevid.benchmarks.live_throughput import StageTimer, Subject, Turns
from edgevid.demo import CLIP
from edgevid.errors import EdgevidError

pytestmark = pytest.mark.timeout(60)


def test_the_bound_is_the_cores_over_the_time_of_a_frame(monkeypatch):
    monkeypatch.setattr(live_throughput.os, "sched_getaffinity", lambda _: {0, 1, 2})
    stages = live_throughput.Stages(decode=2.0, decode_alone=1.0, resize=1.0, infer=7.0)
    assert stages.bound == pytest.approx(3 / 0.004)
    assert stages.strict_bound == pytest.approx(3 / 0.003)


def test_loops_and_stages_take_turns(quarters, quarters_bundle):
    graph = {"model": str(quarters), "bytes": False}
    said: list[str] = []
    subject = Subject("Quarters", quarters_bundle, "onnxruntime", graph, 1e6)
    share, strict, tutorial, threaded = Turns(subject, CLIP, 2, said.append).rows()
    assert said == [f"Quarters: round {i} of 2" for i in range(3)]
    assert "labels equal 100.0%" in tutorial.seen
    assert "labels equal 100.0%" in threaded.seen
    assert tutorial.asked == "at least 1e+06\u00d7"
    assert tutorial.reached is False
    assert threaded.reached is None
    assert "frames/s" in share.seen
    assert strict.reached is None


def test_the_stages_are_of_the_whole_file(quarters_bundle):
    timer = StageTimer(quarters_bundle, "onnxruntime", CLIP)
    stages = timer()
    assert timer.frames == 600
    assert 0 < stages.resize < stages.decode * 20
    assert stages.infer > 0


def test_the_bundle_of_bytes_gives_the_same_labels(quarters_bundle):
    graph = {"model": str(quarters_bundle.file("model")), "bytes": True}
    subject = Subject("Quarters", quarters_bundle, "onnxruntime", graph, 1.0)
    rows = Turns(subject, CLIP, 1, lambda _: None).rows()
    assert all("labels equal 100.0%" in row.seen for row in rows[2:])


def test_a_meter_tells_what_is_inside_from_what_is_around():
    meter = Meter()

    def spin(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    began = time.thread_time()
    meter.timed(spin)(0.05)
    spin(0.02)
    meter.clocks["MainThread"] = time.thread_time() - began
    assert meter.own("MainThread") == pytest.approx(0.02, abs=0.005)


def test_own_time_is_told_of_every_thread(quarters_bundle):
    own = live_overhead.own_cpu(quarters_bundle, CLIP)
    assert set(own) == set(live_overhead.THREADS)
    assert all(0 < microseconds < 5000 for microseconds in own.values())


def test_the_first_label_is_waited_for(quarters_bundle, tmp_path):
    seconds = live_start.first_label(quarters_bundle.path, CLIP, "onnxruntime", str(tmp_path))
    assert 0.05 < seconds < 60
    with pytest.raises(EdgevidError, match="gave no label"):
        live_start.first_label(tmp_path / "no.edgevid", CLIP, "onnxruntime", str(tmp_path))
