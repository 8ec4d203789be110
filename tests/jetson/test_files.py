"""The files of the Jetson kit: they are what the program would write, and work as written."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgevid.cli._config import read_config
from edgevid.cli._unit import Unit
from edgevid.cli.run import command

ROOT = Path(__file__).parents[2]
KIT = ROOT / "jetson"
DOCKERFILE = (KIT / "Dockerfile").read_text().replace("\\\n", "")

UNIT = Unit(
    "edgevid",
    ("/opt/edgevid/venv/bin/edgevid",),
    Path("/etc/edgevid/site.toml"),
    Path("/etc/edgevid/edgevid.env"),
    groups=("video", "render"),
)


def test_the_unit_is_what_service_install_writes_on_a_board():
    assert (KIT / "edgevid.service").read_text() == UNIT.text()
    assert (KIT / "edgevid.env").read_text() == UNIT.environment_text()


def test_systemd_accepts_the_unit_and_rates_it_as_little_exposed(tmp_path):
    unit = tmp_path / "edgevid.service"
    text = (KIT / "edgevid.service").read_text()
    unit.write_text(text.replace("ExecStart=:/opt/edgevid/venv/bin/edgevid", "ExecStart=/bin/true"))
    assert unit.read_text() != text
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=25"]):
        done = subprocess.run(
            ["systemd-analyze", *arguments, str(unit)],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""


@pytest.mark.parametrize("line", [
    "NoNewPrivileges=yes", "ProtectSystem=strict", "PrivateTmp=yes", "Restart=on-failure",
    "DynamicUser=yes", "SupplementaryGroups=video render", "Type=notify", "WatchdogSec=60",
    "BindPaths=-/tmp/argus_socket",
])  # fmt: skip
def test_the_unit_says(line):
    assert f"\n{line}\n" in (KIT / "edgevid.service").read_text()


@pytest.mark.parametrize("line", ["PrivateDevices", "ProtectClock", "MemoryDenyWriteExecute"])
def test_the_unit_leaves_out_what_would_hide_cameras_or_the_gpu(line):
    assert f"\n{line}=" not in (KIT / "edgevid.service").read_text()


def test_the_configuration_is_one():
    config = read_config(KIT / "site.toml", command)
    assert config.sources
    assert "model" in config.values


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_the_image_is_nvidias_with_a_tag_and_its_user_is_not_root():
    bases = [line.split()[0] for line in instructions("FROM")]
    outside = [base for base in bases if "/" in base]
    assert len(outside) == 2
    assert all(re.fullmatch(r"nvcr\.io/nvidia/[\w-]+:[\w.-]+", base) for base in outside)
    assert instructions("USER") == ["10001"]
    assert "--groups video" in DOCKERFILE


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1), (None, 1)])
def test_the_health_check_follows_the_endpoint(status, code):
    (check,) = re.findall(r"CMD (\[\"python\".*\])", DOCKERFILE)
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    if status is None:
        server.server_close()
    else:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    words = [word.replace(":9100", f":{server.server_port}") for word in json.loads(check)]
    assert words != json.loads(check)
    done = subprocess.run(
        [sys.executable, *words[1:]], capture_output=True, check=False, timeout=30
    )
    if status is not None:
        server.shutdown()
        server.server_close()
        assert asked == ["/health"]
    assert done.returncode == code
    ports = re.findall(r"--metrics\", \":(\d+)\"", DOCKERFILE)
    assert ports == ["9100"]


@pytest.mark.timeout(120)
def test_what_docker_sees_of_the_folder_is_enough_to_build(tmp_path):
    kept = [
        line[1:]
        for line in (KIT / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for name in kept:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tmp_path / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(source, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
         "--quiet", "--wheel-dir", str(tmp_path / "out"), str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("out/edgevid-*.whl"))) == 1
