"""Every TensorRT name in the code exists in every release, or stands behind `hasattr`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trt_names import Api, Found, Use, find_names, load_apis

ROOT = Path(__file__).parents[2]
ENGINES = ROOT / "edgevid" / "engines"
APIS = load_apis()


def code() -> dict[Path, Found]:
    """What is found in every source file that names TensorRT at all."""
    files = [
        p for part in ("edgevid", "convert", "benchmarks") for p in (ROOT / part).rglob("*.py")
    ]
    found = {path.resolve(): find_names(path.read_text(), APIS) for path in files}
    return {path: names for path, names in found.items() if names.uses}


CODE = code()


def problems(found: Found, api: Api) -> list[str]:
    return [str(use) for use in found.uses if not use.guarded and not api.has(use)]


def test_the_six_releases_are_here():
    assert [api.name for api in APIS] == [
        "tensorrt-10.13.3.9",
        "tensorrt-10.16.1.11",
        "tensorrt-10.3.0",
        "tensorrt-10.7.0",
        "tensorrt-11.4.0.106",
        "tensorrt-rtx-1.7.1.116",
    ]
    assert all(len(api.members) > 190 for api in APIS)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_every_name_exists_or_is_guarded(api):
    missing = {path.name: problems(found, api) for path, found in CODE.items()}
    assert {name: lines for name, lines in missing.items() if lines} == {}


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_the_methods_that_tensorrt_calls_are_named_so(api):
    """What our logger and monitor override is what the library calls, all of it."""
    called = {
        owner: {m for m, signature in api.members[owner].items() if signature.startswith(f"{m}(")}
        for owner in ("ILogger", "IProgressMonitor")
    }
    assert called["ILogger"] - {"__init__"} == {"log"}
    expected = {"phase_start", "phase_finish", "step_complete"}
    assert called["IProgressMonitor"] - {"__init__"} == expected
    source = (ENGINES / "build_progress.py").read_text()
    assert all(f"def {name}(self" in source for name in expected)


def test_a_guarded_name_exists_somewhere():
    """Behind `hasattr` a misspelt name would just never be used."""
    guarded = [use for found in CODE.values() for use in found.uses if use.guarded]
    assert guarded
    assert [str(use) for use in guarded if not any(api.has(use) for api in APIS)] == []


def test_nothing_is_overlooked():
    """The walker sees what is there, and knows the type of all that looks like TensorRT."""
    parts = ("tensorrt_build", "tensorrt_engine", "tensorrt_module", "build_progress", "dla")
    parts += ("engine_layers", "refusals", "tensorrt_slot", "timing_cache")
    assert {ENGINES / f"{part}.py" for part in parts} <= set(CODE)
    names = {(use.owner, use.member) for found in CODE.values() for use in found.uses}
    assert len(names) >= 80
    assert names >= {
        (None, "Builder"),
        (None, "OnnxParser"),
        (None, "Runtime"),
        ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("MemoryPoolType", "WORKSPACE"),
        ("ILogger", "INTERNAL_ERROR"),
        ("Builder", "build_serialized_network"),
        ("OnnxParser", "parse_from_file"),
        ("ParserError", "node_operator"),
        ("INetworkDefinition", "num_inputs"),
        ("ITensor", "shape"),
        ("IBuilderConfig", "progress_monitor"),
        ("IBuilderConfig", "can_run_on_DLA"),
        ("IBuilderConfig", "set_timing_cache"),
        ("ITimingCache", "combine"),
        ("EngineInspector", "get_engine_information"),
        ("IOptimizationProfile", "set_shape"),
        ("Runtime", "deserialize_cuda_engine"),
        ("ICudaEngine", "get_tensor_profile_shape"),
        ("IExecutionContext", "execute_async_v3"),
    }
    # Names that TensorRT has too, of our own types and of OpenVINO's.
    ours = re.compile(r"tensorrt_engine.*\.batch_axis|timed_engine.*\.node_name")
    unresolved = [f"{path.name}: {u}" for path, found in CODE.items() for u in found.unresolved]
    assert [u for u in unresolved if not ours.match(u)] == []


@pytest.mark.parametrize(
    ("part", "right", "wrong"),
    [
        ("tensorrt_build", "config.set_memory_pool_limit(", "config.set_max_workspace_size("),
        ("tensorrt_build", "trt.MemoryPoolType.WORKSPACE", "trt.MemoryPoolType.WORKPLACE"),
        ("tensorrt_build", "CreationFlag.STRONGLY", "CreationFlag.FAST"),
        ("tensorrt_build", "trt.OnnxParser(", "trt.ONNXParser("),
        ("tensorrt_build", "builder.create_optimization_profile(", "builder.create_profile("),
        ("tensorrt_build", "config.builder_optimization_level", "config.optimization_level"),
        ("tensorrt_build", "config.profiling_verbosity", "config.profile_verbosity"),
        ("tensorrt_build", "network.get_input(", "network.input("),
        ("tensorrt_build", "tensor.shape", "tensor.dims"),
        ("tensorrt_build", "profile.set_shape(", "profile.set_dims("),
        ("tensorrt_build", 'hasattr(config, "num_compute_capabilities")', "True"),
        ("tensorrt_build", 'not hasattr(config, "set_compute_capability")', "False"),
        ("tensorrt_build", 'not hasattr(trt, "ComputeCapability")', "False"),
        ("build_progress", "trt.IProgressMonitor)", "trt.ProgressMonitor)"),
        ("refusals", "parser.num_errors", "parser.nb_errors"),
        ("refusals", "error.node_operator()", "error.operator()"),
        ("timing_cache", "config.set_timing_cache(", "config.use_timing_cache("),
        ("timing_cache", "self._cache.serialize()", "self._cache.dump()"),
        ("dla", "builder.num_DLA_cores", "builder.nb_DLA_cores"),
        ("dla", "config.can_run_on_DLA(", "config.can_run_on_dla("),
        ("dla", "trt.BuilderFlag.GPU_FALLBACK", "trt.BuilderFlag.FALLBACK"),
        ("dla", 'hasattr(trt.OnnxParserFlag, "ADJUST_FOR_DLA")', "True"),
        ("engine_layers", "runtime.deserialize_cuda_engine(", "runtime.deserialize("),
        ("engine_layers", "runtime.DLA_core", "runtime.dla_core"),
        ("engine_layers", "inspector.get_engine_information(", "inspector.get_information("),
        ("engine_layers", "engine.get_tensor_profile_shape(", "engine.get_profile_shape("),
        ("tensorrt_slot", "self._context.execute_async_v3(", "self._context.execute_async_v2("),
        ("tensorrt_slot", "self._context.set_tensor_address(", "self._context.set_address("),
        ("tensorrt_slot", "self._context.infer_shapes()", "self._context.infer_shape()"),
        ("tensorrt_engine", "engine.num_io_tensors", "engine.num_bindings"),
        (
            "tensorrt_slot",
            "self._engine.create_execution_context()",
            "self._engine.create_context()",
        ),
        ("tensorrt_engine", "trt.DataType.HALF", "trt.DataType.FLOAT16"),
        ("tensorrt_engine", "trt.TensorIOMode.INPUT", "trt.TensorIOMode.IN"),
    ],
)
def test_a_planted_mistake_is_caught(part, right, wrong):
    source = (ENGINES / f"{part}.py").read_text()
    assert right in source
    found = find_names(source.replace(right, wrong), APIS)
    assert any(problems(found, api) for api in APIS)


def test_names_of_old_releases_are_refused_by_the_new():
    """Names that 10.3 has and 11 dropped: the walker tells the releases apart."""
    source = "def f(config: trt.IBuilderConfig):\n    config.set_flag(trt.BuilderFlag.FP16)\n"
    found = find_names(source, APIS)
    by_name = {api.name: problems(found, api) for api in APIS}
    assert by_name["tensorrt-10.3.0"] == []
    assert by_name["tensorrt-11.4.0.106"] == ["line 2: BuilderFlag.FP16"]
    assert by_name["tensorrt-rtx-1.7.1.116"] == ["line 2: BuilderFlag.FP16"]


def test_aliases_and_unknown_objects_are_seen():
    aliased = find_names("import tensorrt as t\nb = t.Builder(t.Logger())\nb.frobnicate()", APIS)
    assert Use("Builder", "frobnicate", 3, guarded=False) in aliased.uses
    unknown = find_names("def f(thing):\n    thing.set_tensor_address('x', 1)", APIS)
    assert unknown.unresolved == ["line 2: thing.set_tensor_address"]


def test_a_guard_holds_only_for_its_own_object_and_function():
    source = (
        "def f(a: trt.IBuilderConfig, b: trt.IBuilderConfig):\n"
        "    if hasattr(a, 'num_compute_capabilities'):\n"
        "        a.num_compute_capabilities = 1\n"
        "    b.num_compute_capabilities = 1\n"
        "def g(a: trt.IBuilderConfig):\n"
        "    a.num_compute_capabilities = 1\n"
    )
    uses = find_names(source, APIS).uses
    assert [(u.line, u.guarded) for u in uses if u.owner] == [(3, True), (4, False), (6, False)]
