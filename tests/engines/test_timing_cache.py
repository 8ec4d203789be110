"""Kept timings: written whole, read only where they are ours, merged with others'.

The library's part is a stand-in: a cache is a set of lines, and the verification header that
TensorRT writes is its first one.
"""

from __future__ import annotations

import pytest

from edgevid.engines.build_options import BuildOptions
from edgevid.engines.tensorrt_build import build_plan
from edgevid.engines.timing_cache import TimingCache

KEY = "trt-10.3.0-sm87"


class FakeCache:
    def __init__(self, data: bytes):
        self.lines = set(data.split(b"\n")) - {b""}

    def combine(self, other, ignore_mismatch):
        assert ignore_mismatch is False
        self.lines |= other.lines
        return True

    def serialize(self):
        return memoryview(b"\n".join(sorted(self.lines)))


class FakeConfig:
    """A builder's configuration on the device `uuid`."""

    def __init__(self, uuid: bytes = b"GPU-1"):
        self.uuid = b"0 " + uuid
        self.cache: FakeCache | None = None

    def create_timing_cache(self, data):
        return FakeCache(data or self.uuid)

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        if self.uuid not in cache.lines:
            return False
        self.cache = cache
        return True

    def build(self, *measured: bytes) -> None:
        assert self.cache is not None
        self.cache.lines |= set(measured)


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgevid" / "timing"


def measure(*lines: bytes, uuid: bytes = b"GPU-1", key: str = KEY) -> tuple[TimingCache, str]:
    config = FakeConfig(uuid)
    timings = TimingCache(config, key)
    config.build(*lines)
    return timings, timings.save()


def kept(key: str = KEY) -> set[bytes]:
    config = FakeConfig()
    TimingCache(config, key)
    return config.cache.lines - {config.uuid}


def test_what_was_measured_is_there_at_the_next_build(cache_folder):
    timings, problem = measure(b"conv 1", b"conv 2")
    assert (timings.note, problem) == ("", "")
    assert timings.path == cache_folder / f"{KEY}.cache"
    assert kept() == {b"conv 1", b"conv 2"}
    measure(b"conv 3")
    assert kept() == {b"conv 1", b"conv 2", b"conv 3"}


def test_other_versions_and_devices_have_their_own():
    measure(b"conv 1")
    assert kept("trt-10.3.0-sm110") == set()
    assert kept("trt-10.7.0-sm87") == set()


def test_builds_at_the_same_time_do_not_lose_each_others():
    first, second = FakeConfig(), FakeConfig()
    a, b = TimingCache(first, KEY), TimingCache(second, KEY)
    first.build(b"conv a")
    second.build(b"conv b")
    assert (a.save(), b.save()) == ("", "")
    assert kept() == {b"conv a", b"conv b"}


@pytest.mark.parametrize("cut", [0, 1, 30, -1])
def test_a_damaged_file_is_left_out_and_replaced(cut):
    timings, _ = measure(b"conv 1")
    whole = timings.path.read_bytes()
    timings.path.write_bytes(whole[:cut])
    again, problem = measure(b"conv 2")
    assert "is damaged, or of another version or device" in again.note
    assert str(timings.path) in again.note
    assert problem == ""
    assert kept() == {b"conv 2"}


def test_one_changed_byte_is_seen():
    timings, _ = measure(b"conv 1")
    timings.path.write_bytes(timings.path.read_bytes().replace(b"conv 1", b"conv 7"))
    assert "damaged" in TimingCache(FakeConfig(), KEY).note
    assert kept() == set()


def test_a_file_renamed_to_another_key_is_foreign():
    timings, _ = measure(b"conv 1")
    other = timings.path.with_name("trt-10.7.0-sm87.cache")
    timings.path.rename(other)
    assert "of another version" in TimingCache(FakeConfig(), "trt-10.7.0-sm87").note


def test_another_device_of_the_same_kind_is_refused_by_the_library():
    """Same compute capability, other GPU: the library's own check, and a fresh start."""
    measure(b"conv 1", uuid=b"GPU-2")
    config = FakeConfig(b"GPU-1")
    timings = TimingCache(config, KEY)
    assert "is of another device" in timings.note
    assert config.cache.lines == {b"0 GPU-1"}


def test_a_folder_that_cannot_be_written_is_said(cache_folder):
    cache_folder.parent.mkdir(parents=True)
    cache_folder.write_text("a file where the folder should be")
    timings, problem = measure(b"conv 1")
    assert "cannot be read" in timings.note
    assert problem.startswith("The timings are not kept: cannot write")


def test_leftovers_of_a_killed_build_are_removed(cache_folder):
    cache_folder.mkdir(parents=True)
    (cache_folder / ".tmp-abcd1234").write_bytes(b"half a cache")
    measure(b"conv 1")
    assert sorted(p.name for p in cache_folder.iterdir()) == [".lock", f"{KEY}.cache"]


def test_tensorrt_rtx_keeps_none(make_graph, cache_folder):
    pytest.importorskip("tensorrt_rtx", reason="pip install 'edgevid[tensorrt-rtx]'")
    options = BuildOptions(timing_cache=True)
    build_plan(make_graph(), "tensorrt-rtx", "8.6", precision="fp32", options=options)
    assert not cache_folder.exists()
