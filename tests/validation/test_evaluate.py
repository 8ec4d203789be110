"""Bundles against labelled videos, through real decoding, sampling and engines."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import edgevid
from edgevid import Views, demo, evaluate
from edgevid.engines import open_engine
from edgevid.engines.scripted import ScriptedEngine
from edgevid.errors import EngineError, SourceError, SpecError
from edgevid.manifest import Bundle, Decision
from edgevid.pipeline import SamplingOptions
from edgevid.types import TensorInfo
from edgevid.validation.results import evaluation_schema

MOTIONS = ("left", "right", "up", "down", "clockwise", "counter-clockwise", "grow", "shrink")


def synthetic(*motions, seconds=2, seed=1):
    return f'"synthetic:?motions={",".join(motions)}&seconds={seconds}&seed={seed}"'


def scripted(rows) -> ScriptedEngine:
    """Gives these scores, whatever the frames of the demo model."""
    takes = TensorInfo("clip", (None, 8, 64, 64, 3), "uint8")
    gives = TensorInfo("scores", (None, len(rows[0])), "float32")
    return ScriptedEngine([takes], [gives], [np.asarray(r, np.float32) for r in rows])


def one_hot(index, score=0.93):
    rest = (1 - score) / 7
    return [score if i == index else rest for i in range(8)]


def with_contract(bundle: Bundle, **changes) -> Bundle:
    """The bundle with another contract, for a scripted engine."""
    return Bundle(bundle.path, bundle.manifest.model_copy(update=changes), bundle.labels)


def test_the_demo_model_knows_every_motion(demo_bundle, write_csv):
    rows = [f"{synthetic(motion)},{motion},," for motion in MOTIONS]
    seen = []
    found = evaluate(
        demo_bundle, write_csv(*rows), progress=lambda done, total: seen.append((done, total))
    )
    assert found.clips is not None
    assert (found.clips.top1, found.clips.top5, found.clips.mean_class_accuracy) == (1.0, 1.0, 1.0)
    assert found.clips.confusion == tuple(map(tuple, np.eye(8, dtype=int).tolist()))
    assert [a.predicted[0] for a in found.clips.answers] == list(MOTIONS)
    assert all(a.rank == 1 and a.views == 1 and not a.padded for a in found.clips.answers)
    assert found.complete
    assert seen == [(i, 8) for i in range(1, 9)]


def test_the_centre_window_is_the_one_that_the_pipeline_sees(demo_bundle, write_csv):
    """Of 2 s at 10 samples a second, starts 0 to 12: the centre clip is the window at 0.6 s."""
    found = evaluate(demo_bundle, write_csv(f"{synthetic('grow')},grow,,"))
    options = SamplingOptions(hop_s=0.1)
    uri = synthetic("grow").strip('"')
    windows = {round(p.start_s, 3): p for p in edgevid.stream(demo_bundle, uri, options=options)}
    assert sorted(windows) == pytest.approx([i / 10 for i in range(13)])
    assert found.clips.answers[0].score == pytest.approx(float(windows[0.6].scores.max()), abs=1e-6)


def test_views_are_averaged(demo_bundle, write_csv):
    """The mean over all windows of the clip equals the mean of the pipeline's."""
    path = write_csv(f"{synthetic('left', 'right', seconds=1)},left,,")
    found = evaluate(demo_bundle, path, views=Views(overlap=7 / 8))
    uri = synthetic("left", "right", seconds=1).strip('"')
    options = SamplingOptions(hop_s=0.1)
    scores = [p.scores for p in edgevid.stream(demo_bundle, uri, options=options)]
    answer = found.clips.answers[0]
    assert answer.views == len(scores) == 13
    assert answer.score == pytest.approx(float(np.mean(scores, axis=0).max()), abs=1e-6)
    fewer = evaluate(demo_bundle, path, views=Views(clips=3))
    assert fewer.clips.answers[0].views == 3


def test_a_part_of_a_video_is_seen_as_a_video_of_its_own(demo_bundle, write_csv):
    video = synthetic("up", "down", "grow")
    rows = [f"{video},down,2,4", f"{video},grow,4,", f"{video},up,0,2"]
    found = evaluate(demo_bundle, write_csv(*rows), task="clips")
    assert found.clips.top1 == 1.0
    assert [(a.start_s, a.end_s) for a in found.clips.answers] == [(2, 4), (4, None), (0, 2)]


