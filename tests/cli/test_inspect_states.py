"""The line that `inspect` has for states."""

from edgevid.cli.inspect import describe_states
from edgevid.spec import StateSpec


def test_states_are_counted_by_type_and_weighed():
    states = [
        StateSpec(input=f"b{i}", output=f"c{i}", shape=(1, 2, 64), dtype="float32")
        for i in range(2)
    ]
    states.append(StateSpec(input="n", output="m", shape=(1,), dtype="int32"))
    text = describe_states(states)
    assert text == "3 (2 float32, 1 int32; 1.0 KiB a stream), zeros at a stream's start"
