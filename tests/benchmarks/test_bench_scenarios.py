"""Scenarios on simulated engines, whose times are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from queueing import highest_load, share_that_waits_at_most

import edgevid
from edgevid import demo
from edgevid.benchmarks.harness.recording import Job, Recording
from edgevid.benchmarks.harness.results import Settings
from edgevid.benchmarks.harness.scenarios import live, multi, offline, server, single
from edgevid.benchmarks.harness.subject import RealClock, SimulatedClock, SimulatedSubject
from edgevid.benchmarks.harness.video import EndlessSource
from edgevid.convert import convert
from edgevid.engines.scripted import ScriptedEngine
from edgevid.errors import SpecError
from edgevid.sources.clip_list import ListedClip
from edgevid.types import TensorInfo

SERVICE_S = 0.010
_SETTINGS = ("duration_s", "percentile", "rounds", "seed", "target_ms")


def simulated(service_s=lambda _: SERVICE_S, **job):
    """A job on a simulated engine."""
    clock = SimulatedClock()
    given = {k: job.pop(k) for k in _SETTINGS if k in job}
    settings = {"duration_s": 2.0, "rounds": 4, **given}
    return Job(
        Settings(engine_only=True, clips=("random",), **settings),
        lambda _: SimulatedSubject(clock, service_s),
        clock,
        **job,
    )


def measured(scenario, job):
    recording = Recording(0.0)
    scenario.run(job, recording)
    return recording, scenario.figures(job, recording)


def test_single_gives_the_service_time():
    recording, figures = measured(single, simulated())
    assert next(iter(figures)) == "p90_ms"
    assert all(figures[n].value == pytest.approx(10.0) for n in ("p50_ms", "p90_ms", "mean_ms"))
    assert len(recording.rounds) == 4
    assert all(50 <= len(r.steady_ms) <= 51 for r in recording.rounds)


def test_the_warm_up_lasts_as_long_as_times_change():
    clock = SimulatedClock()
    calls = iter(range(10**6))
    slow = SimulatedSubject(clock, lambda _: 1e-3 * (1 + 9 * math.exp(-next(calls) / 40)))
    job = simulated(rounds=1)
    job = Job(job.settings, lambda _: slow, clock)
    recording, figures = measured(single, job)
    assert recording.rounds[0].steady_from > 80
    assert figures["mean_ms"].value < 1.05
    assert recording.rounds[0].latency_ms[0] > 9, "the warm-up is kept as well"


def test_times_that_never_settle_are_marked():
    clock = SimulatedClock()
    calls = iter(range(10**6))
    job = simulated(rounds=1)
    slower = SimulatedSubject(clock, lambda _: SERVICE_S * (1 + next(calls) / 20))
    recording, _ = measured(single, Job(job.settings, lambda _: slower, clock))
    assert "not-steady" in [mark.kind for mark in recording.marks]


def test_a_percentile_that_is_asked_for_gets_the_queries_it_needs():
    few, _ = measured(single, simulated())
    assert "p99 needs 368 queries, there were 20" in few.marks[0].text
    enough, figures = measured(single, simulated(percentile=99.9, least_queries=3688))
    assert sum(len(r.steady_ms) for r in enough.rounds) >= 3688
    assert "p99.9_ms" in figures
    assert not enough.marks


def test_multi_asks_for_a_clip_of_every_stream():
    job = simulated(lambda clips: 0.004 + 0.002 * clips, streams=3)
    recording, figures = measured(multi, job)
    assert recording.clips_per_query == 3
    assert figures["p99_ms"].value == pytest.approx(10.0)
    assert figures["clips_per_s"].value == pytest.approx(300.0)


def test_offline_finds_the_batch_beyond_which_nothing_is_gained():
    def service_s(clips):
        return 0.010 + max(clips - 4, 0) * 0.0025

    recording, figures = measured(offline, simulated(service_s))
    assert figures["batch"].value == 4
    assert figures["clips_per_s"].value == pytest.approx(400.0)
    assert [probe.load for probe in recording.probes] == [1, 2, 4, 8, 16]


def test_offline_takes_the_batch_that_is_given():
    _, figures = measured(offline, simulated(batch=2))
    assert figures["batch"].value == 2


def test_the_theory_itself():
    # P(W = 0) is 1 - load; the mean wait is load / (2 (1 - load)) (Pollaczek and Khinchine).
    for load in (0.3, 0.8):
        assert share_that_waits_at_most(0.0, load) == pytest.approx(1 - load)
        waits = np.arange(0.1, 30, 0.2)
        beyond = sum(1 - share_that_waits_at_most(wait, load) for wait in waits)
        assert beyond * 0.2 == pytest.approx(load / 2 / (1 - load), rel=0.01)


@pytest.mark.parametrize("times", [2, 5, 10])
def test_server_finds_the_knee_of_an_engine_with_a_constant_service_time(times):
    job = simulated(rounds=5, target_ms=times * SERVICE_S * 1e3, least_queries=8000)
    recording, figures = measured(server, job)
    rate = figures["rate_per_s"]
    expected = highest_load(times, 99.0) / SERVICE_S
    assert rate.value == pytest.approx(expected, rel=0.05)
    assert rate.low < expected < rate.high
    assert figures["p99_ms"].value == pytest.approx(times * SERVICE_S * 1e3, rel=0.25)
    assert all(t.queue_ms >= 0 for t in recording.timings)


def test_server_is_the_same_again_with_the_same_seed():
    rates = [
        measured(server, simulated(target_ms=50.0, seed=seed))[1]["rate_per_s"].value
        for seed in (3, 3, 4)
    ]
    assert rates[0] == rates[1] != rates[2]


def test_queries_that_wait_share_a_call_where_they_may():
    alone = measured(server, simulated(target_ms=40.0))[1]["rate_per_s"].value
    shared = measured(server, simulated(target_ms=40.0, batch=8))[1]["rate_per_s"].value
    assert shared > 3 * alone


@pytest.mark.parametrize("target_ms", [9.9, 1.0])
def test_a_target_below_the_bare_service_time_is_refused(target_ms):
    with pytest.raises(SpecError, match=r"no rate keeps p99 under .* one clip alone takes 10 ms"):
        measured(server, simulated(target_ms=target_ms))


def test_a_target_that_no_rate_meets_is_refused():
    clock = SimulatedClock()
    calls = iter(range(10**9))
    # Every tenth call takes longer than the target, however low the rate.
    uneven = SimulatedSubject(clock, lambda _: 0.1 if next(calls) % 10 == 0 else 0.01)
    job = simulated(target_ms=50.0)
    with pytest.raises(SpecError, match=r"no rate keeps p99 under 50 ms: at .* clips/s it is 1"):
        measured(server, Job(job.settings, lambda _: uneven, clock))


def test_server_needs_a_target():
    with pytest.raises(SpecError, match="--target-ms"):
        measured(server, simulated())


def test_live_has_no_engine_alone():
    with pytest.raises(SpecError, match="whole pipeline"):
        measured(live, simulated(streams=1))


@pytest.fixture
def busy_stream(tmp_path):
    """Opens paced streams that an engine takes 0.15 s a window for: three a half second fit."""
    out = tmp_path / "demo.edgevid"
    convert(demo.MODEL, out, spec=demo.SPEC, precision="fp32", target="onnx")
    bundle = edgevid.load(out)
    clips = [ListedClip("synthetic:?size=64x64&fps=10")]

    def open_stream(streams: int, seconds: float):
        info = TensorInfo("clip", (None, 8, 64, 64, 3), "uint8")
        output = TensorInfo("scores", (None, len(bundle.labels)), "float32")
        scores = np.full(len(bundle.labels), 1 / len(bundle.labels), np.float32)
        return edgevid.stream(
            bundle,
            [EndlessSource(clips, f"{n}", wait_s=n * 0.16) for n in range(streams)],
            engine=ScriptedEngine([info], [output], [scores], service_s=0.15),
            options=edgevid.SamplingOptions(hop_s=0.5),
            real_time=True,
            duration_s=seconds,
        )

    return open_stream


def test_live_finds_how_many_streams_hold(busy_stream):
    settings = Settings(engine_only=False, clips=("synthetic",), duration_s=2.0, rounds=1)
    job = Job(settings, lambda _: None, RealClock(), busy_stream)
    recording, figures = measured(live, job)
    assert figures["streams"].value in (2, 3)
    assert not all(probe.holds for probe in recording.probes)
    assert figures["fps"].value == pytest.approx(10 * figures["streams"].value, rel=0.2)
    assert figures["p50_ms"].value >= 150


def test_a_number_of_streams_that_drops_is_measured_and_marked(busy_stream):
    settings = Settings(engine_only=False, clips=("synthetic",), duration_s=2.0, rounds=1)
    job = Job(settings, lambda _: None, RealClock(), busy_stream, streams=6)
    recording, figures = measured(live, job)
    assert figures["dropped"].value > 0
    assert "dropped" in [mark.kind for mark in recording.marks]


def test_the_real_clock_keeps_time():
    clock = RealClock()
    due_s = clock.now_s() + 0.02
    clock.wait_until(due_s)
    assert clock.now_s() >= due_s
    clock.wait_until(due_s)
