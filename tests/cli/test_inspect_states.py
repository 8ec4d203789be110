"""The line that `inspect` has for states."""

from edgevid.cli.inspect import describe_states, describe_step
from edgevid.manifest import Stepped
from edgevid.spec import StateSpec


def test_states_are_counted_by_type_and_weighed():
    states = [
        StateSpec(input=f"b{i}", output=f"c{i}", shape=(1, 2, 64), dtype="float32")
        for i in range(2)
    ]
    states.append(StateSpec(input="n", output="m", shape=(1,), dtype="int32"))
    text = describe_states(states)
    assert text == "3 (2 float32, 1 int32; 1.0 KiB a stream), zeros at a stream's start"


def test_a_step_says_what_it_was_made_of():
    step = Stepped(
        num_frames=16,
        carried_by={"temporal convolution": 6, "mean over the window": 1},
        max_diff=1e-7,
        later_windows=12,
        later_max_abs_diff=0.02,
        later_top1_agreement=0.75,
    )
    text = describe_step(step)
    assert text.startswith(
        "windows of 16 frames (6 temporal convolutions, 1 mean over the window); after 16 frames"
    )
    assert text.endswith("(best class as the window's on 75% of 12)")
