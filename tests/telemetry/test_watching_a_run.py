"""Metrics and health of real streams, scraped over HTTP; the log of facts."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from datetime import datetime, timezone

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgevid.device.thermal import temperatures
from edgevid.errors import EdgevidError, OutputError, SourceError, SpecError
from edgevid.pipeline import CaptureJob, NamedSource, SourceEnded, SourceStarted, Stream
from edgevid.pipeline.messages import Fates
from edgevid.sources.synthetic import SyntheticSource
from edgevid.spec import ClipSpec, InputSpec
from edgevid.telemetry import FactLog, Health, RunMetrics, Server, parse_address
from edgevid.types import Outage, SourceInfo, SourceStats, TensorInfo

pytestmark = pytest.mark.timeout(60)


class Engine:
    name = "two labels"
    inputs = (TensorInfo("clip", (None, 4, 6, 8, 3), "uint8"),)
    outputs = (TensorInfo("scores", (None, 2), "float32"),)

    def infer(self, feeds):
        return {"scores": np.tile(np.float32([0.25, 0.75]), (len(feeds["clip"]), 1))}

    def close(self):
        pass


def stream(*uris: str) -> Stream:
    clip = ClipSpec(num_frames=4, fps=10.0)
    job = CaptureJob(clip, (InputSpec(name="clip", layout="NTHWC", size=(6, 8)),))
    lanes = [[NamedSource(uri, lambda uri=uri: SyntheticSource.from_uri(uri))] for uri in uris]
    return Stream(Engine(), ("a", "b"), lanes, job)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def values(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) to value."""
    return {
        (sample.name, *(v for _, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


FIRST = "synthetic:?seconds=1&motions=left,right&fps=30"
SECOND = "synthetic:?seconds=1&motions=up&fps=20"


def test_what_is_scraped_is_what_the_summary_says():
    running = stream(FIRST, SECOND)
    metrics = RunMetrics(running, lambda: {"JsonlSink": 3})
    server = Server(metrics, "127.0.0.1", 0)
    try:
        scrapes = []
        for number, result in enumerate(running.results()):
            metrics.note(result)
            if number % 5 == 0:
                scrapes.append(values(get(f"{server.address}/metrics")[1]))
        status, text = get(f"{server.address}/metrics")
        assert status == 200
        final = values(text)
        assert get(f"{server.address}/nothing")[0] == 404
    finally:
        server.close()
    for entry in running.summary.sources:
        name = entry.source
        for fate in ("read", "used", "skipped", "dropped", "lost"):
            assert final["edgevid_frames_total", fate, name] == getattr(entry, f"frames_{fate}")
        assert final["edgevid_predictions_total", "b", name] == entry.clips > 0
    assert final["edgevid_stage_seconds_count", "infer"] == running.summary.total("clips")
    assert final["edgevid_undelivered_total", "JsonlSink"] == 3
    # Counters never fall, also where a source ends between two scrapes.
    for before, after in zip(scrapes, [*scrapes[1:], final], strict=True):
        for key, value in before.items():
            if key[0].endswith("_total"):
                assert after.get(key, value) >= value, key
    reads = [s["edgevid_frames_total", "read", FIRST] for s in scrapes if len(s) > 40]
    assert reads == sorted(reads)


def started(name: str) -> SourceStarted:
    return SourceStarted(name, SourceInfo(8, 6, 25.0, None, True, "a camera"), 1, ("repeated",))


def test_health_tells_a_hanging_loop_a_lost_source_and_one_without_a_label():
    now = [100.0]
    running = stream(FIRST)
    well = Health(clock=lambda: now[0])
    metrics = RunMetrics(running, health=well)
    server = Server(metrics, "127.0.0.1", 0)

    def note(result) -> None:
        well.note(result)
        metrics.note(result)

    def health() -> tuple[int, dict]:
        status, text = get(f"{server.address}/health")
        return status, json.loads(text)

    try:
        assert health() == (503, {"alive": True, "ready": False, "sources": {}})
        prediction = next(iter(running))
        note(started(FIRST))
        assert health()[0] == 503
        note(prediction)
        now[0] += 2.5
        expected = {"away": False, "last_label_age_s": 2.5}
        assert health() == (200, {"alive": True, "ready": True, "sources": {FIRST: expected}})
        note(Outage(FIRST, 1.0, "gone"))
        status, facts = health()
        assert (status, facts["sources"][FIRST]["away"]) == (503, True)
        note(Outage(FIRST, 1.0, "gone", 3, 4.5))
        assert health()[0] == 200
        now[0] += 10
        status, facts = health()
        assert (status, facts["alive"]) == (503, False)
        well.seen()
        assert health()[0] == 200
        found = values(get(f"{server.address}/metrics")[1])
        assert found["edgevid_outages_total", FIRST] == 1
        assert found["edgevid_outage_seconds_total", FIRST] == 4.5
    finally:
        server.close()
        running.close()


def ended(name: str, error: EdgevidError | None = None, missed: bool = False) -> SourceEnded:
    return SourceEnded(name, SourceStats(), 0, error, missed=missed)


def test_a_camera_lost_for_good_is_missed_and_one_that_was_taken_out_is_not():
    well = Health()
    for name in ("a", "b"):
        well.note(started(name))
    well.note(ended("a"))
    assert well.away == {"b": False}
    well.note(ended("b", SourceError("b did not come back"), missed=True))
    assert well.away == {"b": True}
    assert well.report()["sources"] == {"b": {"away": True, "last_label_age_s": None}}
    assert not well.report()["ready"]
    well.note(started("b"))
    assert well.away == {"b": False}


def test_a_camera_that_is_wanted_no_more_is_not_missed_whenever_it_ended():
    well = Health()
    for name in ("before", "after", "stays"):
        well.note(started(name))
    gone = SourceError("did not come back")
    well.note(ended("before", gone, missed=True))
    assert well.away == {"before": True, "after": False, "stays": False}
    well.forget("before")
    well.forget("after")
    # Its error was on its way already.
    well.note(ended("after", gone, missed=True))
    assert well.away == {"stays": False}
    # It is added again, and lost for good again.
    well.note(started("after"))
    well.note(ended("after", gone, missed=True))
    assert well.away == {"after": True, "stays": False}


def test_an_outage_is_counted_once_though_a_fault_in_it_is_told():
    running = stream(FIRST)
    metrics = RunMetrics(running)
    for outage in (
        Outage(FIRST, 1.0, "gone"),
        Outage(FIRST, 1.0, "a fault", 3, traceback="Traceback ..."),
        Outage(FIRST, 1.0, "a fault", 5, 4.5, traceback="Traceback ..."),
    ):
        metrics.note(outage)
        running.summary.note(outage)
    (entry,) = running.summary.sources
    assert (entry.outages, entry.away_s) == (1, 4.5)
    values = {
        sample.name: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.labels == {"source": FIRST}
    }
    assert values["edgevid_outages_total"] == 1
    assert values["edgevid_outage_seconds_total"] == 4.5
    running.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9100", ("127.0.0.1", 9100)),
        ("9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9100", ("::1", 9100)),
        (":0", ("127.0.0.1", 0)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":", "localhost", ":port", ":99999", ":9100/metrics"])
def test_what_is_no_address_is_said(text):
    with pytest.raises(SpecError, match=r"is no address\. Write :9100"):
        parse_address(text)


def test_a_port_that_is_taken_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = stream(FIRST)
        with pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
            Server(RunMetrics(running), "127.0.0.1", port)
        running.close()


def test_the_log_appends_one_fact_a_line(tmp_path):
    path = tmp_path / "facts.jsonl"
    path.write_text('{"fact": "from before"}\n')
    moment = datetime(2026, 11, 26, 9, 41, 7, 123456, tzinfo=timezone.utc)
    log = FactLog(path, lambda: moment)
    log.note(started("door"))
    log.note(Outage("door", 1.23456, "reset by peer"))
    log.note(Outage("door", 1.23456, "reset by peer", 4, 2.34567))
    log.note(
        SourceEnded(
            "door", SourceStats(100), 40, SourceError("gone", "Look"), Fates(frames_dropped=3)
        )
    )
    log.close()
    _, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["time"] for line in lines} == {"2026-11-26T09:41:07.123Z"}
    assert [(line["level"], line["fact"]) for line in lines] == [
        ("info", "source started"),
        ("info", "note"),
        ("warning", "source lost"),
        ("info", "source back"),
        ("error", "source ended"),
    ]
    assert lines[2]["reason"] == "reset by peer"
    assert (lines[3]["attempts"], lines[3]["lasted_s"]) == (4, 2.346)
    assert (lines[4]["frames_dropped"], lines[4]["reason"]) == (3, "gone. Look")


def test_a_log_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        FactLog(tmp_path / "none" / "facts.jsonl")


def test_temperatures_of_a_recorded_tree(tmp_path):
    zones = [("cpu-thermal", "48500"), ("gpu-thermal", "47250"), ("cpu-thermal", "51000")]
    zones += [("off-thermal", "no number")]
    for number, (name, temp) in enumerate(zones):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(name + "\n")
        (zone / "temp").write_text(temp + "\n")
    assert temperatures(tmp_path) == {"cpu-thermal": 51.0, "gpu-thermal": 47.25}
    assert temperatures(tmp_path / "nothing") == {}
