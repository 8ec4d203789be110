"""Reading a plan back on a (fake) GPU: what is checked, and what it tells of its layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_gpu import FakeCuda, FakeTensorRT, plan_bytes

from edgevid.engines import engine_layers
from edgevid.engines.engine_layers import EngineLayer, read_back
from edgevid.engines.plans import PlanKey
from edgevid.errors import BuildError, EngineError, MissingDependencyError

KEY = PlanKey("tensorrt", "10.3.0", "8.7", "int8", 1, 4, False, "0a1b2c3d")

DETAILED = [
    {
        "Name": "conv + relu",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "frames", "Format/Datatype": "Row major Int8 format"}],
        "Outputs": [{"Name": "a", "Format/Datatype": "Row major Int8 format"}],
        "TacticName": "sm80_xmma_fprop_implicit_gemm_indexed_i8i8",
    },
    {"Name": "softmax", "LayerType": "SoftMax", "Outputs": [{"Format/Datatype": "Float"}]},
]


@pytest.fixture
def gpu(monkeypatch):
    trt = FakeTensorRT(FakeCuda())
    monkeypatch.setattr(engine_layers, "load_tensorrt", lambda _flavour: trt)
    monkeypatch.setattr(engine_layers, "open_cuda", lambda: trt.cuda)
    return trt


def test_layers_with_their_types(gpu):
    assert read_back(KEY, plan_bytes(layers=DETAILED)) == (
        EngineLayer("conv + relu", "CaskConvolution", ("Row major Int8 format",)),
        EngineLayer("softmax", "SoftMax", ("Float",)),
    )
    assert len(gpu.deserialized) == 1


def test_layers_by_name_only():
    """A plan without details names its layers and no more."""
    engine = FakeTensorRT(FakeCuda())
    loaded = engine_layers.load_engine(engine, plan_bytes(layers=["conv", "softmax"]), KEY)
    assert engine_layers.engine_layers(engine, loaded) == (
        EngineLayer("conv"),
        EngineLayer("softmax"),
    )


@pytest.mark.usefixtures("gpu")
def test_a_plan_that_does_not_load_is_no_plan():
    with pytest.raises(BuildError, match=r"does not load the plan trt-.* magic tag does not match"):
        read_back(KEY, b"broken")


@pytest.mark.parametrize(("key_max", "plan_max"), [(4, 2), (2, 4)])
@pytest.mark.usefixtures("gpu")
def test_a_plan_that_takes_other_batches_than_its_key(key_max, plan_max):
    with pytest.raises(BuildError, match=f"takes batches 1 to {plan_max} of input 'frames'"):
        read_back(replace(KEY, max_batch=key_max), plan_bytes(max=plan_max))


def test_a_fixed_batch_has_no_range_to_compare(gpu):
    key = replace(KEY, min_batch=2, max_batch=2, fixed_batch=True)
    assert read_back(key, plan_bytes(batch=2, max=2)) == ()
    assert len(gpu.deserialized) == 1


def test_a_plan_for_another_gpu_is_not_loaded(gpu):
    assert read_back(replace(KEY, compute_capability="8.6"), plan_bytes()) is None
    assert gpu.deserialized == []


def test_a_plan_for_a_dla_is_loaded_on_its_core(gpu):
    read_back(replace(KEY, dla_core=1), plan_bytes())
    assert [runtime.DLA_core for runtime in gpu.runtimes] == [1]


@pytest.mark.parametrize(
    "error", [EngineError("no GPU"), MissingDependencyError("cuda", "cuda", "a GPU")]
)
def test_without_a_gpu_nothing_is_loaded(gpu, monkeypatch, error):
    def refuse():
        raise error

    monkeypatch.setattr(engine_layers, "open_cuda", refuse)
    assert read_back(KEY, plan_bytes()) is None
    assert gpu.deserialized == []
