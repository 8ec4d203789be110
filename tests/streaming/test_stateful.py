"""`convert --stateful`: what it makes of a model, and what it refuses."""

import warnings

import onnx
import pytest
from causal_nets import Ahead, CausalX3d, Head, Tcn
from clip_nets import SIZE, Clip, Recurrent, nn, torch

from edgevid.convert import convert
from edgevid.convert.streaming import stateful as made_stateful
from edgevid.errors import SpecError
from edgevid.manifest import Bundle

SPEC = {"preset": "unit", "clip": {"num_frames": 8, "fps": 10.0, "hop_s": 0.1}}


@pytest.fixture
def exported(tmp_path):
    def export(net, layout="NTCHW"):
        torch.manual_seed(1)
        lengths = {"N": 1, "T": 8, "C": 3, "H": SIZE, "W": SIZE}
        path = tmp_path / "net.onnx"
        example = torch.rand([lengths[axis] for axis in layout])
        names = {"input_names": ["clip"], "output_names": ["logits"]}
        axes = {"clip": {0: "batch"}, "logits": {0: "batch"}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net.eval(), (example,), str(path), dynamo=False, dynamic_axes=axes, **names
            )
        return path

    return export


def stateful(path, **options):
    out = path.with_suffix(".edgevid")
    return convert(path, out, spec=SPEC, stateful=True, target="onnx", **options)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    ("make", "layout", "carried"),
    [
        (lambda: Clip(Recurrent(nn.GRU)), "NTCHW", {"GRU": 1}),
        (CausalX3d, "NCTHW", {"temporal convolution": 4, "mean over the window": 1}),
    ],
    ids=["GRU", "causal"],
)
def test_a_bundle_takes_frame_by_frame(exported, make, layout, carried, precision):
    result = stateful(exported(make(), layout), precision=precision)
    manifest = Bundle.load(result.bundle).manifest
    assert (manifest.clip.num_frames, manifest.clip.fps, manifest.clip.hop_s) == (1, 10.0, None)
    assert manifest.inputs[0].layout == "NCHW"
    assert manifest.stepped.carried_by == carried
    assert manifest.stepped.max_diff <= 1e-5
    assert all(s.batch_axis is not None for s in manifest.states)
    assert manifest.precision == precision
    graph = onnx.load(result.bundle / "model.onnx")
    convs = {
        len(w.dims)
        for n in graph.graph.node
        if n.op_type == "Conv"
        for w in graph.graph.initializer
        if w.name == n.input[1]
    }
    assert convs == {4}, "every convolution is of a picture"


@pytest.mark.parametrize(
    ("make", "layout", "reason"),
    [
        (lambda: Clip(Head(lambda y: y[:, -1], bidirectional=True)), "NTCHW", "is bidirectional"),
        (lambda: Clip(Head(lambda y: y.mean(1))), "NTCHW", "mean over the outputs"),
        (Ahead, "NCTHW", "looks 1 frame ahead"),
    ],
    ids=["bidirectional", "mean", "ahead"],
)
def test_what_needs_more_than_the_past_is_one_line(exported, make, layout, reason):
    path = exported(make(), layout)
    with pytest.raises(SpecError, match=rf"^--stateful does not apply: .*{reason}") as caught:
        stateful(path)
    assert "\n" not in str(caught.value)
    assert not path.with_suffix(".edgevid").exists()


def test_a_model_of_single_frames_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.rand(1, 3, 24, 24),), str(path), dynamo=False)
    with pytest.raises(SpecError, match="--stateful does not apply: it takes single frames"):
        convert(path, tmp_path / "b.edgevid", stateful=True, target="onnx")


@pytest.fixture
def ten_times(monkeypatch):
    """A step that takes a tenth of a window's time, however busy the machine is."""
    monkeypatch.setattr(made_stateful, "_times", lambda *_: (0.001, 0.0105))


def automatic(path, **clip):
    spec = {**SPEC, "clip": {**SPEC["clip"], **clip}}
    result = convert(path, path.with_suffix(".edgevid"), spec=spec, target="onnx")
    return Bundle.load(result.bundle).manifest, "\n".join(result.report.notes)


@pytest.mark.usefixtures("ten_times")
@pytest.mark.parametrize("hop_s", [0.1, 1.0])
def test_causal_convolutions_go_frame_by_frame_unasked(exported, hop_s):
    manifest, notes = automatic(exported(CausalX3d(), "NCTHW"), hop_s=hop_s)
    assert manifest.stepped.later_top1_agreement >= 0.95
    assert manifest.clip.num_frames == 1
    assert "cheaper than windows up to 10 frames apart" in notes
    assert "Keep the windows with --streaming off" in notes


@pytest.mark.usefixtures("ten_times")
def test_windows_far_apart_stay(exported):
    manifest, notes = automatic(exported(CausalX3d(), "NCTHW"), hop_s=1.1)
    assert manifest.stepped is None
    assert manifest.clip.num_frames == 8
    assert "windows are 11 frames apart, and a step of 1 ms is cheaper than a window of" in notes
    assert "up to 10." in notes


def test_convolutions_that_look_ahead_keep_their_windows(exported):
    manifest, notes = automatic(exported(Ahead(), "NCTHW"))
    assert manifest.stepped is None
    assert "Not frame by frame: Conv" in notes
    assert "looks 1 frame ahead: its padding over time is not causal" in notes


def test_where_frames_meet_in_the_head_alone_a_split_goes_first(exported):
    manifest, _ = automatic(exported(Clip(Tcn())))
    assert manifest.stepped is None
    assert manifest.features is not None
