"""Timing in turns, on a clock that the candidates themselves move; and the choice."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import edgevid.demo
from edgevid.convert.quantize import timed_engine
from edgevid.convert.quantize.speed import (
    Contender,
    Timing,
    choose,
    compare_samples,
    time_candidates,
)
from edgevid.convert.quantize.timed_engine import open_for_timing, timing_engine
from edgevid.convert.session import Session
from edgevid.engines.plans import PlanKey
from edgevid.engines.tensorrt_build import BuiltPlan
from edgevid.errors import ConversionError, EngineError, MissingDependencyError


class Clock:
    """Stands still but for the calls of its candidates."""

    def __init__(self):
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self):
        return self.now

    def candidate(self, name, seconds):
        """Takes `seconds`; or the next of an iterator of seconds."""

        def call():
            self.log.append(name)
            self.now += seconds if isinstance(seconds, float) else next(seconds)

        return call


def timed(clock, seconds, **options):
    candidates = {name: clock.candidate(name, s) for name, s in seconds.items()}
    return time_candidates(candidates, clock=clock, **options)


def test_turns_alternate_and_figures_are_exact():
    clock = Clock()
    found = timed(clock, {"int8": 0.25, "fp16": 0.5, "fp32": 1.0}, rounds=3, min_seconds=0.0)
    assert clock.log[-9:] == ["int8", "fp16", "fp32"] * 3
    assert [t.median_ms for t in found.values()] == [250.0, 500.0, 1000.0]
    assert [t.speedup.median for t in found.values()] == [4.0, 2.0, 1.0]
    assert all(t.speedup.low == t.speedup.high == t.speedup.median for t in found.values())
    assert found["int8"].samples_ms == (250.0,) * 3
    assert [t.calls for t in found.values()] == [3, 3, 3]


def test_a_turn_lasts_at_least_min_seconds_and_its_sample_is_one_call():
    found = timed(Clock(), {"a": 0.25, "b": 2.0}, rounds=2, min_seconds=1.0)
    assert (found["a"].calls, found["b"].calls) == (8, 2)
    assert found["a"].samples_ms == (250.0, 250.0)
    assert found["a"].speedup.median == 8.0


def test_what_slows_all_down_cancels_out_of_the_ratio():
    """The clock frequency halves from round to round: medians drift, ratios do not."""

    def slowing(seconds):
        yield from [seconds] * 6
        for turn in range(5):
            yield seconds * 2**turn

    found = timed(Clock(), {"a": slowing(0.25), "b": slowing(0.75)}, rounds=5, min_seconds=0.0)
    assert found["a"].samples_ms == (250.0, 500.0, 1000.0, 2000.0, 4000.0)
    assert (found["a"].speedup.low, found["a"].speedup.high) == (3.0, 3.0)


def test_warms_up_until_times_no_longer_fall():
    quick = iter([0.5, 0.25, 0.125, *[0.0625] * 20])
    found = timed(Clock(), {"a": quick}, rounds=2, min_seconds=0.0)
    assert found["a"].steady
    assert found["a"].samples_ms == (62.5, 62.5)


def test_a_slow_one_warms_up_for_ten_seconds_and_no_longer():
    falling = iter([8.0, 4.0, 2.0, 1.0])
    found = timed(Clock(), {"a": falling}, rounds=2, min_seconds=0.0)
    assert found["a"].samples_ms == (2000.0, 1000.0)
    assert not found["a"].steady


def test_one_that_never_gets_steady_is_called_so_and_ends():
    falling = (0.1 * 0.9**i for i in range(10**6))
    clock = Clock()
    found = timed(clock, {"a": falling}, rounds=1, min_seconds=0.0)
    assert not found["a"].steady
    assert len(clock.log) == 31


def test_the_interval_holds_the_median_and_widens_with_the_noise():
    rng = np.random.default_rng(3)
    base = rng.uniform(9.9, 10.1, 15)
    calm = compare_samples(base, base / 2 * rng.uniform(0.99, 1.01, 15))
    wild = compare_samples(base, base / 2 * rng.uniform(0.6, 1.4, 15))
    assert calm.low <= calm.median <= calm.high
    assert calm.median == pytest.approx(2, rel=0.01)
    assert calm.high - calm.low < 0.05 < wild.high - wild.low
    assert compare_samples(base, base / 2 * np.ones(15)) == compare_samples(base, base / 2)


def test_progress_counts_turns_and_mistakes_are_named():
    told = []
    timed(
        Clock(), {"a": 1.0, "b": 1.0}, rounds=2, min_seconds=0.0, progress=lambda *n: told.append(n)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(ValueError, match="0 candidates"):
        time_candidates({})
    with pytest.raises(ValueError, match="'z' is not among \\['a'\\]"):
        time_candidates({"a": lambda: None}, baseline="z")
    with pytest.raises(ValueError, match="3 and 2 rounds"):
        compare_samples([1, 2, 3], [1, 2])


def contenders(**changes) -> list[Contender]:
    usual = {
        "int8": Contender("INT8", "int8", True, 0.996, 3.6),
        "fp16": Contender("FP16", "fp16", True, 1.0, 7.0),
        "fp32": Contender("FP32", "fp32", True, 1.0, 14.0),
    }
    return list({**usual, **changes}.values())


def timings(**milliseconds) -> dict[str, Timing]:
    """Constant times, or the times of the rounds."""
    return {
        name.upper(): Timing(
            samples_ms=tuple(np.broadcast_to(ms, 8).tolist()),
            median_ms=float(np.median(ms)),
            calls=8,
            steady=True,
            speedup=compare_samples([1.0], [1.0]),
        )
        for name, ms in milliseconds.items()
    }


ORT = {"engine": "onnxruntime 1.31 (CPU)", "is_device": False}
TRT = {"engine": "tensorrt 10.3", "is_device": True}


def test_on_the_device_the_fastest_that_passes_is_kept():
    choice = choose(contenders(), timings(int8=10.0, fp16=12.0, fp32=19.0), **TRT)
    assert (choice.name, choice.by_speed) == ("INT8", True)
    expected = "INT8 kept: 1.9 times as fast as FP32 (tensorrt 10.3), agreement 99.6 %"
    assert choice.reason == expected


def test_a_slower_int8_gives_way_on_the_device():
    choice = choose(contenders(), timings(int8=10.0, fp16=8.0, fp32=20.0), **TRT)
    assert choice.name == "FP16"
    assert choice.reason == (
        "INT8 0.80 times as fast as FP16 here (tensorrt 10.3); "
        "FP16 kept: 2.5 times as fast as FP32 (tensorrt 10.3), agreement 100 %"
    )


def test_off_the_device_speed_does_not_overrule_int8():
    slow = timings(int8=25.0, fp16=40.0, fp32=20.0)
    choice = choose(contenders(), slow, **ORT)
    assert (choice.name, choice.by_speed) == ("INT8", False)
    assert choice.reason == (
        "INT8 kept, agreement 99.6 %; times here (onnxruntime 1.31 (CPU), not the device) did "
        "not decide: 1.6 times as fast as FP16, 0.80 times as fast as FP32"
    )
    asked = choose(contenders(), slow, **ORT, decisive=True)
    assert asked.name == "FP32"
    assert "INT8 0.80 times as fast as FP32 here (onnxruntime 1.31 (CPU), not the" in asked.reason
    assert "FP16 0.50 times as fast as FP32 here" in asked.reason
    assert asked.reason.endswith("FP32 kept, agreement 100 %")


def test_what_fails_the_gate_is_never_kept():
    broken = Contender("INT8", "int8", False, 0.31, 3.6)
    for how in (TRT, ORT):
        choice = choose(contenders(int8=broken), timings(int8=1.0, fp16=9.0, fp32=20.0), **how)
        assert choice.name == "FP16"
        assert choice.reason.startswith("INT8 fails the gate (agreement 31 %); FP16 kept")
    nothing = [Contender("INT8", "int8", False, 0.3, 1.0), Contender("FP16", "fp16", False, 0.0, 2)]
    with pytest.raises(ConversionError, match="none of INT8, FP16 answers like the original"):
        choose(nothing, {}, **TRT)


@pytest.mark.parametrize(
    ("agreement", "kept"),
    [(0.996, "INT8"), (0.99, "FP16")],
    ids=["as accurate: the smaller", "less accurate: the other"],
)
def test_ties_within_noise(agreement, kept):
    """8 rounds about 10 ms, where INT8 wins some and loses some."""
    noisy = timings(int8=[9.5, 10.5] * 4, fp16=[10.4, 9.6] * 4, fp32=20.0)
    close = contenders(int8=Contender("INT8", "int8", True, agreement, 3.6))
    choice = choose(close, noisy, **TRT)
    assert choice.name == kept
    assert ("INT8 is not faster than FP16 here" in choice.reason) == (kept == "FP16")


def test_the_search_for_the_fastest_looks_past_the_order_and_what_was_not_timed():
    mixed = Contender("mixed", "mixed", True, 0.999, 5.0)
    three = timings(fp16=12.0, fp32=20.0) | {"mixed": timings(x=6.0)["X"]}
    choice = choose([mixed, *contenders()], three, **TRT)
    assert choice.name == "mixed"
    assert choice.reason.startswith("INT8 could not be timed on tensorrt 10.3; mixed kept: 3.3")
    untimed = choose(contenders(), {}, **TRT)
    assert (untimed.name, untimed.by_speed) == ("INT8", False)
    assert untimed.reason == "INT8 kept, agreement 99.6 %; its speed was not compared"


@pytest.fixture(scope="module")
def graph():
    return onnx.load(str(edgevid.demo.MODEL))


def feeds_of(graph):
    rng = np.random.default_rng(0)
    shapes = {
        i.name: [d.dim_value or 1 for d in i.type.tensor_type.shape.dim] for i in graph.graph.input
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def test_onnxruntime_answers_and_is_not_the_device(graph):
    opened = open_for_timing(graph, "fp32", "onnxruntime")
    feeds = feeds_of(graph)
    assert (opened.kind, opened.is_device, opened.plan) == ("onnxruntime", False, None)
    assert opened.name.startswith("onnxruntime 1.")
    for name, values in Session(graph).run(feeds).items():
        np.testing.assert_allclose(opened.run(feeds)[name], values, atol=1e-5)
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.run(feeds)


def test_openvino_answers_or_is_missed(graph):
    if importlib.util.find_spec("openvino") is None:
        with pytest.raises(MissingDependencyError, match=r"edgevid\[openvino\]"):
            open_for_timing(graph, "fp32", "openvino")
        return
    opened = open_for_timing(graph, "fp32", "openvino")
    feeds = feeds_of(graph)
    assert (opened.kind, opened.is_device) == ("openvino", False)
    (answer,) = opened.run(feeds).values()
    (expected,) = Session(graph).run(feeds).values()
    np.testing.assert_allclose(answer, expected, atol=1e-3)
    opened.close()


def missing(*_):
    raise MissingDependencyError("tensorrt", "tensorrt", "the engine")


@pytest.mark.parametrize("openvino", [True, False])
def test_without_a_gpu_the_processor_is_timed_on(monkeypatch, openvino):
    monkeypatch.setattr("edgevid.engines.tensorrt_module.load_tensorrt", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: openvino or None)
    assert timing_engine() == ("openvino" if openvino else "onnxruntime")


@pytest.fixture
def pretend_gpu(monkeypatch):
    """TensorRT and a GPU of which only the seams are there."""
    built = []

    def build(path, flavour, capability, batch, *, precision, progress):
        built.append(path.read_bytes())
        assert (capability, batch, progress) == (None, (1, 2, 8), None)
        key = PlanKey(flavour, "10.3.0", "8.7", precision, 1, 8, False, "0a1b2c3d")
        return BuiltPlan(key, b"plan")

    def deserialize(data):
        return "loaded" if data == b"plan" else None

    trt = SimpleNamespace(Runtime=lambda _: SimpleNamespace(deserialize_cuda_engine=deserialize))
    log = SimpleNamespace(take=lambda: "it said no")
    engine = SimpleNamespace(name="tensorrt 10.3.0 (int8)", infer=dict, close=lambda: None)
    monkeypatch.setattr("edgevid.engines.tensorrt_module.load_tensorrt", lambda _: trt)
    monkeypatch.setattr("edgevid.engines.tensorrt_module.error_log", lambda _: log)
    monkeypatch.setattr("edgevid.engines.cuda_memory.open_cuda", lambda: "cuda")
    monkeypatch.setattr("edgevid.engines.tensorrt_engine.TensorRTEngine", lambda *_: engine)
    monkeypatch.setattr(timed_engine, "build_plan", build)
    return built


def test_a_gpu_with_tensorrt_is_the_device_and_its_plan_is_handed_on(graph, pretend_gpu):
    assert timing_engine() == "tensorrt"
    opened = open_for_timing(graph, "int8", batch=(1, 2, 8))
    assert (opened.kind, opened.is_device) == ("tensorrt", True)
    assert pretend_gpu == [graph.SerializeToString(deterministic=True)]
    assert opened.plan is not None
    assert opened.plan.data == b"plan"
    assert str(opened.plan.key) == "trt-10.3.0-sm87-int8-b1-8-0a1b2c3d"
    assert opened.run({"a": 1}) == {"a": 1}


def test_a_plan_that_does_not_load_is_told(graph, pretend_gpu, monkeypatch):
    key = PlanKey("tensorrt", "10.3.0", "8.7", "int8", 1, 8, False, "0a1b2c3d")
    monkeypatch.setattr(timed_engine, "build_plan", lambda *_, **__: BuiltPlan(key, b"other"))
    with pytest.raises(EngineError, match=r"does not load the plan trt-10\.3\.0.*it said no"):
        open_for_timing(graph, "int8", "tensorrt")
    assert pretend_gpu == []
