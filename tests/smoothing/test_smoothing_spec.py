"""The grammar of `--smooth`."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.errors import SpecError
from edgevid.protocols import DelayedSmoother, Smoother
from edgevid.smoothing import RollingMean, Unsmoothed, as_delayed, parse_smoother
from edgevid.smoothing.transitions import learn_transitions, read_transitions, write_transitions


def test_none_gives_scores_back() -> None:
    smoother = parse_smoother("none")()
    assert isinstance(smoother, Unsmoothed)
    scores = np.float32([0.1, 0.9])
    smoother.update(np.float32([1.0, 0.0]), 0.0)
    assert smoother.update(scores, 1.0).tolist() == scores.tolist()


@pytest.mark.parametrize(
    ("text", "window", "span_s"),
    [
        ("mean:1", 1, None), (" mean:8 ", 8, None), ("mean:10000", 10000, None),
        ("mean:1.5s", None, 1.5), ("mean:500ms", None, 0.5), ("mean:2s", None, 2.0),
    ],
)  # fmt: skip
def test_mean_takes_windows_or_a_time(text: str, window: int | None, span_s: float | None) -> None:
    smoother = parse_smoother(text)()
    assert isinstance(smoother, RollingMean)
    assert (smoother.window, smoother.span_s) == (window, span_s)


def test_every_stream_has_its_own_memory() -> None:
    make = parse_smoother("mean:2")
    one, other = make(), make()
    assert isinstance(one, Smoother)
    assert isinstance(other, Smoother)
    one.update(np.float32([1.0]), 0.0)
    assert other.update(np.float32([0.0]), 0.0).tolist() == [0.0]
    assert one.update(np.float32([0.0]), 1.0).tolist() == [0.5]


_GOOD = """none mean:8 logmean:8 logmean:1.5s ema:0.3 ema:1 ema:0.8s vote:9 vote:2s median:5
median:2s hysteresis:0.1 hysteresis:0 hysteresis:0.1,for=3 hysteresis:0.1,for=0.5s hmm:0.95 hmm:4s
hmm:0.95,lag=5 hmm:4s,lag=1s hmm:0.9,weight=0.1 mean:4+hysteresis:0.1
hmm:0.9,lag=2+hysteresis:0.1+mean:2"""


@pytest.mark.parametrize("text", _GOOD.split())
def test_every_smoother_answers_every_window_in_order_and_starts_anew(text: str) -> None:
    """Ten windows in, ten answers of three scores out; after a flush the same once more."""
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.ones(3), 10).astype(np.float32)
    smoother = as_delayed(parse_smoother(text)())
    runs = []
    for _ in range(2):
        answers = [a for i, row in enumerate(scores) for a in smoother.push(row, i * 0.3)]
        answers += smoother.flush()
        assert [round(time_s, 6) for _, time_s in answers] == [round(i * 0.3, 6) for i in range(10)]
        assert all(a.shape == (3,) and a.dtype == np.float32 for a, _ in answers)
        runs.append(np.array([a for a, _ in answers]))
    np.testing.assert_array_equal(runs[0], runs[1])


@pytest.mark.parametrize("text", ["hmm:0.95,lag=5", "hmm:4s,lag=1s+mean:2", "mean:2+hmm:0.9,lag=1"])
def test_only_a_lag_delays(text: str) -> None:
    assert isinstance(parse_smoother(text)(), DelayedSmoother)
    assert isinstance(parse_smoother("hmm:0.95+mean:2")(), Smoother)


_BAD = """: median median: median:0 mean mean: mean:0 mean:x mean:-1 mean:+8 mean:1.5 mean:8:9
mean:1_0 mean:٨ mean:10001 Mean:8 none:1 mean,8 mean:0s mean:601s mean:1e3 mean:nan mean:infs
mean:8,of=logits ema:0 ema:1.5 ema: ema:0s ema:-1s vote:2.5 hysteresis: hysteresis:2
hysteresis:0.1s hysteresis:0.1,for hysteresis:0.1,for= hysteresis:0.1,for=0 hysteresis:0.1,hold=3
hysteresis:0.1,for=3,for=4 hmm: hmm:0 hmm:1 hmm:1.0 hmm:0s hmm:0.9,lag=0 hmm:0.9,lag=-1s
hmm:0.9,weight=0 hmm:0.9,weight=2 hmm:0.9,weight=1s
hmm:0.9,file=a.csv mean:8+ +mean:8 mean:4+nothing:1 mean:4++mean:2"""


@pytest.mark.parametrize("text", ["", "mean 8", "mean:4 + vote:3", *_BAD.split()])
def test_bad_specs_name_the_value_and_what_is_allowed(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_smoother(text)
    assert repr(text) in str(caught.value)
    assert "none" in caught.value.hint
    assert "mean:8" in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["vote:9", "hysteresis:0.1", "hmm:0.95", "mean:4+hysteresis:0.1"])
def test_smoothers_of_one_label_refuse_a_model_of_several(text: str) -> None:
    with pytest.raises(SpecError, match=r"assumes one label at a time.*sigmoids") as caught:
        parse_smoother(text, multi_label=True)
    assert "\n" not in str(caught.value)
    for fits in ("none", "mean:8", "logmean:8", "ema:0.8s", "median:5"):
        assert fits in caught.value.hint
        parse_smoother(fits, multi_label=True)


def test_transitions_come_from_a_file_in_any_order_of_labels(tmp_path) -> None:
    streams = [np.array([0, 0, 0, 1, 1, -1, 2, 2])]
    learned = learn_transitions(streams, 3, pseudo_count=0.3)
    np.testing.assert_allclose(learned[0], [2.1 / 3.3, 1.1 / 3.3, 0.1 / 3.3])
    np.testing.assert_allclose(learned.sum(axis=1), 1)
    labels = ["a", "b,c", "d"]
    (tmp_path / "t.csv").write_bytes(write_transitions(learned, labels))
    np.testing.assert_allclose(read_transitions(tmp_path / "t.csv", labels), learned, rtol=1e-8)
    turned = read_transitions(tmp_path / "t.csv", labels[::-1])
    np.testing.assert_allclose(turned, learned[::-1, ::-1], rtol=1e-8)
    parse_smoother("hmm:file=t.csv,lag=3", labels=labels, folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("from,a,b\na,0.5,0.5\n", "not of this model's 2 labels"),
        ("from,a,c\na,1,0\nc,0,1\n", "not of this model's 2 labels"),
        ("from,a,b\na,0.5,x\nb,0,1\n", "row 'a': a value is no number"),
        ("from,a,b\na,0.5,0.6\nb,0,1\n", "row 'a' must be probabilities"),
        ("from,a,b\na,0.5,0.5\nb,-1,2\n", "row 'b' must be probabilities"),
        ("from,a,b\na,nan,0.5\nb,0,1\n", "row 'a' must be probabilities"),
        ("", "not of this model's 2 labels"),
        (None, "cannot be read: No such file"),
    ],
)
def test_bad_transitions_are_one_line(tmp_path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "t.csv").write_text(content)
    with pytest.raises(SpecError, match=says):
        parse_smoother("hmm:file=t.csv", labels=["a", "b"], folder=tmp_path)
