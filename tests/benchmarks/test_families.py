"""The reference models do what their papers say, and the script of the table runs."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks import families as table
from edgevid.benchmarks.reference import networks, volumes
from edgevid.benchmarks.reference.data import SIZE
from edgevid.benchmarks.reference.families import FAMILIES
from edgevid.benchmarks.reference.original import decode, sample
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
        assert int(row["live"]) > 0
        assert all(row[precision].endswith("%") for precision in ("FP32", "FP16"))
        assert row["remark"] == ""
