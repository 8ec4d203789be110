"""The class is the motion: exact symmetries, and single frames that tell nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.sources.moving_shapes import MOTIONS, REVERSED, Pose, Scene, render

SMALL = (64, 48)


@pytest.mark.parametrize("seed", range(4))
def test_at_time_zero_every_motion_shows_the_same_picture(seed: int) -> None:
    pictures = [Scene(motion, seed, SMALL).frame(0.0) for motion in MOTIONS]
    for picture in pictures[1:]:
        assert np.array_equal(picture, pictures[0])


@given(
    st.sampled_from(MOTIONS),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
    st.floats(0, 20),
)
def test_a_motion_moves_along_one_axis_of_the_torus(
    motion: str, start: list[float], t_s: float
) -> None:
    scene = Scene(motion, 0, (16, 16), start=Pose(*start), speed=0.3)
    pose = scene.pose(t_s)
    moved = [a for a in ("x", "y", "angle", "size") if getattr(pose, a) != getattr(scene.start, a)]
    assert len(moved) <= 1
    for axis in moved:
        offset = (getattr(pose, axis) - getattr(scene.start, axis)) % 1.0
        turns = 0.3 * t_s % 1.0
        distance = min(abs(offset - turns), abs(offset - (1 - turns)))
        assert min(distance, 1 - distance) < 1e-9
        assert 0.0 <= getattr(pose, axis) <= 1.0


@pytest.mark.parametrize("motion", MOTIONS)
def test_played_backwards_a_motion_is_its_reverse_to_the_pixel(motion: str) -> None:
    times = [i / 8 for i in range(9)]
    forward = Scene(motion, 11, SMALL, speed=0.25, unsteady=False)
    backward = Scene(
        REVERSED[motion], 11, SMALL, start=forward.pose(1.0), speed=0.25, unsteady=False
    )
    difference = np.abs(
        render(forward, times)[::-1].astype(int) - render(backward, times).astype(int)
    )
    # The two poses agree to 1e-16, which may round a pixel on the edge either way.
    assert difference.max() <= 1
    assert REVERSED[REVERSED[motion]] == motion != REVERSED[motion]


def shape_mask(scene: Scene, t_s: float) -> np.ndarray:
    """Which pixels the shape covers; the empty picture is the median of a whole orbit."""
    orbit = Scene("left", scene.seed, scene.size, Pose(0, 0.5, 0, 0), speed=1.0, unsteady=False)
    empty = np.median(render(orbit, [i / 9 for i in range(9)]), axis=0)
    return np.abs(scene.frame(t_s) - empty).sum(axis=2) > 60


def centre_and_spread(scene: Scene, t_s: float) -> tuple[np.ndarray, float]:
    """Centre of the shape in pixels and how many pixels it covers."""
    mask = shape_mask(scene, t_s)
    y, x = np.nonzero(mask)
    return np.array([x.mean(), y.mean()]), float(mask.sum())


@pytest.mark.parametrize(
    ("motion", "direction"),
    [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))],
)
def test_translations_go_where_their_name_says(motion: str, direction: tuple[int, int]) -> None:
    scene = Scene(motion, 3, (128, 128), Pose(0.5, 0.5, 0.1, 0.2), 0.2, unsteady=False)
    before, after = centre_and_spread(scene, 0.0)[0], centre_and_spread(scene, 0.5)[0]
    assert after - before == pytest.approx(np.multiply(direction, 12.8), abs=0.5)


@pytest.mark.parametrize(("motion", "sign"), [("grow", 1), ("shrink", -1)])
def test_growth_keeps_the_centre_and_changes_the_area(motion: str, sign: int) -> None:
    scene = Scene(motion, 3, (128, 128), Pose(0.5, 0.5, 0.1, 0.5), 0.4, unsteady=False)
    before, after = centre_and_spread(scene, 0.0)[1], centre_and_spread(scene, 1.0)[1]
    # 0.4 of the range of log(0.40 / 0.13), twice over for an area.
    expected = 2 * 0.4 * np.log(0.40 / 0.13) * sign
    assert np.log(after / before) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("motion", "code"),
    [("clockwise", cv2.ROTATE_90_CLOCKWISE), ("counter-clockwise", cv2.ROTATE_90_COUNTERCLOCKWISE)],
)
def test_a_quarter_turn_is_a_quarter_turn_on_the_screen(motion: str, code: int) -> None:
    # An odd side, so that the picture has a middle pixel to turn about.
    middle = 64 / 129
    scene = Scene(motion, 5, (129, 129), Pose(middle, middle, 0.1, 0.9), speed=0.25, unsteady=False)
    before, after = shape_mask(scene, 0.0), shape_mask(scene, 1.0)
    turned = cv2.rotate(before.astype(np.uint8), code).astype(bool)
    other_way = cv2.rotate(turned.astype(np.uint8), cv2.ROTATE_180).astype(bool)

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float((a & b).sum() / (a | b).sum())

    assert overlap(after, turned) > 0.95
    assert overlap(after, other_way) < 0.9


def test_an_unknown_motion_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown motion 'sideways'; choose from left, right"):
        Scene("sideways", 0)


def single_frames(seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """One frame of each seed at a random instant, as 16x12 grey values, and its class."""
    frames, labels = [], []
    for seed in seeds:
        rng = np.random.default_rng((seed, 99))
        label = seed % len(MOTIONS)
        picture = Scene(MOTIONS[label], seed, SMALL).frame(rng.uniform(0, 5))
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        frames.append(cv2.resize(grey, (16, 12), interpolation=cv2.INTER_AREA).ravel())
        labels.append(label)
    x = np.array(frames, np.float64)
    x = (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1)
    return x, np.array(labels)


def test_one_frame_does_not_tell_the_class() -> None:
    """Two classifiers of single frames stay within 4.5 standard errors of one in eight."""
    x_train, y_train = single_frames(range(2400))
    x_test, y_test = single_frames(range(10_000, 10_800))
    chance = 1 / len(MOTIONS)
    bound = chance + 4.5 * np.sqrt(chance * (1 - chance) / len(y_test))

    nearest = y_train[np.argmax(x_test @ x_train.T, axis=1)]
    # Linear least squares onto the classes, with a ridge, on the pixels and their squares.
    features = [np.hstack([x, x**2, np.ones((len(x), 1))]) for x in (x_train, x_test)]
    gram = features[0].T @ features[0] + 10.0 * np.eye(features[0].shape[1])
    weights = np.linalg.solve(gram, features[0].T @ np.eye(len(MOTIONS))[y_train])
    linear = np.argmax(features[1] @ weights, axis=1)

    assert np.mean(nearest == y_test) < bound
    assert np.mean(linear == y_test) < bound
    # The classifier is no straw man: it does learn what it has seen.
    assert np.mean(np.argmax(features[0] @ weights, axis=1) == y_train) > 0.3
