"""The demo bundle, and manifests of synthetic videos whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgevid import demo
from edgevid.convert import convert
from edgevid.manifest import Bundle


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "demo.edgevid"
    convert(demo.MODEL, out, spec=demo.SPEC, precision="fp32", target="onnx")
    return Bundle.load(out)


@pytest.fixture
def write_csv(tmp_path) -> Callable[..., Path]:
    """Write rows below a header; the file's folder is the test's own."""

    def write(*rows: str, header: str = "path,label,start_s,end_s") -> Path:
        path = tmp_path / "test.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write
