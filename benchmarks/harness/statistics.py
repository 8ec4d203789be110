"""What can be said about measured times, and how surely.

Latencies are not independent: a busy moment of the machine makes several calls in a row slow.
So intervals come from resampling blocks of consecutive samples, or from whole rounds that lie
apart in time; the plain bootstrap would promise too much. Whatever is random has a fixed seed:
the same samples give the same answer.

Statistics are named as they are written in tables: `mean`, `p50`, `p99.9`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgevid.errors import SpecError
from edgevid.strict import Strict

Samples = Sequence[float] | npt.NDArray[np.floating]
"""Times (or any positive figures) in the order in which they were measured, `(N,)`."""

CONFIDENCE = 0.95
RESAMPLES = 1000

_Array = npt.NDArray[np.float64]
_CHUNK = 1 << 22
"""Resampled values that are held at once."""

_FAR = 3.5
"""Modified z-score from which a sample is marked."""

_MAD_TO_SIGMA = 0.6745
_MEAN_DEVIATION_TO_SIGMA = 0.7979
_WIDEST = math.log(1e6)
"""Beyond this an interval says nothing anyway."""

_BATCH = 5
_BATCHES_AT_LEAST = 10


class Interval(Strict):
    """A statistic, and where the true one lies.

    Attributes:
        value: The statistic of all samples.
        low, high: Ends of the interval.
        confidence: Share of such intervals that hold the true value, in (0, 1).
    """

    value: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def of_another_run(self) -> Interval:
        """Where the same figure of a second, equally long run is expected.

        Both runs err, so the interval is sqrt(2) times as wide on either side, in logs (Hahn
        and Meeker, Statistical Intervals, 1991, section 4.4.2: prediction of a later mean).
        """
        low, high = (_further(self.value, end) for end in (self.low, self.high))
        return Interval(value=self.value, low=low, high=high, confidence=self.confidence)


@dataclass(frozen=True)
class Steady:
    """Where warming up ended.

    Attributes:
        start: Index of the first sample of the steady part.
        found: False where the times still change, or are too few to tell.
    """

    start: int
    found: bool


def statistic(samples: Samples, name: str) -> float:
    """The mean or a percentile of samples.

    Percentiles are interpolated between neighbours (Hyndman and Fan, Sample Quantiles in
    Statistical Packages, 1996, definition 7: NumPy's own).

    Raises:
        SpecError: The name is unknown, or there are no samples.
    """
    return float(_statistics(_checked(samples)[None], name)[0])


def percentile_of(name: str) -> float | None:
    """`p99.9` as a share, 0.999; None for `mean`.

    Raises:
        SpecError: It is neither.
    """
    if name == "mean":
        return None
    try:
        share = float(name.removeprefix("p")) / 100 if name.startswith("p") else math.nan
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise SpecError(f"unknown statistic {name!r}", "Give mean, or a percentile such as p99.9")
    return share


def interval(
    samples: Samples,
    name: str,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """A statistic of one run with its interval, by the circular block bootstrap.

    Blocks of consecutive samples are drawn with replacement, the series seen as a ring (Politis
    and Romano, A Circular Block-Resampling Procedure for Stationary Data, 1992), as long as
    `block_length` finds for this statistic. Percentile intervals are too short where there are
    few blocks; their tails are widened as Student's t asks (Hesterberg, What Teachers Should
    Know About the Bootstrap, 2015, "expanded percentile interval").

    It speaks of this run alone: what changes from run to run, only `interval_of_rounds` sees.

    Raises:
        SpecError: The statistic is unknown, or there are no samples.
    """
    values = _checked(samples)
    value = float(_statistics(values[None], name)[0])
    length = block_length(_series(values, name))
    blocks = len(values) / length
    tail = (1 - confidence) / 2
    if blocks >= 2:
        widened = student_t(1 - tail, blocks - 1) * math.sqrt(blocks / (blocks - 1))
        tail = NormalDist().cdf(-widened)
    drawn = _bootstrap(values, name, length, resamples, np.random.default_rng(seed))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        confidence=confidence,
    )


def interval_of_rounds(
    rounds: Sequence[Samples], name: str, *, confidence: float = CONFIDENCE
) -> Interval:
    """A statistic of all samples, with an interval from how much rounds differ.

    Rounds that lie apart in time see the machine's slow changes, which neighbours within a
    round do not. Student's t over the logs of the rounds' own statistics, around that of all
    samples: what disturbs a machine makes it slower by a share, and no time is below 0. More
    rounds do not make it narrower than one round is sure: slow changes are as large between
    long averages as between short ones (flicker noise; Allan, Statistics of Atomic Frequency
    Standards, 1966), so a whole run lies as far off as a round does.

    Raises:
        SpecError: There are fewer than two rounds, an empty one, one whose statistic is not
            above 0, or no such statistic.
    """
    each = np.array([statistic(samples, name) for samples in rounds])
    if len(each) < 2:
        raise SpecError(f"{len(each)} rounds tell nothing about how they differ", "Run 5 or more")
    value = statistic(np.concatenate([_checked(samples) for samples in rounds]), name)
    if min(each.min(), value) <= 0:
        raise SpecError(f"a round's {name} is {each.min():g}: not a time above 0")
    error = float(np.std(np.log(each), ddof=1))
    reach = student_t((1 + confidence) / 2, len(each) - 1) * error
    times = math.exp(min(reach, _WIDEST))
    return Interval(value=value, low=value / times, high=value * times, confidence=confidence)


def samples_needed(name: str, confidence: float = CONFIDENCE) -> int:
    """Independent samples from which a percentile has a two-sided interval at all.

    Order statistics enclose a percentile with a probability that the binomial distribution
    gives (David and Nagaraja, Order Statistics, 2003, section 7.1); even the smallest and the
    largest sample do only where neither lies on the wrong side too often: p^n and (1-p)^n are
    at most half of what the confidence leaves. p99.9 needs 3688, p99 368, p50 6. With fewer,
    the figure is the largest sample by another name. For the mean: 2.

    Raises:
        SpecError: The statistic is unknown.
    """
    share = percentile_of(name)
    if share is None:
        return 2
    far = max(share, 1 - share)
    return math.ceil(math.log((1 - confidence) / 2) / math.log(far) - 1e-9)


def effective_samples(samples: Samples, name: str) -> float:
    """How many independent samples tell as much about a statistic, at most N.

    N times the variance over the long-run variance, estimated with the flat-top window of
    `block_length` (Politis and Romano, Bias-Corrected Nonparametric Spectral Estimation, 1995).

    Raises:
        SpecError: The statistic is unknown, or there are no samples.
    """
    series = _series(_checked(samples), name)
    covariances, _ = _long_run(series)
    whole = covariances[0] + 2 * float(covariances[1:].sum())
    if covariances[0] <= 0 or whole <= covariances[0]:
        return float(len(series))
    return float(len(series) * covariances[0] / whole)


def outliers(samples: Samples) -> npt.NDArray[np.bool_]:
    """Samples that lie far from the others: to be shown, never to be removed.

    Marked is what has a modified z-score above 3.5: the distance from the median in units of
    the median absolute deviation (Iglewicz and Hoaglin, How to Detect and Handle Outliers,
    1993); where more than half of the samples are equal, of the mean absolute deviation.

    Returns:
        Mask, `(N,)`.
    """
    values = _checked(samples)
    distance = np.abs(values - np.median(values))
    scale = float(np.median(distance)) / _MAD_TO_SIGMA
    scale = scale or float(distance.mean()) / _MEAN_DEVIATION_TO_SIGMA
    marked: npt.NDArray[np.bool_] = distance > _FAR * scale
    return marked


def steady(samples: Samples, batch: int = _BATCH) -> Steady:
    """Where the times stop to change: MSER-5.

    Of all places to cut at, the one that leaves the smallest standard error of the mean of
    what follows, over means of `batch` samples (White, An Effective Truncation Heuristic for
    Bias Reduction in Simulation Output, 1997; with 5: Spratt, 1998). Where that lies in the
    second half, nothing steady was found, as those authors advise. Outliers, judged by the
    second half, are pulled in first: the rule takes a late one for the end of warming up.
    """
    values = _checked(samples)
    count = len(values) // batch
    if count < _BATCHES_AT_LEAST:
        return Steady(len(values), False)
    late = values[len(values) // 2 :]
    middle = np.median(late)
    reach = _FAR * float(np.median(np.abs(late - middle))) / _MAD_TO_SIGMA
    if reach:
        values = np.clip(values, middle - reach, middle + reach)
    means = values[: count * batch].reshape(count, batch).mean(axis=1) - middle
    kept = np.arange(count, 0, -1)
    sums, squares = (np.cumsum(series[::-1])[::-1] for series in (means, means**2))
    errors = (np.maximum(squares - sums**2 / kept, 0.0) / kept**2)[: count - _BATCH]
    cut = int(np.argmin(errors))
    return Steady(cut * batch, cut <= count // 2)


def block_length(series: npt.NDArray[np.floating]) -> int:
    """How long blocks of a series must be to keep how its values depend on one another.

    The rule of Politis and White (Automatic Block-Length Selection for the Dependent Bootstrap,
    2004) for circular blocks, as Patton, Politis and White corrected it (2009).
    """
    n = len(series)
    covariances, lags = _long_run(np.asarray(series, dtype=float))
    spectrum = covariances[0] + 2 * float(covariances[1:].sum())
    slope = 2 * float((lags * covariances).sum())
    if spectrum <= 0 or n < 2:
        return 1
    best = (1.5 * (slope / spectrum) ** 2 * n) ** (1 / 3)
    return int(min(max(math.ceil(best), 1), math.ceil(min(3 * math.sqrt(n), n / 3))))


def student_t(share: float, degrees: float) -> float:
    """Quantile of Student's t, by the integral of cos^(degrees-1) over the angle.

    With t = sqrt(degrees) tan(a), the density becomes a power of the cosine of `a`.
    """
    angles = np.linspace(0.0, math.pi / 2, 20001)
    density = np.cos(angles) ** (degrees - 1) if degrees > 1 else np.ones_like(angles)
    summed = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = float(np.interp(abs(share - 0.5) * 2, summed / summed[-1], angles))
    return math.copysign(math.sqrt(degrees) * math.tan(angle), share - 0.5)


def _further(value: float, end: float) -> float:
    """sqrt(2) times as far from the value; in logs where both are above 0."""
    if min(value, end) > 0:
        return float(value * (end / value) ** math.sqrt(2))
    return value + math.sqrt(2) * (end - value)


def _checked(samples: Samples) -> _Array:
    values = np.asarray(samples, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise SpecError("there are no samples to describe", "Measure longer")
    if not np.isfinite(values).all():
        raise SpecError(f"sample {int(np.argmin(np.isfinite(values)))} is not a finite number")
    return values


def _series(values: _Array, name: str) -> _Array:
    """What a statistic's error comes from: for a percentile, on which side of it samples lie."""
    share = percentile_of(name)
    return values if share is None else (values <= np.quantile(values, share)).astype(float)


