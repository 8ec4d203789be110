"""What the checks make of a machine: state, value, and the mend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgevid.device import Check, Report, diagnose
from edgevid.engines import ENGINES

NANO = "orin-nano-jetpack-6.2"
AGX = "agx-orin-jetpack-6.1"
THOR = "thor-jetpack-7.0"
PC = "pc-without-gpu"
ROOTS = Path(__file__).parents[1] / "data" / "roots"

ORIN_PACKAGES = {"tensorrt": "10.3.0", "cuda-python": "12.6.2", "onnx": "1.17.0"}
THOR_PACKAGES = {"tensorrt": "10.13.2.6", "cuda-python": "13.0.1"}


def check(report: Report, name: str) -> Check:
    [found] = [c for c in report.checks if c.name == name]
    return found


def test_a_complete_orin_nano_runs_tensorrt(machine):
    report = diagnose(machine(NANO, ORIN_PACKAGES, gstreamer=True))
    assert report.usable_engines == ("onnxruntime", "tensorrt")
    assert report.blocking == ()
    assert check(report, "board").value.startswith("NVIDIA Jetson Orin Nano")
    assert check(report, "JetPack") == Check("JetPack", "ok", "JetPack 6.2 (L4T 36.4.3)")
    assert check(report, "GPU").value == "Orin (nvgpu) (sm_87, driver 540.4.0)"
    assert check(report, "CUDA") == Check("CUDA", "ok", "12.6.2")
    assert check(report, "tensorrt").value == "10.3.0 (library 10.3.0) on sm_87"
    assert check(report, "GStreamer").state == "ok"
    assert check(report, "cores").value == "6 usable"
    assert check(report, "memory").value == "7.4 GiB, 3.3 GiB available"
    # The CPU's top clock is capped below what the hardware has, by the power mode.
    assert check(report, "CPU clocks").value == "schedutil, 729 to 1344 MHz of 1728"
    assert check(report, "CPU clocks").mend.endswith("sudo jetson_clocks")
    power = check(report, "power mode")
    assert (power.state, power.value) == ("info", "25W (mode 1)")
    assert power.mend == "For full speed (MAXN_SUPER): sudo nvpmodel -m 2"
    assert not [c for c in report.checks if c.state == "warning"]


def test_a_freshly_flashed_agx_orin_is_told_what_to_install(machine):
    report = diagnose(machine(AGX))
    assert report.usable_engines == ("onnxruntime",)
    jetpack = check(report, "JetPack")
    assert jetpack.value == "JetPack 6.1 (L4T 36.4.0), package nvidia-jetpack not installed"
    for name in ("CUDA", "tensorrt"):
        assert check(report, name).state == "missing"
        assert check(report, name).mend == "sudo apt install nvidia-jetpack"
    assert "'cuda-python<13'" in check(report, "CUDA bindings").mend
    assert check(report, "power mode").value == "MODE_30W (mode 2, the default)"
    assert check(report, "cameras").state == "info"


def test_a_thor_with_everything_at_full_speed(machine):
    report = diagnose(machine(THOR, THOR_PACKAGES))
    assert report.usable_engines == ("onnxruntime", "tensorrt")
    assert check(report, "JetPack").value == "JetPack 7.0 (L4T 38.2.0)"
    assert check(report, "tensorrt").value == "10.13.2.6 (library 10.13.2) on sm_110"
    assert check(report, "power mode") == Check("power mode", "ok", "MAXN (mode 0)")
    assert check(report, "CPU clocks").state == "ok"
    assert check(report, "cores").value == "14 usable, limited to 4 by the control group"
    gstreamer = check(report, "GStreamer")
    assert gstreamer.state == "missing"
    assert "gstreamer1.0-tools" in gstreamer.mend


def test_a_pc_without_a_gpu_lacks_nothing(machine):
    report = diagnose(machine(PC))
    assert report.usable_engines == ("onnxruntime",)
    assert report.blocking == ()
    gaps = {c.name for c in report.checks if c.state in ("missing", "warning")}
    assert gaps == {"converter"}
    assert check(report, "cameras").value == "/dev/video0 Integrated Camera: Integrated C"
    assert check(report, "cores").value == "5 usable"


def test_plans_can_be_built_without_a_gpu(machine):
    rtx = check(diagnose(machine(PC, {"tensorrt-rtx": "1.7.1"})), "tensorrt-rtx")
    assert rtx.state == "info"
    assert rtx.value == "1.7.1: builds plans here, runs none (no NVIDIA GPU)"


def test_a_virtual_environment_that_hides_tensorrt(machine):
    hidden = check(diagnose(machine(NANO)), "tensorrt")
    assert hidden.value == "library 10.3.0, but no Python module here"
    assert "--system-site-packages" in hidden.mend
    system = check(diagnose(machine(NANO, in_venv=False)), "tensorrt")
    assert system.mend == "sudo apt install python3-libnvinfer"


def test_tensorrt_needs_cuda_bindings_to_be_usable(machine):
    report = diagnose(machine(NANO, {"tensorrt": "10.3.0"}))
    assert check(report, "tensorrt").state == "ok"
    assert report.usable_engines == ("onnxruntime",)
    assert diagnose(machine(NANO, {"tensorrt": "10.3.0", "pycuda": "2024.1.2"})).usable_engines == (
        "onnxruntime",
        "tensorrt",
    )


@pytest.mark.parametrize(
    ("packages", "state", "value"),
    [
        ({"tensorrt": "8.6.2"}, "warning", "8.6.2: edgevid needs 10.3 or newer"),
        ({"tensorrt": "11.0.1"}, "warning", "module 11.0.1 but library 10.3.0"),
        ({"tensorrt": "10.3.0"}, "ok", "10.3.0 (library 10.3.0) on sm_87"),
    ],
)
def test_tensorrt_versions_that_do_not_go_together(machine, packages, state, value):
    found = check(diagnose(machine(NANO, packages)), "tensorrt")
    assert (found.state, found.value) == (state, value)


def test_cuda_bindings_newer_than_the_jetsons_cuda(machine):
    bindings = check(diagnose(machine(NANO, {"cuda-python": "13.0.1"})), "CUDA bindings")
    assert bindings.state == "warning"
    assert bindings.value == "cuda-python 13.0.1 is too new for CUDA 12.6.2"
    assert bindings.mend == "pip install 'cuda-python<13'"
    absent = check(diagnose(machine(NANO)), "CUDA bindings")
    assert (absent.state, absent.mend) == ("missing", "For TensorRT: pip install 'cuda-python<13'")


def test_only_engines_that_exist_are_called_usable(machine):
    everything = machine(
        PC,
        {
            "tensorrt": "10.13.3",
            "tensorrt-rtx": "1.7.1",
            "cuda-python": "13.0.1",
            "openvino": "2025.2.0",
        },
        run=lambda _: "NVIDIA GeForce RTX 4070, 8.9, 575.57.08",
    )
    report = diagnose(everything)
    assert report.usable_engines == ("onnxruntime", "openvino", "tensorrt", "tensorrt-rtx")
    assert set(report.usable_engines) <= set(ENGINES)
    assert {c.name for c in report.sections["engines"]} == set(ENGINES) - {"auto"}


def test_the_converters_packages_are_one_check(machine):
    half = check(diagnose(machine(PC, {"onnx": "1.17.0"})), "converter")
    assert (half.state, half.value) == ("missing", "onnx 1.17.0; not installed: onnxslim")
    whole = check(diagnose(machine(PC, {"onnx": "1.17.0", "onnxslim": "0.1.98"})), "converter")
    assert whole == Check("converter", "ok", "onnx 1.17.0, onnxslim 0.1.98")


def test_a_gpu_too_old_for_tensorrt(machine):
    pascal = machine(PC, {"tensorrt": "10.13.3"}, run=lambda _: "Quadro P1000, 6.1, 535.1")
    found = check(diagnose(pascal), "tensorrt")
    assert (found.state, found.value) == ("warning", "10.13.3 does not support this GPU (sm_61)")


def test_the_csi_camera_needs_gstreamer(machine):
    with_csi = check(diagnose(machine(NANO)), "GStreamer")
    assert with_csi.value == (
        "not installed: no gst: sources, no hardware decoding, so not the CSI camera"
    )
    on_a_pc = check(diagnose(machine(PC)), "GStreamer")
    assert on_a_pc.state == "info"


def test_gstreamer_plugins_of_a_jetson(machine):
    lacking = check(diagnose(machine(THOR, gstreamer=True)), "GStreamer")
    assert lacking.state == "missing"
    assert "nvarguscamerasrc, nvvideo4linux2, nvvidconv not found" in lacking.value
    assert check(diagnose(machine(PC, gstreamer=True)), "GStreamer").state == "ok"


def test_a_camera_that_this_user_may_not_open(machine):
    cameras = check(diagnose(machine(NANO, may_open=lambda path: path.name != "video1")), "cameras")
    assert cameras.state == "warning"
    assert cameras.value.endswith("(no permission for /dev/video1)")
    assert "usermod -aG video" in cameras.mend


@pytest.mark.parametrize(
    ("release", "state"),
    [("R35 (release), REVISION: 6.0", "warning"), ("R36 (release), REVISION: 3.0", "warning")],
)
def test_jetpack_releases_before_tensorrt_10(machine, tmp_path, release, state):
    tree = shutil.copytree(ROOTS / AGX, tmp_path / "tree")
    (tree / "etc/nv_tegra_release").write_text(f"# {release}, GCID: 1, BOARD: generic\n")
    jetpack = check(diagnose(machine(tree)), "JetPack")
    assert jetpack.state == state
    assert "too old for TensorRT 10" in jetpack.value
    assert "Flash JetPack 6.1 or newer" in jetpack.mend


def test_a_new_l4t_release_is_shown_without_a_guess(machine, tmp_path):
    tree = shutil.copytree(ROOTS / AGX, tmp_path / "tree")
    (tree / "etc/nv_tegra_release").write_text("# R41 (release), REVISION: 1.0, GCID: 1\n")
    assert check(diagnose(machine(tree)), "JetPack").value.startswith("L4T 41.1.0, package")


@pytest.mark.parametrize(
    ("name", "module", "error", "state", "mend"),
    [
        (
            "OpenCV",
            "cv2",
            ModuleNotFoundError("No module named 'cv2'", name="cv2"),
            "missing",
            "pip install opencv-python",
        ),
        (
            "OpenCV",
            "cv2",
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
            "warning",
            "sudo apt install libgl1",
        ),
        (
            "OpenCV",
            "cv2",
            ImportError("libfoo.so.3: cannot open shared object file"),
            "warning",
            "Install the system library libfoo.so.3",
        ),
        (
            "OpenCV",
            "cv2",
            ImportError("numpy.core.multiarray failed to import"),
            "warning",
            "It was built for another NumPy: pip install 'numpy<2'",
        ),
        ("PyAV", "av", ModuleNotFoundError("x", name="av"), "missing", "pip install av"),
        ("PyAV", "av", RuntimeError(""), "warning", "pip install --force-reinstall av"),
        (
            "onnxruntime",
            "onnxruntime",
            ModuleNotFoundError("x", name="onnxruntime"),
            "missing",
            "pip install onnxruntime",
        ),
        (
            "onnxruntime",
            "onnxruntime",
            OSError("illegal instruction"),
            "warning",
            "pip install --force-reinstall onnxruntime",
        ),
    ],
)
def test_what_the_default_path_needs_blocks(machine, name, module, error, state, mend):
    report = diagnose(machine(PC, broken={module: error}))
    found = check(report, name)
    assert (found.state, found.mend) == (state, mend)
    assert report.blocking == (found,)
    assert report.to_json()["ok"] is False


def test_a_module_missing_inside_a_package_is_not_the_package_missing(machine):
    inner = ModuleNotFoundError("No module named 'coloredlogs'", name="coloredlogs")
    [found] = diagnose(machine(PC, broken={"onnxruntime": inner})).blocking
    assert found.state == "warning"
    assert "coloredlogs" in found.value


def test_a_python_that_is_too_old_blocks(machine):
    [found] = diagnose(machine(PC, python=(3, 8, 10))).blocking
    assert (found.name, found.mend) == ("Python", "Install Python 3.10 or newer")


def test_lacking_codecs_are_named(machine):
    decoders = check(diagnose(machine(PC, codecs=("h264", "mjpeg", "mpeg4"))), "decoders")
    assert decoders.state == "warning"
    assert decoders.value == "h264 mjpeg mpeg4; without hevc vp8 vp9 av1"


def test_an_architecture_without_wheels(machine):
    assert check(diagnose(machine(PC, arch="armv7l")), "system").state == "warning"


def _files(tree: Path) -> list[Path]:
    return [path for path in sorted(tree.rglob("*")) if path.is_file() and "dev" not in path.parts]


@pytest.mark.parametrize("tree", [NANO, AGX, THOR, PC])
@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\x00\xfe" * 40, b"{]: 12, -1\n" * 9], ids=["empty", "binary", "text"]
)
def test_no_content_brings_the_doctor_down(machine, tmp_path, tree, garbage):
    copy = shutil.copytree(ROOTS / tree, tmp_path / "tree")
    healthy = diagnose(machine(tree))
    for path in _files(copy):
        path.write_bytes(garbage)
    report = diagnose(machine(copy))
    assert [c.name for c in report.checks] == [c.name for c in healthy.checks]
    assert check(report, "cores").state == "warning"
    assert "Cpus_allowed_list" in check(report, "cores").value
    assert all("\n" not in c.value for c in report.checks)


def test_unreadable_files_are_named_with_the_reason(machine, tmp_path):
    copy = shutil.copytree(ROOTS / NANO, tmp_path / "tree")
    # A folder where a file should be cannot be read by any user, root included.
    for name in ("proc/meminfo", "etc/nvpmodel.conf"):
        (copy / name).unlink()
        (copy / name).mkdir()
    report = diagnose(machine(copy))
    memory, power = check(report, "memory"), check(report, "power mode")
    assert (memory.state, power.state) == ("warning", "warning")
    assert memory.value.startswith("cannot be read:")
    assert memory.value.endswith("proc/meminfo Is a directory")
    assert check(report, "JetPack").state == "ok"


def test_an_empty_file_system(machine, tmp_path):
    report = diagnose(machine(tmp_path))
    assert report.blocking == ()
    assert report.usable_engines == ("onnxruntime",)


def test_the_machine_of_this_test_is_fit_to_run():
    report = diagnose()
    assert report.blocking == ()
    assert "onnxruntime" in report.usable_engines


def test_json_lists_every_check_with_its_section(machine):
    report = diagnose(machine(NANO, ORIN_PACKAGES))
    data = json.loads(json.dumps(report.to_json()))
    assert set(data) == {"report_version", "edgevid_version", "ok", "engines", "checks"}
    assert data["engines"] == ["onnxruntime", "tensorrt"]
    assert len(data["checks"]) == len(report.checks)
    assert data["checks"][0] == {
        "section": "machine",
        "name": "system",
        "state": "ok",
        "value": "Ubuntu 22.04.5 LTS, kernel 5.15.148-tegra, aarch64",
        "mend": "",
        "required": False,
        "commands": [],
    }