def test_clips_go_to_the_engine_in_batches(demo_bundle, write_csv):
    engine = scripted([one_hot(0)])
    rows = [f"{synthetic('left')},left,,", f"{synthetic('up')},up,,"]
    found = evaluate(demo_bundle, write_csv(*rows), views=Views(clips=10), batch=8, engine=engine)
    assert engine.batches == [8, 2, 8, 2]
    assert found.clips.top1 == 0.5
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        evaluate(demo_bundle, write_csv(*rows), engine=engine)


def test_a_clip_shorter_than_a_window_is_filled_up_and_told(demo_bundle, write_csv):
    found = evaluate(demo_bundle, write_csv(f"{synthetic('left', seconds=0.35)},left,,"))
    assert found.clips.answers[0].padded == 4
    assert found.notes == ("clips shorter than a window, whose last frame is repeated: 1",)


def test_three_crops_see_left_centre_and_right(demo_bundle, write_csv, tmp_path):
    """A wide picture whose thirds differ: the mean of the crops' colours is the answer."""
    import cv2

    picture = np.zeros((64, 192, 3), np.uint8)
    picture[:, :64], picture[:, 64:128], picture[:, 128:] = 30, 120, 240
    (tmp_path / "frames").mkdir()
    for i in range(60):
        cv2.imwrite(str(tmp_path / f"frames/{i:03}.png"), picture)
    crop = {"resize": "short_side", "short_side": 64, "crop": "center"}
    inputs = tuple(i.model_copy(update=crop) for i in demo_bundle.manifest.inputs)
    bundle = with_contract(demo_bundle, inputs=inputs)
    takes = TensorInfo("clip", (None, 8, 64, 64, 3), "uint8")
    gives = TensorInfo("scores", (None, 8), "float32")

    def brightness(feeds):
        level = feeds["clip"].mean(axis=(1, 2, 3, 4)) / 255
        return np.stack([level, *[np.zeros_like(level)] * 7], axis=1).astype(np.float32)

    path = write_csv("frames,left,,")
    for crops, levels in ((1, [120]), (3, [30, 120, 240])):
        engine = ScriptedEngine([takes], [gives], brightness)
        found = evaluate(bundle, path, views=Views(crops=crops), engine=engine)
        assert found.clips.answers[0].views == crops
        assert found.clips.answers[0].score == pytest.approx(np.mean(levels) / 255, abs=1e-4)


def test_videos_that_cannot_be_read_are_listed_and_the_others_evaluated(
    demo_bundle, write_csv, tmp_path
):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    rows = [
        "absent.mp4,left,,",
        f"{synthetic('up')},up,,",
        "broken.mp4,left,,",
        "empty.mp4,left,,",
        f"{synthetic('up', seconds=3)},up,5,6",
    ]
    found = evaluate(demo_bundle, write_csv(*rows), task="clips")
    assert found.clips.clips == 1
    assert found.clips.top1 == 1.0
    assert not found.complete
    reasons = [p.reason for p in found.problems]
    assert len(reasons) == 4
    for reason, words in zip(
        reasons, ("no such file", "cannot be read", "is empty", "has no frame from 5 s to 6 s"),
        strict=True,
    ):  # fmt: skip
        assert words in reason


def test_nothing_that_can_be_evaluated_is_an_error(demo_bundle, write_csv):
    with pytest.raises(SourceError, match=r"none of the 2 videos .*no such file.*--root"):
        evaluate(demo_bundle, write_csv("a.mp4,left,,", "b.mp4,up,,"))


def test_scores_that_are_nan_are_left_out_and_counted(demo_bundle, write_csv):
    engine = scripted([one_hot(0), [math.nan] * 8, one_hot(0)])
    path = write_csv(f"{synthetic('left')},left,,")
    found = evaluate(demo_bundle, path, views=Views(clips=3), engine=engine)
    assert (found.clips.answers[0].views, found.clips.answers[0].dropped) == (2, 1)
    assert found.clips.answers[0].score == pytest.approx(0.93)
    assert found.notes == ("scores that were NaN or infinite, left out: 1",)
    with pytest.raises(SourceError, match="NaN or infinite"):
        evaluate(demo_bundle, path, engine=scripted([[math.nan] * 8]))


