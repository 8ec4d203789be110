"""Build options: which values can be, and that the builder gets them."""

from __future__ import annotations

import pytest

from edgevid.engines.build_options import BuildOptions
from edgevid.engines.tensorrt_build import build_plan
from edgevid.errors import BuildError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_batch": 0}, r"batch \(0, 1, 4\) cannot be"),
        ({"min_batch": 2}, r"batch \(2, 1, 4\) cannot be"),
        ({"opt_batch": 5}, r"batch \(1, 5, 4\) cannot be"),
        ({"workspace_mb": 0}, "a workspace of 0 MB cannot be"),
        ({"optimization_level": 6}, r"no optimization level 6\. Give 0 to 5"),
        ({"optimization_level": -1}, "no optimization level -1"),
        ({"dla_core": -1}, "no DLA core -1"),
    ],
)
def test_values_that_cannot_be(values, message):
    with pytest.raises(BuildError, match=message):
        BuildOptions(**values)


def test_every_level_can_be():
    assert [BuildOptions(optimization_level=n).optimization_level for n in range(6)] == [*range(6)]
    assert BuildOptions().optimization_level is None


@pytest.fixture
def configs(monkeypatch):
    """Every builder configuration that TensorRT-RTX makes, as the builder gets it."""
    rtx = pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
    made = []

    class Builder(rtx.Builder):
        def build_serialized_network(self, network, config):
            made.append(
                (
                    config.get_memory_pool_limit(rtx.MemoryPoolType.WORKSPACE),
                    config.builder_optimization_level,
                    config.profiling_verbosity.name,
                    config.num_optimization_profiles,
                )
            )
            return super().build_serialized_network(network, config)

    monkeypatch.setattr(rtx, "Builder", Builder)
    return made


@pytest.mark.filterwarnings("ignore:Use del obj")  # of the subclass above, not of edgevid
def test_the_builder_gets_them(configs, make_graph):
    path = make_graph()
    chosen = BuildOptions(workspace_mb=64, optimization_level=1, layer_details=False)
    for options in (None, chosen):
        build_plan(path, "tensorrt-rtx", "8.6", precision="fp32", options=options)
    assert configs == [(1 << 30, 3, "DETAILED", 1), (64 << 20, 1, "LAYER_NAMES_ONLY", 1)]


def test_the_range_of_batches_is_in_the_key_and_may_be_given_apart(make_graph):
    pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
    path, options = make_graph(), BuildOptions(2, 3, 8, optimization_level=0)
    built = build_plan(path, "tensorrt-rtx", "8.6", precision="fp32", options=options)
    assert (built.key.min_batch, built.key.max_batch) == (2, 8)
    other = build_plan(path, "tensorrt-rtx", "8.6", (1, 1, 2), precision="fp32", options=options)
    assert (other.key.min_batch, other.key.max_batch) == (1, 2)
