import pytest

from edgevid.clips import FrameIndexSampler, IntervalSampler, NthFrameSampler
from edgevid.errors import SpecError
from edgevid.pipeline import SamplingOptions
from edgevid.pipeline.plan import plan_sampling
from edgevid.spec import ClipSpec
from edgevid.types import SourceInfo

FILE = SourceInfo(320, 240, 25.0, 201, False, "a file")
CAMERA = SourceInfo(640, 480, 30.0, None, True, "a camera")

UNIFORM = ClipSpec(num_frames=20, sampling="uniform", window_s=4.0)
INTERVAL = ClipSpec(num_frames=16, frame_interval=2, fps=30.0, hop_s=0.5)
ONE_FRAME = ClipSpec(frame_interval=4)


def test_uniform_gives_one_window_a_file_and_slides_over_a_camera():
    plan = plan_sampling(UNIFORM, FILE, slide=False)
    assert isinstance(plan.sampler, FrameIndexSampler)
    assert plan.expected_frames == 201

    live = plan_sampling(UNIFORM, CAMERA, slide=False)
    assert isinstance(live.sampler, IntervalSampler)
    assert live.expected_frames is None
    assert "windows of 4 s" in live.notes[0]


def test_an_unknown_frame_count_is_planned_as_wrong():
    unknown = SourceInfo(320, 240, 25.0, None, False, "a file")
    assert plan_sampling(UNIFORM, unknown, slide=False).expected_frames == 1


@pytest.mark.parametrize(
    ("clip", "info", "hop"),
    [
        (INTERVAL, FILE, 8),  # 0.5 s at 15 samples a second, rounded: 7.5 -> 8
        (INTERVAL.model_copy(update={"hop_s": None}), FILE, 1),
        (INTERVAL.model_copy(update={"hop_s": 0.001}), FILE, 1),
        (ONE_FRAME, FILE, 1),
        (ONE_FRAME.model_copy(update={"hop_s": 0.64}), FILE, 4),  # 0.16 s a sample
        (UNIFORM.model_copy(update={"hop_s": 1.0}), CAMERA, 5),  # 0.2 s a sample
    ],
)
def test_hop_in_samples(clip, info, hop):
    assert plan_sampling(clip, info, slide=True).hop == hop


def test_one_frame_models_without_a_rate_count_frames():
    assert isinstance(plan_sampling(ONE_FRAME, FILE, False).sampler, NthFrameSampler)


def test_a_source_much_slower_than_the_contract_is_noted():
    slow = SourceInfo(320, 240, 5.0, 100, False, "a slow file")
    notes = plan_sampling(INTERVAL, slow, False).notes
    assert len(notes) == 1
    assert "5 frames a second" in notes[0]
    assert "15" in notes[0]
    assert plan_sampling(INTERVAL, FILE, False).notes == ()


def test_options_change_the_contract():
    changed = SamplingOptions(hop_s=0.2, frame_interval=4).applied_to(INTERVAL)
    assert (changed.hop_s, changed.frame_interval, changed.num_frames) == (0.2, 4, 16)
    assert SamplingOptions().applied_to(INTERVAL) == INTERVAL
    assert SamplingOptions(window_s=2.0).applied_to(UNIFORM).window_s == 2.0


@pytest.mark.parametrize(
    ("options", "clip", "message"),
    [
        (SamplingOptions(hop_s=0.0), INTERVAL, "--hop 0.0 must be above 0"),
        (SamplingOptions(hop_s=float("nan")), INTERVAL, "--hop nan must be above 0"),
        (SamplingOptions(window_s=-1.0), UNIFORM, "--window -1.0 must be above 0"),
        (SamplingOptions(frame_interval=0), INTERVAL, "--stride 0 must be at least 1"),
        (SamplingOptions(frame_interval=2), UNIFORM, "--stride does not apply"),
        (SamplingOptions(window_s=2.0), INTERVAL, "--window does not apply"),
    ],
)
def test_options_that_do_not_belong_are_refused(options, clip, message):
    with pytest.raises(SpecError, match=message):
        options.applied_to(clip)


def test_a_hop_that_is_not_a_whole_number_of_samples_is_told():
    """Two frames over four seconds: samples are two seconds apart, so nothing comes sooner."""
    sparse = ClipSpec(num_frames=2, sampling="uniform", window_s=4.0, hop_s=0.2)
    plan = plan_sampling(sparse, CAMERA, slide=True)
    assert plan.hop == 1
    assert plan.notes[0] == "a window every 2 s, not every 0.2 s: samples are 2 s apart"
    even = plan_sampling(sparse.model_copy(update={"hop_s": 3.9}), CAMERA, slide=True)
    assert even.hop == 2
    assert not any("a window every" in note for note in even.notes)
