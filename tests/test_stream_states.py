"""Several streams' states in one call: joined, handed back, and broken one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import SpecError
from edgevid.spec import ClipSpec, InputSpec, OutputSpec, Spec, StateSpec, parse
from edgevid.states import States, can_batch, gather, scatter


@st.composite
def state_specs(draw: st.DrawFn) -> list[StateSpec]:
    """States of one to four axes, one of which is the batch."""
    specs = []
    for i in range(draw(st.integers(1, 4))):
        shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
        axis = draw(st.integers(0, len(shape) - 1))
        shape[axis] = 1
        specs.append(
            StateSpec(
                input=f"in_{i}",
                output=f"out_{i}",
                shape=tuple(shape),
                dtype=draw(st.sampled_from(["float32", "float16", "int32"])),
                batch_axis=axis,
            )
        )
    return specs


@given(specs=state_specs(), count=st.integers(1, 5), data=st.data())
def test_what_is_scattered_is_gathered_again(
    specs: list[StateSpec], count: int, data: st.DataObject
) -> None:
    """Each stream has its own values back, whatever the axis and the company it was in."""
    streams = [States(specs) for _ in range(count)]
    rng = np.random.default_rng(0)
    outputs = {
        s.output: rng.integers(0, 100, [count if i == s.batch_axis else d for i, d in
                                        enumerate(s.shape)]).astype(s.dtype)
        for s in specs
    }  # fmt: skip
    assert scatter(outputs, streams) == [True] * count
    order = data.draw(st.permutations(range(count)))
    chosen = order[: data.draw(st.integers(1, count))]
    feeds = gather([streams[i] for i in chosen])
    for spec in specs:
        array = feeds[spec.input]
        assert array.flags.c_contiguous
        assert array.dtype == spec.dtype
        np.testing.assert_array_equal(array, outputs[spec.output].take(chosen, spec.batch_axis))


H = StateSpec(input="h0", output="hn", shape=(2, 1, 3), dtype="float32", batch_axis=1)
COUNT = StateSpec(input="n_in", output="n_out", shape=(1,), dtype="int32", batch_axis=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_the_broken_stream_begins_anew(bad: float) -> None:
    streams = [States([H, COUNT]) for _ in range(3)]
    hidden = np.ones((2, 3, 3), np.float32)
    hidden[1, 1, 2] = bad
    outputs = {"hn": hidden, "n_out": np.array([7, 8, 9], np.int32)}
    assert scatter(outputs, streams) == [True, False, True]
    assert [int(s.feeds["n_in"][0]) for s in streams] == [7, 0, 9]
    assert not streams[1].feeds["h0"].any()
    assert streams[2].feeds["h0"].all()


def test_large_states_are_looked_through_in_turns() -> None:
    """Of three states of 1 MiB one is looked at after each call: the third comes in time."""
    specs = [
        StateSpec(input=f"in_{i}", output=f"out_{i}", shape=(1, 1 << 18), dtype="float32")
        for i in range(3)
    ]
    states = States([*specs, COUNT.model_copy(update={"batch_axis": None})])
    outputs = {s.output: np.ones(s.shape, np.float32) for s in specs}
    outputs["out_2"][0, 99] = np.nan
    outputs["n_out"] = np.array([5], np.int32)
    assert [states.take(outputs) for _ in range(3)] == [True, True, False]
    assert not any(array.any() for array in states.feeds.values())


def test_a_stream_keeps_a_view_of_the_call() -> None:
    streams = [States([H]) for _ in range(2)]
    hidden = np.ones((2, 2, 3), np.float32)
    scatter({"hn": hidden}, streams)
    assert all(np.shares_memory(s.feeds["h0"], hidden) for s in streams)


@pytest.mark.parametrize(("axis", "shape"), [(0, (2, 1)), (2, (1, 1)), (1, (1,))])
def test_a_batch_axis_is_an_axis_of_length_one(axis: int, shape: tuple[int, ...]) -> None:
    fields = {"input": "h", "output": "hn", "shape": shape, "dtype": "float32", "batch_axis": axis}
    with pytest.raises(SpecError, match=rf"batch_axis {axis} of shape .* is no axis of length 1"):
        parse(StateSpec, fields, "spec")


def test_all_states_have_a_batch_axis_or_none() -> None:
    fixed = COUNT.model_copy(update={"batch_axis": None})
    assert can_batch([H, COUNT])
    assert not can_batch([H, fixed])
    fields = {
        "labels": ("a", "b"),
        "clip": ClipSpec(fps=10.0),
        "inputs": (InputSpec(name="x", layout="NCHW", size=(4, 4)),),
        "outputs": (OutputSpec(name="y", kind="logits"),),
        "states": (H, fixed),
    }
    with pytest.raises(SpecError, match="'h0' has a batch_axis and 'n_in' has none"):
        parse(Spec, fields, "spec")