def _statistics(rows: _Array, name: str) -> _Array:
    """The statistic of each row of `(R, N)`."""
    share = percentile_of(name)
    found = rows.mean(axis=1) if share is None else np.quantile(rows, share, axis=1)
    return np.asarray(found, dtype=float)


def _bootstrap(
    values: _Array, name: str, length: int, resamples: int, rng: np.random.Generator
) -> _Array:
    """The statistic of each resample, `(resamples,)`."""
    n = len(values)
    ring = np.concatenate([values, values[: length - 1]])
    blocks = np.lib.stride_tricks.sliding_window_view(ring, length)
    at_once = max(_CHUNK // n, 1)
    found = []
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        starts = rng.integers(0, n, (rows, math.ceil(n / length)))
        found.append(_statistics(blocks[starts].reshape(rows, -1)[:, :n], name))
    return np.concatenate(found)


def _long_run(series: _Array) -> tuple[_Array, _Array]:
    """Autocovariances that count, each times its weight, and their lags.

    Lags after the last of which the correlation is more than noise, doubled, under the flat-top
    window: full weight up to half of them, falling to none.
    """
    n = len(series)
    tested = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = min(math.ceil(math.sqrt(n)) + tested, n - 1)
    covariances = _autocovariances(series, most)
    if covariances[0] <= 0 or most < 1:
        return covariances[:1], np.zeros(1)
    noise = 2 * math.sqrt(math.log10(n) / n)
    loud = np.abs(covariances[1:] / covariances[0]) >= noise
    last = next((m for m in range(most) if not loud[m : m + tested].any()), most)
    lags = np.arange(min(max(2 * last, 1), most) + 1, dtype=float)
    weights = np.clip(2 * (1 - lags / max(lags[-1], 1.0)), 0.0, 1.0)
    return covariances[: len(lags)] * weights, lags


def _autocovariances(series: _Array, most: int) -> _Array:
    """Of lags 0 to `most`, each divided by N; through the Fourier transform."""
    n = len(series)
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(series - series.mean(), size)
    found: _Array = np.fft.irfft(np.abs(spectrum) ** 2, size)[: most + 1] / n
    found[0] = max(found[0], 0.0) if np.ptp(series) else 0.0
    return found
