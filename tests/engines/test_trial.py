"""`--engine auto`: the fastest that answers right is taken, told and remembered."""

from __future__ import annotations

import json
import re
import time

import numpy as np
import pytest

from edgevid.engines import open_engine, trial
from edgevid.engines.trial import choose, difference, time_in_turn
from edgevid.errors import EngineError
from edgevid.types import TensorInfo

SETTINGS = {"threads": None, "max_batch": 2, "gpu": ""}
WANTED = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])


class Stub:
    """Answers at once or after a while."""

    inputs = (TensorInfo("frames", (None, 8, 8, 3), "uint8"), TensorInfo("h", (None, 4), "float32"))
    outputs = (TensorInfo("scores", (None, 3), "float32"),)

    def __init__(self, name, scores=WANTED, takes_s=0.0):
        self.name, self.scores, self.takes_s = name, scores, takes_s
        self.closed, self.calls = 0, 0

    def infer(self, feeds):
        assert feeds["frames"].shape == (2, 8, 8, 3)
        assert not feeds["h"].any()
        self.calls += 1
        time.sleep(self.takes_s)
        return {"scores": np.array(self.scores, np.float32)}

    def close(self):
        self.closed += 1


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(trial, "ROUNDS", 5)
    return tmp_path / "edgevid" / "engines"


class Opener:
    def __init__(self, **engines):
        self.engines = engines
        self.asked: list[str] = []

    def __call__(self, name):
        self.asked.append(name)
        engine = self.engines[name]
        if isinstance(engine, Exception):
            raise engine
        return engine


def run(bundle, opener, told=None, **settings):
    tell = (lambda _text: None) if told is None else told.append
    return choose(bundle, list(opener.engines), opener, SETTINGS | settings, tell)


def test_the_fastest_is_kept_and_the_others_are_closed(cache, make_bundle):
    opener = Opener(a=Stub("a", takes_s=0.1), b=Stub("b"), onnxruntime=Stub("c", takes_s=0.05))
    told: list[str] = []
    assert run(make_bundle(), opener, told) is opener.engines["b"]
    assert [engine.closed for engine in opener.engines.values()] == [1, 0, 1]
    (line,) = told
    assert re.fullmatch(
        r"Tried for a moment: b takes [\d.]+ ms a call \(a [\d.]+, onnxruntime [\d.]+\)", line
    )
    assert len(list(cache.glob("*.json"))) == 1


def test_it_is_remembered_for_the_same_settings_only(cache, make_bundle):
    bundle = make_bundle()
    run(bundle, Opener(a=Stub("a"), onnxruntime=Stub("b", takes_s=0.05)))
    again = Opener(a=Stub("a", takes_s=0.05), onnxruntime=Stub("b"))
    assert run(bundle, again) is again.engines["a"]
    assert again.asked == ["a"]
    assert again.engines["a"].calls == 0
    for changed in ({"gpu": "Orin"}, {"threads": 2}):
        other = Opener(a=Stub("a", takes_s=0.05), onnxruntime=Stub("b"))
        assert run(bundle, other, **changed) is other.engines["onnxruntime"]
    assert len(list(cache.glob("*.json"))) == 3


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"engine": "a"}', b'{"key": 1, "engine": "a"}'])
def test_a_damaged_memory_is_tried_anew(cache, make_bundle, damage):
    bundle = make_bundle()
    run(bundle, Opener(a=Stub("a"), onnxruntime=Stub("b", takes_s=0.05)))
    (file,) = cache.glob("*.json")
    file.write_bytes(damage)
    opener = Opener(a=Stub("a"), onnxruntime=Stub("b", takes_s=0.05))
    run(bundle, opener)
    assert opener.asked == ["a", "onnxruntime"]
    assert json.loads(file.read_bytes())["engine"] == "a"


@pytest.mark.usefixtures("cache")
def test_what_was_remembered_and_fails_now_is_told_and_tried_anew(make_bundle):
    bundle = make_bundle()
    run(bundle, Opener(a=Stub("a"), onnxruntime=Stub("b", takes_s=0.05)))
    told: list[str] = []
    opener = Opener(a=EngineError("the driver is gone"), onnxruntime=Stub("b"))
    assert run(bundle, opener, told) is opener.engines["onnxruntime"]
    assert told[0] == "a is not used: the driver is gone"


@pytest.mark.usefixtures("cache")
def test_a_wrong_answer_is_never_taken_however_fast(make_bundle):
    wrong = Stub("a", WANTED[:, ::-1])
    opener = Opener(a=wrong, b=EngineError("no such thing"), onnxruntime=Stub("c", takes_s=0.05))
    told: list[str] = []
    assert run(make_bundle(), opener, told) is opener.engines["onnxruntime"]
    assert told == [
        "b is not used: no such thing",
        "a is not used: its scores differ from ONNX Runtime's by 0.6 (at most 0.005)",
    ]
    assert wrong.closed == 1


@pytest.mark.usefixtures("cache")
def test_one_candidate_is_not_tried(make_bundle):
    opener = Opener(onnxruntime=Stub("a"))
    run(make_bundle(), opener)
    assert opener.engines["onnxruntime"].calls == 0


@pytest.mark.usefixtures("cache")
def test_onnxruntimes_own_failure_is_the_callers_and_closes_the_rest(make_bundle):
    opener = Opener(a=Stub("a"), onnxruntime=EngineError("the graph is damaged"))
    with pytest.raises(EngineError, match="damaged"):
        run(make_bundle(), opener)
    assert opener.engines["a"].closed == 1


def test_a_cache_that_cannot_be_written_does_not_matter(monkeypatch, make_bundle, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    opener = Opener(a=Stub("a"), onnxruntime=Stub("b", takes_s=0.05))
    assert run(make_bundle(), opener) is opener.engines["a"]


def test_slow_engines_end_the_trial_early():
    engines = {"a": Stub("a", takes_s=0.02), "b": Stub("b", takes_s=0.02)}
    feeds = trial.trial_feeds(engines["a"], 2)
    time_in_turn(engines, feeds, budget_s=0.0)
    assert engines["a"].calls == engines["b"].calls == 3


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (WANTED, ""),
        (WANTED + 0.004, ""),
        (WANTED + 0.006, "its scores differ from ONNX Runtime's by 0.006 (at most 0.005)"),
        (WANTED * np.nan, "its scores differ from ONNX Runtime's by nan (at most 0.005)"),
    ],
)
def test_how_scores_may_differ(found, reason):
    assert difference(found, WANTED, 0.005) == reason


def test_the_best_class_must_be_the_same_where_it_leads():
    wanted = np.array([[0.5, 0.5 - 0.008, 0.0]])
    found = np.array([[0.4955, 0.4965, 0.0]])
    assert difference(found, wanted, 0.005) == (
        "its best class is another than ONNX Runtime's, which leads by 0.008"
    )


@pytest.mark.parametrize("name", ["onnxruntime", "auto"])
def test_the_environment_can_say_what_auto_is(monkeypatch, make_bundle, name):
    monkeypatch.setenv("EDGEVID_ENGINE", "onnxruntime")
    assert open_engine(make_bundle(), name).name.startswith("onnxruntime ")


def test_a_wrong_name_in_the_environment_is_told(monkeypatch, make_bundle):
    monkeypatch.setenv("EDGEVID_ENGINE", "tensorflow")
    with pytest.raises(EngineError, match="EDGEVID_ENGINE is 'tensorflow'"):
        open_engine(make_bundle())
