"""Let a model over windows take frame by frame instead, prove what stays the same, and tell.

A step remembers more than a window: an LSTM all frames since the stream began, a causal
convolution those that it reaches back, where the window has zeros. So scores are the same
after exactly T frames from a start, and differ by design from then on; by how much on real
frames is measured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid.convert.batch import settle_batch
from edgevid.convert.checked import Checked
from edgevid.convert.frames import collect
from edgevid.convert.graph import SCORES, carried_states
from edgevid.convert.journal import Journal
from edgevid.convert.parity import compare
from edgevid.convert.session import Session
from edgevid.convert.simplify import simplify
from edgevid.convert.spec_infer import Pictures
from edgevid.convert.streaming.causal import CONVOLUTION
from edgevid.convert.streaming.one_frame import NotCausal, NotStepped
from edgevid.convert.streaming.split import MAX_DIFFERENCE, NotSplit, split
from edgevid.convert.streaming.step import Step, make_step
from edgevid.engines.onnxruntime_engine import OnnxRuntimeEngine
from edgevid.errors import SpecError
from edgevid.manifest import Stepped
from edgevid.spec import ClipSpec, Spec
from edgevid.states import States
from edgevid.types import Array

if TYPE_CHECKING:
    from onnx import ModelProto

MIN_AGREEMENT = 0.95
"""Share of later windows whose best class must stay where nobody asked for another answer."""

_RUN = 3
"""Length of the runs of real frames, in windows."""

_PER_RUN = 6
"""Windows of a run, behind its first, that are compared."""

_TIMES = 5


@dataclass(frozen=True)
class StepModel:
    """A model that takes frame by frame.

    Attributes:
        checked: The model; its windows hold T steps each.
        record: What it has to do with the original.
        step_s, window_s: What one frame, and one window of the original, take here.
    """

    checked: Checked
    record: Stepped
    step_s: float
    window_s: float

    @property
    def break_even(self) -> int:
        """Up to how many frames from one window to the next steps are the cheaper way."""
        return int(self.window_s / self.step_s)


def make_stateful(checked: Checked, videos: Sequence[Path], journal: Journal) -> Checked:
    """The same model, frame by frame, as the user asked for.

    Args:
        checked: Over windows.
        videos: More real frames to compare on.
        journal: Told what was done.

    Raises:
        SpecError: Its frames meet in a way that needs more than the past.
    """
    journal.step("Making the model stateful")
    try:
        model = step_by_frame(checked, videos, journal)
    except NotStepped as why:
        raise SpecError(f"--stateful does not apply: {why}", "Leave it out") from None
    journal.note(tell(model))
    return model.checked


def step_where_cheaper(checked: Checked, videos: Sequence[Path], journal: Journal) -> Checked:
    """Convolutions over time that need the past alone, frame by frame; else the same, as it is.

    Where frames meet in the head alone, a split is left to do: its answers stay the same for
    every window.

    Args:
        checked: Over windows.
        videos: More real frames to compare on.
        journal: Told what was done, and why not.
    """
    if checked.spec.clip.sampling != "interval" or checked.spec.clip.num_frames == 1:
        return checked
    try:
        if _is_left_to_others(checked):
            return checked
        journal.step("Comparing frame by frame with windows")
        model = step_by_frame(checked, videos, journal)
        _check_worth(model, checked.spec.clip)
    except NotCausal as why:
        journal.note(f"Not frame by frame: {why}.")
        return checked
    except NotStepped:
        return checked
    journal.note(f"{tell(model)} Keep the windows with --streaming off.")
    return model.checked


def _is_left_to_others(checked: Checked) -> bool:
    """True where convolutions over time are not what joins the frames."""
    _contract(checked.spec)
    step = make_step(checked.graph, checked.windows)
    if step.is_recurrent or CONVOLUTION not in step.layers:
        return True
    try:
        split(checked.graph, checked.windows)
    except NotSplit:
        return False
    return True


def _check_worth(model: StepModel, clip: ClipSpec) -> None:
    """Raise NotCausal where windows are the better way."""
    hop = max(1, round((clip.hop_s or 0) / (clip.period_s or 1)))
    if hop > model.break_even:
        raise NotCausal(
            f"windows are {hop} frames apart, and a step of {model.step_s * 1e3:.2g} ms is "
            f"cheaper than a window of {model.window_s * 1e3:.2g} ms up to {model.break_even}"
        )
    record = model.record
    if record.later_top1_agreement < MIN_AGREEMENT:
        raise NotCausal(
            f"it would keep the best class of {record.later_top1_agreement:.0%} of "
            f"{record.later_windows} windows, as it remembers what came before them; --stateful "
            "does it all the same"
        )


def step_by_frame(whole: Checked, videos: Sequence[Path], journal: Journal) -> StepModel:
    """A model over windows as one that takes frame by frame.

    Raises:
        NotStepped: Its frames meet in a way that needs more than the past.
    """
    contract = _contract(whole.spec)
    step = make_step(whole.graph, whole.windows)
    length = step.num_frames
    graph = simplify(step.graph, journal)
    runs = [{name: array[0] for name, array in window.items()} for window in whole.windows]
    graph = settle_batch(graph, runs, journal)
    session = Session(graph)
    record = _record(Session(whole.graph), session, step, contract, videos)
    rows = session.run_each(runs, SCORES)
    last = rows[length - 1 :: length]
    worst = max(record.max_diff, _apart(last, whole.expected))
    if not worst <= MAX_DIFFERENCE:
        raise NotStepped(
            f"after {length} frames its scores differ by {worst:.2g} of the best one from those "
            f"of a window (allowed: {MAX_DIFFERENCE:g})"
        )
    expected = rows.copy()
    expected[length - 1 :: length] = whole.expected
    frames_from = f"{whole.frames_from}, frame by frame"
    record = record.model_copy(update={"max_diff": worst})
    checked = Checked(
        graph=graph,
        spec=contract.model_copy(update={"states": carried_states(graph)}),
        parity=compare(session, expected, runs, frames_from),
        windows=runs,
        frames_from=frames_from,
        expected=expected,
        stepped=record,
    )
    return StepModel(checked, record, *_times(graph, runs[0], whole.graph, whole.windows[0]))


def _contract(spec: Spec) -> Spec:
    """The contract of one frame at the rate at which windows take them."""
    if spec.states:
        raise NotStepped("it carries states already")
    if spec.clip.num_frames == 1:
        raise NotStepped("it takes single frames")
    if len(spec.inputs) > 1:
        raise NotStepped(f"it has {len(spec.inputs)} inputs, which take different frames")
    (taken,) = spec.inputs
    everything = len(taken.positions(spec.clip.num_frames)) == spec.clip.num_frames
    if taken.modality != "rgb" or "(" in taken.layout or not everything:
        raise NotStepped("its input is not made of every frame of the window, each for itself")
    clip = spec.clip
    if clip.sampling == "interval":
        rate = {"fps": clip.fps, "frame_interval": clip.frame_interval}
    else:
        rate = {"fps": 1 / clip.period_s if clip.period_s else None}
    return spec.model_copy(
        update={
            "clip": ClipSpec.model_validate(rate),
            "inputs": (taken.model_copy(update={"layout": taken.layout.replace("T", "")}),),
        }
    )


def _record(
    whole: Session, stepped: Session, step: Step, spec: Spec, videos: Sequence[Path]
) -> Stepped:
    """What a step's scores have to do with a window's, on runs of real frames."""
    length = step.num_frames
    pictures = Pictures(clip=spec.clip, inputs=spec.inputs)
    runs, _ = collect(pictures, videos, steps=_RUN * length)
    places = np.linspace(length - 1, _RUN * length - 1, _PER_RUN + 1).astype(int)
    first, later, agree = 0.0, 0.0, []
    for run in runs:
        rows = stepped.run_each([run], SCORES)
        for i, place in enumerate(places):
            window = {n: a[np.newaxis, place + 1 - length : place + 1] for n, a in run.items()}
            expected = whole.run(window)[SCORES][0]
            if i == 0:
                first = max(first, _apart(rows[[place]], expected[np.newaxis]))
            else:
                later = max(later, float(np.abs(rows[place] - expected).max()))
                agree.append(rows[place].argmax() == expected.argmax())
    return Stepped(
        num_frames=length,
        carried_by=step.layers,
        max_diff=first,
        later_windows=len(agree),
        later_max_abs_diff=later,
        later_top1_agreement=float(np.mean(agree)),
    )


def _apart(rows: Array, expected: Array) -> float:
    """The largest difference of a score, relative to the best one of its row."""
    apart = np.abs(rows - expected).max(axis=1) / expected.max(axis=1)
    return float(np.nan_to_num(apart, nan=np.inf).max())


def _times(
    step: ModelProto, run: Mapping[str, Array], whole: ModelProto, window: Mapping[str, Array]
) -> tuple[float, float]:
    """Seconds of one step and of one window on ONNX Runtime, the least of a few, in turns."""
    engines = [OnnxRuntimeEngine(graph.SerializeToString()) for graph in (step, whole)]
    first = {name: array[:1] for name, array in run.items()}
    feeds = [{**first, **States(carried_states(step)).feeds}, dict(window)]
    taken: list[list[float]] = [[], []]
    for i in range(_TIMES + 1):
        for j, engine in enumerate(engines):
            start = time.perf_counter()
            engine.infer(feeds[j])
            if i:  # the first call allocates
                taken[j].append(time.perf_counter() - start)
    for engine in engines:
        engine.close()
    return min(taken[0]), min(taken[1])


def tell(model: StepModel) -> str:
    """What a user must know of a step, in a few sentences."""
    record = model.record
    carried = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in record.carried_by.items())
    agree = round(record.later_top1_agreement * record.later_windows)
    return (
        f"Takes frame by frame instead of windows of {record.num_frames}, and remembers "
        f"({carried}). After {record.num_frames} frames its scores are the window's (difference "
        f"{record.max_diff:.1g} of the best one); later ones differ by design, as it remembers "
        f"what came before the window: on {record.later_windows} windows of real frames by at most "
        f"{record.later_max_abs_diff:.2g}, with the same best class on {agree}. One frame takes "
        f"{model.step_s * 1e3:.2g} ms here, a window {model.window_s * 1e3:.2g} ms: cheaper than "
        f"windows up to {model.break_even} frames apart."
    )