def test_a_multi_label_model_gets_its_mean_average_precision(demo_bundle, write_csv):
    outputs = tuple(o.model_copy(update={"kind": "sigmoid"}) for o in demo_bundle.manifest.outputs)
    bundle = with_contract(demo_bundle, outputs=outputs)
    # Label "left" ranks its clips 1st and 3rd: (1 + 2/3) / 2; "right" its only one 2nd: 1/2.
    rows = [[0.9, 0.8], [0.8, 0.1], [0.7, 0.6]]
    engine = scripted([[*r, *[0.0] * 6] for r in rows])
    truth = {"up": "left", "down": "up", "grow": "left;right"}
    clips = [f"{synthetic(motion)},{labels},," for motion, labels in truth.items()]
    found = evaluate(bundle, write_csv(*clips), engine=engine)
    left, right, up = found.clips.classes[:3]
    assert left.average_precision == pytest.approx(5 / 6)
    assert right.average_precision == pytest.approx(1 / 2)
    assert (up.average_precision, up.f1, up.precision) == (pytest.approx(1 / 3), 0.0, None)
    assert found.clips.mean_ap == pytest.approx((5 / 6 + 1 / 2 + 1 / 3) / 3)
    assert (left.precision, left.recall) == (pytest.approx(2 / 3), 1.0)
    assert found.clips.answers[2].predicted == ("left", "right")
    assert found.clips.top1 is None
    with pytest.raises(SpecError, match="multi-label"):
        evaluate(bundle, demo.TRUTH, video=str(demo.CLIP))


def test_labels_over_time_of_the_demo_clip(demo_bundle):
    found = evaluate(demo_bundle, demo.TRUTH, video=str(demo.CLIP), smooth="mean:4")
    truth = json.loads(demo.TRUTH.read_text())["segments"]
    raw, smoothed = found.segments.raw, found.segments.smoothed
    assert raw.segments == len(truth) == 8
    assert (raw.frames, raw.true_switches) == (600, 7)
    assert raw.frame_accuracy > 0.75
    assert raw.missed == smoothed.missed == 0
    assert smoothed.switches <= raw.switches
    assert smoothed.onset_delay_s > raw.onset_delay_s > 0.2
    (video,) = found.segments.videos
    assert [s.label for s in video.truth] == [s["label"] for s in truth]
    assert video.raw[0].start_s == 0.0
    assert video.raw[-1].end_s == pytest.approx(24.0)


def test_the_smoother_of_the_bundle_is_judged_unless_another_is_named(demo_bundle):
    tuned = with_contract(demo_bundle, decision=Decision(smooth="mean:4"))
    own, named, none = (
        evaluate(tuned, demo.TRUTH, smooth=smooth) for smooth in (None, "mean:4", "none")
    )
    assert own.protocol.smooth == "mean:4"
    assert own.segments == named.segments
    assert none.segments.smoothed is None


def test_figures_over_time_of_a_scripted_model(demo_bundle, write_csv):
    """Windows of 0.7 s every 0.2 s: the answers at 0.7, 0.9, ... s are scripted."""
    video = synthetic("left", "up", seconds=1.5)
    path = write_csv(f"{video},left,0,1.5", f"{video},up,1.5,3")
    # 12 windows end at 0.7 to 2.9 s; "up" is shown from 1.9 s on.
    engine = scripted([one_hot(0)] * 6 + [one_hot(2)] * 6)
    found = evaluate(demo_bundle, path, engine=engine).segments.raw
    assert found.onset_delay_s == pytest.approx((0.7 + 0.4) / 2, abs=0.02)
    assert found.frame_accuracy == pytest.approx(1 - 0.4 / 3, abs=0.012)
    assert (found.switches, found.true_switches) == (1, 1)
    assert found.edit_score == 1.0
    assert found.f1 == {0.1: 1.0, 0.25: 1.0, 0.5: 1.0}
    assert found.mean_ap[0.7] == 1.0


def test_windows_with_nan_scores_are_left_out_and_counted(demo_bundle, write_csv):
    video = synthetic("left", "up", seconds=1.5)
    path = write_csv(f"{video},left,0,1.5", f"{video},up,1.5,3")
    nan = [math.nan] * 8
    engine = scripted([one_hot(0)] * 5 + [nan] + [one_hot(2)] * 6)
    found = evaluate(demo_bundle, path, engine=engine)
    assert found.segments.videos[0].dropped == 1
    assert found.segments.videos[0].windows == 11
    assert "windows whose scores were NaN or infinite: 1" in found.notes
    with pytest.raises(SourceError, match=r"no window of .* has finite scores"):
        evaluate(demo_bundle, path, engine=scripted([nan]))


