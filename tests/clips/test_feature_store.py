"""Features kept from window to window are those that computing every frame would give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.clips import FeatureStore, WindowBuilder
from edgevid.spec import ClipSpec, InputSpec
from edgevid.types import FrameTime, SampledFrame


def feature(number):
    """Of a frame: anything that tells frames apart."""
    return np.array([number, number**2], np.float32)


def windows(num_frames, hop, samples):
    """The window after each sample (frame, restart), or None, as the pipeline builds them."""
    spec = InputSpec(name="clip", layout="NTHWC", size=(1, 1))
    build = WindowBuilder(ClipSpec(num_frames=num_frames, fps=10.0), [spec], hop, "a source")
    for number, restart in samples:
        time = FrameTime(number, number * 0.1, number * 0.1 + 0.1)
        pixels = {"clip": np.full((1, 1, 3), number % 256, np.uint8)}
        yield build.push(SampledFrame(pixels, time, number * 0.1, restart=restart)), restart


@st.composite
def streams(draw):
    """Frames that go on, repeat, skip, or begin anew after a gap."""
    number, samples = 0, []
    for _ in range(draw(st.integers(1, 60))):
        step = draw(st.sampled_from([1, 1, 1, 1, 0, 2, 50]))
        number += step if samples else 0
        samples.append((number, step == 50 and bool(samples)))
    return samples


@given(
    st.integers(1, 8),
    st.integers(1, 11),
    st.sampled_from([1, 2, 3, 7]),
    streams(),
    st.lists(st.booleans(), max_size=60),
)
def test_a_window_holds_what_computing_every_frame_gives(t, hop, every, samples, dropped):
    store = FeatureStore()
    computed = []
    for i, (clip, restart) in enumerate(windows(t, hop, samples)):
        if restart:
            store.clear()
            computed.clear()
        if clip is None or (i < len(dropped) and dropped[i]):
            continue
        used = np.array(clip.frames[::every])
        new = used[store.missing(used)]
        store.add(new, [feature(number) for number in new])
        store.forget_before(clip.frames[0])
        assert np.array_equal(store.window(used), np.stack([feature(n) for n in used]))
        computed += new.tolist()
        assert len(store) <= t
        # Until the stream begins anew, no frame is computed twice.
        assert len(set(computed)) == len(computed)


@pytest.mark.parametrize(("hop", "counts"), [(1, [8, 1, 1, 1]), (3, [8, 3, 3, 3]), (9, [8] * 4)])
def test_only_new_frames_are_missing(hop, counts):
    store = FeatureStore()
    found = []
    for start in range(0, 4 * hop, hop):
        frames = np.arange(start, start + 8)
        places = store.missing(frames)
        found.append(len(places))
        store.add(frames[places], [feature(n) for n in frames[places]])
        store.forget_before(start)
    assert found == counts


def test_the_first_and_last_frame_of_a_window_are_computed_once_in_its_life():
    store = FeatureStore()
    computed = 0
    for start in range(100):
        frames = np.array([start, start + 15])
        places = store.missing(frames)
        computed += len(places)
        store.add(frames[places], [feature(n) for n in frames[places]])
        store.forget_before(start)
        assert store.window(frames)[:, 0].tolist() == frames.tolist()
        assert len(store) <= 16
    assert computed == 115


def test_a_frame_that_stands_for_several_samples_is_computed_once():
    store = FeatureStore()
    frames = np.array([3, 3, 5, 5])
    assert store.missing(frames) == [0, 2]
    store.add(frames[[0, 2]], [feature(3), feature(5)])
    assert store.window(frames)[:, 0].tolist() == [3, 3, 5, 5]
    assert store.missing(np.array([5, 5, 5, 6])) == [3]


def test_rows_are_copied_keep_their_type_and_are_forgotten():
    store = FeatureStore()
    rows = np.ones((2, 3, 2), np.float16)
    store.add(np.array([0, 1]), rows)
    rows[:] = 0
    window = store.window(np.array([0, 1]))
    assert window.dtype == np.float16
    assert window.all()
    store.clear()
    assert store.missing(np.array([0, 1])) == [0, 1]
    with pytest.raises(KeyError):
        store.window(np.array([0]))
