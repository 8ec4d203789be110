"""Where batch and time are after any Transpose and Reshape: compared with arrays that say so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.convert.streaming.layout import Atom, Layout, free


def start(batch, num_frames, *rest):
    return Layout(((Atom("n", batch),), (Atom("t", num_frames),), *map(free, rest)))


def owners(layout, num_frames):
    """Of each element, which clip and frame a layout says that it is of: n * T + t."""
    atoms = layout.atoms
    total = np.zeros([a.size for a in atoms], int)
    for i, atom in enumerate(atoms):
        places = np.arange(atom.size).reshape([-1 if i == j else 1 for j in range(len(atoms))])
        total = total + places * {"n": num_frames, "t": 1, "": 0}[atom.label]
    return total.reshape(layout.shape)


@st.composite
def shapes(draw, size):
    """Any shape of so many elements."""
    shape = []
    while size > 1 and draw(st.booleans()):
        divisors = [d for d in range(1, size + 1) if size % d == 0]
        shape.append(draw(st.sampled_from(divisors)))
        size //= shape[-1]
    return (*shape, size)


@given(st.data(), st.integers(1, 3), st.integers(2, 4), st.lists(st.integers(1, 4), max_size=3))
def test_a_layout_follows_what_happens_to_the_array(data, batch, num_frames, rest):
    layout = start(batch, num_frames, *rest)
    truth = owners(layout, num_frames)
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(truth.ndim)))
            layout, truth = layout.permuted(order), truth.transpose(order)
        else:
            shape = data.draw(shapes(truth.size))
            changed = layout.reshaped(shape)
            if changed is None:
                continue
            layout, truth = changed, truth.reshape(shape)
        assert layout.shape == truth.shape
        assert np.array_equal(owners(layout, num_frames), truth)


def test_time_folded_into_the_batch_and_out_again():
    folded = start(2, 20, 3, 8, 8).reshaped((40, 3, 8, 8))
    assert folded.rows == {0}
    assert folded.time == 0
    assert folded.target(20) == [-1, 3, 8, 8]
    assert folded.reshaped((40, 192)).reshaped((2, 20, 192)).target(20) == [-1, 20, 192]


def test_time_first():
    folded = start(2, 20, 6).permuted((1, 0, 2)).reshaped((40, 6))
    assert [atom.label for atom in folded.atoms] == ["t", "n", ""]
    assert folded.reshaped((20, 2, 6)).target(1) == [1, -1, 6]


@pytest.mark.parametrize("shape", [(2, 120), (4, 60), (240,)])
def test_time_and_features_may_share_an_axis_but_time_is_never_torn(shape):
    layout = start(2, 20, 6)
    assert layout.reshaped((2, 10, 12)) is None
    assert layout.reshaped((5, 48)) is None
    changed = layout.reshaped(shape)
    assert changed is None or np.array_equal(owners(changed, 20), owners(layout, 20).reshape(shape))


def test_a_batch_of_one_stays_with_the_time_it_was_folded_with():
    layout = start(1, 6, 12).permuted((1, 0, 2)).reshaped((6, 3, 4))
    assert layout.target(6) == [-1, 3, 4]
    tokens = start(1, 6, 10, 12).permuted((2, 0, 1, 3)).reshaped((60, 12)).reshaped((10, 6, 12))
    assert tokens.target(1) == [10, -1, 12]