def test_the_background_is_a_class_where_the_model_has_it(demo_bundle, write_csv):
    labels = ("left", "background", *demo_bundle.labels[2:])
    bundle = Bundle(demo_bundle.path, demo_bundle.manifest, labels)
    video = synthetic("left", "right", seconds=1.5)
    path = write_csv(f"{video},left,0,1.5", f"{video},background,1.5,3")
    engine = scripted([one_hot(0)] * 6 + [one_hot(1)] * 6)
    found = evaluate(bundle, path, engine=engine)
    assert found.protocol.background == "background"
    assert found.segments.raw.segments == 1
    assert found.segments.raw.frame_accuracy == pytest.approx(1 - 0.4 / 3, abs=0.012)
    assert found.segments.videos[0].raw[-1].label == "background"


def test_segments_that_begin_after_the_end_are_told(demo_bundle, write_csv):
    video = synthetic("left", seconds=2)
    path = write_csv(f"{video},left,0,2", f"{video},up,7,9")
    found = evaluate(demo_bundle, path)
    assert found.segments.raw.segments == 1
    assert "segments that begin after the end of their video: 1" in found.notes


def test_a_broken_stream_among_others_is_listed(demo_bundle, write_csv):
    good = synthetic("left", "up")
    rows = ["a.mp4,left,0,1", "a.mp4,up,1,2", f"{good},left,0,2", f"{good},up,2,4"]
    found = evaluate(demo_bundle, write_csv(*rows))
    assert found.segments.raw.videos == 1
    assert [("a.mp4" in p.video, "no such file" in p.reason) for p in found.problems] == [
        (True, True)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth": "mean:4"}, "belong to segments"),
        ({"options": SamplingOptions(hop_s=0.5)}, "belong to segments"),
        ({"views": Views(crops=3)}, "--crops 3 does not apply"),
        ({"batch": 0}, "--batch 0 must be at least 1"),
        ({"task": "segments", "views": Views(clips=2)}, "belong to clips"),
        ({"task": "segments", "options": SamplingOptions(window_s=2.0)}, "--window does not"),
        ({"task": "segments", "smooth": "mode:3"}, "unknown smoothing"),
    ],
)
def test_options_that_do_not_belong_to_the_task(demo_bundle, write_csv, options, message):
    with pytest.raises(SpecError, match=message):
        evaluate(demo_bundle, write_csv(f"{synthetic('up')},up,,"), **options)


def test_several_labels_need_a_multi_label_model(demo_bundle, write_csv):
    with pytest.raises(SpecError, match="row 2 has 2 labels, but the model gives each clip one"):
        evaluate(demo_bundle, write_csv(f"{synthetic('up')},up;left,,"))


def test_the_result_says_what_it_was_made_with(demo_bundle, write_csv):
    path = write_csv(f"{synthetic('up')},up,,")
    found = evaluate(demo_bundle.path, path)
    artifact = demo_bundle.manifest.artifact("model")
    assert found.bundle.graphs == {"model.onnx": artifact.sha256}
    assert found.bundle.name == "demo.edgevid"
    assert found.environment["edgevid"] == edgevid.__version__
    assert "onnxruntime" in found.engine
    again = edgevid.Evaluation.model_validate_json(found.model_dump_json())
    assert again == found


def test_an_open_engine_stays_open(demo_bundle, write_csv):
    engine = open_engine(demo_bundle)
    path = write_csv(f"{synthetic('up')},up,,")
    video = synthetic("left", "up")
    one = evaluate(demo_bundle, path, engine=engine)
    over_time = evaluate(
        demo_bundle, write_csv(f"{video},left,0,2", f"{video},up,2,4"), engine=engine
    )
    assert one.clips.top1 == 1.0
    assert over_time.segments.raw.missed == 0
    engine.close()


def test_the_published_schema_is_up_to_date():
    path = Path(__file__).parents[2] / "docs" / "eval.schema.json"
    assert json.loads(path.read_text()) == evaluation_schema(), (
        "docs/eval.schema.json is out of date; write json.dumps(evaluation_schema(), indent=2)"
    )
