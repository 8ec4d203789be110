"""Real trained models evaluated on real labelled clips, against what their authors' code says."""

import csv
import json

import numpy as np
import pytest

import edgevid
from edgevid import Views, evaluate
from edgevid.convert import convert
from edgevid.errors import SpecError
from edgevid.pipeline import SamplingOptions


def labelled(data, names):
    """`path,label` of those clips whose file name is in `names`, as the shared list says."""
    with (data / "reference/clip_labels.shared.csv").open() as file:
        rows = {row["path"].rsplit("/", 1)[1]: row["label"] for row in csv.DictReader(file)}
    rows["golfdb_test_video.mp4"] = "GolfSwing"
    return {name: rows[name] for name in names}


def write_manifest(path, rows):
    path.write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in rows.items()))
    return path


def references(data, model, key):
    answers = json.loads((data / "models" / model / "reference.json").read_text())
    return {name: scores[key] for name, scores in answers.items()}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_lrcn_single_clip_accuracy_is_that_of_its_reference(bundles, data, tmp_path, precision):
    answers = references(data, "lrcn-ucf50", "lrcn_model2")
    truth = labelled(data, answers)
    path = write_manifest(tmp_path / "test.csv", truth)
    found = evaluate(bundles("lrcn-ucf50", precision), path, root=data / "clips")
    labels = [c.label for c in found.clips.classes]
    right = [labels[int(np.argmax(answers[name]))] == label for name, label in truth.items()]
    assert found.clips.clips == len(right) == 4
    assert found.clips.top1 == np.mean(right) == 1.0
    for answer, scores in zip(found.clips.answers, answers.values(), strict=True):
        assert answer.score == pytest.approx(max(scores), abs=0.02)


def test_conv3d_single_clip_accuracy_is_that_of_its_reference(bundles, data, tmp_path):
    answers = references(data, "conv3d-ucf101", "leakyrelu")
    truth = labelled(data, answers)
    path = write_manifest(tmp_path / "test.csv", truth)
    found = evaluate(bundles("conv3d-ucf101", "fp32"), path, root=data / "clips")
    right = [answers[name][0][0] == label for name, label in truth.items()]
    in_top5 = [label in [name for name, _ in answers[clip]] for clip, label in truth.items()]
    assert found.clips.clips == len(right) == 7
    assert found.clips.top1 == np.mean(right)
    assert found.clips.top5 == np.mean(in_top5)
    for answer, ranked in zip(found.clips.answers, answers.values(), strict=True):
        assert (answer.predicted[0], answer.score) == (
            ranked[0][0],
            pytest.approx(ranked[0][1], abs=0.01),
        )


def test_a_file_that_holds_fewer_frames_than_it_claims(bundles, data, tmp_path):
    """Claims 50 frames, holds 28: sampled over what decodes, as the pipeline does."""
    (bad,) = [p for p in (data / "bad").iterdir() if p.suffix in (".mp4", ".avi", ".mov")]
    bundle = edgevid.load(bundles("lrcn-ucf50", "fp32"))
    path = write_manifest(tmp_path / "test.csv", {bad.name: "Biking"})
    found = evaluate(bundle, path, root=bad.parent)
    (prediction,) = list(edgevid.stream(bundle, bad))
    assert found.clips.answers[0].predicted == (prediction.label,)
    assert found.clips.answers[0].score == pytest.approx(prediction.score, abs=1e-6)
    assert found.notes == ("clips of videos whose frames do not all decode: 1",)


def test_three_crops_and_ten_clips_of_a_real_video(bundles, data, tmp_path):
    path = write_manifest(tmp_path / "test.csv", {"v_Biking_g06_c03.avi": "Biking"})
    found = evaluate(
        bundles("lrcn-ucf50", "fp32"), path, root=data / "clips", views=Views(clips=10)
    )
    # 201 frames, a step of 10: ten different shifts.
    assert found.clips.answers[0].views == 10
    assert found.clips.top1 == 1.0


def test_frame_accuracy_over_five_actions_in_a_row(bundles, data):
    """Windows of 20 frames, every second one of 25 a second, a new one with every sample."""
    found = evaluate(
        bundles("lrcn-ucf50", "fp32"),
        data / "reference/stream_ucf5_concat.segments.json",
        root=data / "clips",
        options=SamplingOptions(window_s=1.6, hop_s=0.08),
    )
    raw = found.segments.raw
    assert (raw.frames, raw.segments, raw.true_switches) == (1054, 5, 4)
    assert raw.frame_accuracy >= 0.89
    assert raw.missed == 0
    assert 0.5 < raw.onset_delay_s < 1.5
    assert raw.edit_score == pytest.approx(1 - 1 / 6)


def test_a_model_with_states_is_judged_by_its_last_answer(data, tmp_path):
    folder = data / "models/movinet-a0-stream"
    spec = {
        "labels": str(folder / "labels.txt"),
        "states": str(folder / "states.json"),
        "preset": "unit",
        "clip": {"fps": 10.0},
    }
    out = tmp_path / "movinet.edgevid"
    bundle = edgevid.load(convert(folder / "model.onnx", out, spec=spec, target="onnx").bundle)
    video = data / "clips/v_Biking_g06_c03.avi"
    path = tmp_path / "test.csv"
    rows = [f"{video.name},{bundle.labels[0]},,", f"{video.name},{bundle.labels[1]},,2.05"]
    path.write_text("\n".join(["path,label,start_s,end_s", *rows]))
    found = evaluate(bundle, path, task="clips", root=video.parent)
    predictions = list(edgevid.stream(bundle, video))
    whole, part = found.clips.answers
    assert whole.score == pytest.approx(predictions[-1].score, abs=1e-6)
    (last,) = [p for p in predictions if abs(p.end_s - 2.0) < 0.02]
    assert part.score == pytest.approx(last.score, abs=1e-6)
    with pytest.raises(SpecError, match="a model with states sees a clip frame by frame"):
        evaluate(bundle, path, task="clips", root=video.parent, views=Views(clips=2))
