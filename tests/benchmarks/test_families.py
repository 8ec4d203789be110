"""The reference models do what their papers say, and the script of the table runs."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks import families as table
from edgevid.benchmarks.reference import networks, volumes
from edgevid.benchmarks.reference.augmentation import augment
from edgevid.benchmarks.reference.data import SIZE
from edgevid.benchmarks.reference.families import FAMILIES
from edgevid.benchmarks.reference.original import decode, flow_bytes, sample
from edgevid.sources.moving_shapes import MOTIONS, Scene
from edgevid.spec import ClipSpec

torch = pytest.importorskip("torch", reason="pip install 'edgevid[torch]'")


@pytest.fixture(autouse=True)
def one_thread():
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def frames(count, batch=2):
    return torch.randn(batch, count, 3, SIZE, SIZE)


def answers(module, *inputs):
    with torch.no_grad():
        return module.eval()(*inputs)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_takes_what_its_contract_says_and_answers_for_each_class(name):
    family = FAMILIES[name]
    inputs = [torch.zeros(2, *s.model_shape(family.num_frames)) for s in family.input_specs]
    assert answers(family.make(), *inputs).shape == (2, 8)


def test_the_online_shift_gives_the_clip_s_answer_frame_by_frame():
    whole, clip = networks.Shift(8), frames(6)
    step = networks.ShiftStep(whole)
    buffers = [torch.zeros(2, *shape[1:]) for shape in FAMILIES["tsm"].states.values()]
    given = []
    for t in range(6):
        logits, *buffers = answers(step, clip[:, t], *buffers)
        given.append(logits)
    expected = answers(whole, clip)
    assert torch.allclose(torch.stack(given[whole.WARM :]).mean(0), expected, atol=1e-5)


def test_the_recurrent_step_ends_where_the_window_does():
    whole, clip = networks.Recurrent(SIZE, 8), frames(5)
    step, h, c = networks.RecurrentStep(whole), torch.zeros(1, 2, 128), torch.zeros(1, 2, 128)
    for t in range(5):
        logits, h, c = answers(step, clip[:, t], h, c)
    assert torch.allclose(logits, answers(whole, clip), atol=1e-5)


def test_the_causal_network_does_not_see_the_future():
    net = volumes.CausalX3d(8).eval()
    clip = frames(8).transpose(1, 2)
    later = clip.clone()
    later[:, :, 5:] += 1
    with torch.no_grad():
        before, after = (net.blocks(net.stem(x)) for x in (clip, later))
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.equal(before[:, :, 5:], after[:, :, 5:])


def test_slowfast_s_lateral_connections_carry_the_fast_pathway_over():
    net = volumes.SlowFast(8)
    slow, fast = (torch.randn(1, 3, t, SIZE, SIZE) for t in (4, 16))
    with torch.no_grad():
        net.classes.weight[:, -volumes.SlowFast.FAST[-1] :] = 0  # the fast pathway's own answer
    assert not torch.equal(answers(net, slow, fast), answers(net, slow, fast + 1))


@pytest.mark.parametrize("left_out", [0.0, 1.0])
def test_the_attention_network_learns_with_the_places_or_from_class_tokens_alone(left_out):
    net = networks.DividedAttention(SIZE, 8, 8).train()
    net.LEFT_OUT = left_out
    for block in net.blocks:
        torch.nn.init.normal_(block.space.out.weight)
    net(frames(8)).sum().backward()
    assert net.whole.weight.grad.abs().max() > 0
    used = net.part.weight.grad is not None and bool(net.part.weight.grad.abs().max() > 0)
    assert used == (left_out == 0)


def test_the_reader_of_originals_takes_the_nearest_frames(demo_clip):
    clip = ClipSpec(num_frames=4, frame_interval=4, fps=30.0)
    windows = sample(demo_clip, clip, 2)
    video = decode(demo_clip, 1.0)
    # 25 frames a second: instants 0, 0.133, 0.267, ... are nearest to frames 0, 3, 7, 10, 13.
    for window, numbers in zip(windows, ([0, 3, 7, 10], [3, 7, 10, 13]), strict=True):
        for frame, number in zip(window, numbers, strict=True):
            assert np.array_equal(frame, video.frames[number])


@pytest.fixture
def demo_clip():
    from importlib import resources

    return resources.files("edgevid.demo") / "demo.mp4"


@pytest.mark.timeout(300)
def test_the_table_s_script_runs_through_every_stage(tmp_path, capsys):
    names = ("early-fusion", "lrcn-stateful")
    only = [word for name in names for word in ("--only", name)]
    assert table.main(["--cache", str(tmp_path), "--short", *only]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    columns = [cell.strip() for cell in header.split("|")]
    assert len(rows) == len(names)
    for line, name in zip(rows, names, strict=True):
        row = dict(zip(columns, (cell.strip() for cell in line.split("|")), strict=True))
        assert row["model"] == name
        assert float(row["parity"].split()[0]) <= 1e-3
        assert float(row["windows/s"]) > 0
        assert float(row["bench ms"]) > 0
        assert int(row["live"]) > 0
        assert all(row[precision].endswith("%") for precision in ("FP32", "FP16"))
        assert row["remark"] == ""


def test_augmented_flow_is_the_flow_of_augmented_pictures_and_points_where_the_class_says():
    scene = Scene("left", 5, (SIZE, SIZE), unsteady=False)
    clip = np.stack([scene.frame(i * 0.133) for i in range(3)])
    tracks = {"full": clip, "flow": flow_bytes(clip)}
    batch = {name: torch.from_numpy(np.stack([track] * 16)) for name, track in tracks.items()}
    dice = torch.Generator().manual_seed(1)
    changed, classes = augment(batch, torch.full((16,), MOTIONS.index("left")), dice)
    assert {MOTIONS[k] for k in classes} == {"left", "right", "up", "down"}
    for pictures, flow, k in zip(changed["full"], changed["flow"], classes, strict=True):
        expected = flow_bytes(pictures.numpy().astype(np.uint8)).astype(int)
        assert np.abs(flow.numpy() - expected).mean() < 1  # of 255
        x, y = (flow.numpy() - 127.5).mean(axis=(0, 1, 2))
        axis, sign = {"left": (x, -1), "right": (x, 1), "up": (y, -1), "down": (y, 1)}[MOTIONS[k]]
        assert axis * sign > 0
        assert abs(axis) == max(abs(x), abs(y))


def test_a_clip_played_backwards_is_of_the_reversed_class():
    clip = np.stack([np.full((4, 4, 3), 40 * t, np.uint8) for t in range(5)])
    batch = torch.from_numpy(np.stack([clip] * 16))
    labels = torch.full((16,), MOTIONS.index("grow"))
    changed, classes = augment({"full": batch}, labels, torch.Generator().manual_seed(2))
    for pictures, k in zip(changed["full"], classes, strict=True):
        forth = bool(pictures[-1].mean() > pictures[0].mean())
        assert MOTIONS[k] == ("grow" if forth else "shrink")
    assert len(set(classes.tolist())) == 2
