"""Measure a bundle: open what is asked for, run the scenario, keep everything as a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

from edgevid.benchmarks.harness.figures import stages
from edgevid.benchmarks.harness.limits import run_against_limits
from edgevid.benchmarks.harness.memory import MemoryLog
from edgevid.benchmarks.harness.merge import merged_heat, merged_power
from edgevid.benchmarks.harness.opening import Opener, opener_for
from edgevid.benchmarks.harness.readings import Heat
from edgevid.benchmarks.harness.recorder import Recorder
from edgevid.benchmarks.harness.recording import Job, Recording
from edgevid.benchmarks.harness.results import (
    Mark,
    Model,
    Result,
    Samples,
    ScenarioName,
    Settings,
)
from edgevid.benchmarks.harness.roofline import Roofline
from edgevid.benchmarks.harness.scenarios import live, multi, offline, server, single
from edgevid.benchmarks.harness.statistics import percentile_of, samples_needed
from edgevid.benchmarks.harness.subject import RealClock
from edgevid.device.machine import Machine
from edgevid.device.report import diagnose
from edgevid.device.state import MachineState
from edgevid.environment import environment
from edgevid.errors import SpecError
from edgevid.manifest import Bundle

SCENARIOS: dict[str, ModuleType] = {
    "single": single, "multi": multi, "offline": offline, "server": server, "live": live,
}  # fmt: skip

_DURATION_S = {"single": 10.0, "multi": 10.0, "offline": 10.0, "server": 20.0, "live": 20.0}
_ROUNDS = {"single": 10, "multi": 10, "offline": 10, "server": 5, "live": 4}
_CLOSED = ("single", "multi", "offline")
"""Scenarios whose rounds are alike, so that they can take turns."""

_PERCENTILE = 99.0
_PACKAGES = (
    "numpy", "opencv-python", "av", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt",
    "tensorrt-rtx", "cuda-python", "pycuda",
)  # fmt: skip
_BUSY = 0.5
"""Runnable tasks a minute before, from which on a machine is not quiet."""


@dataclass(frozen=True)
class Options:
    """What a caller may choose.

    Attributes:
        scenario: A key of `SCENARIOS`.
        engine: One of `edgevid.engines.ENGINES`.
        engine_only: Measure the bare engine call; else all from frames to labels.
        clips: Videos, folders, patterns or CSV files; empty: noise for the engine alone, the
            clip that ships with edgevid for the pipeline. For `live` also cameras and URLs.
        batch: Clips in one call of the engine, at most; None: 1, for `offline` the best.
        streams: Side by side; None: 1, for `live` as many as hold.
        threads: CPU threads of the engine; None: see `default_threads`.
        hop_s: Seconds between windows; None: as in the contract.
        percentile: Measure until there are samples enough for it; None: 99, as far as they are.
        target_ms: What the percentile is held to (`server`; `live`, where given).
        duration_s: Seconds to measure; warming up and searching come on top. None: by scenario.
        rounds: Parts to cut the time into, the engine opened anew for each; None: by scenario.
        seed: Of noise and of arrivals.
        command: What the user typed, for the report.
    """

    scenario: ScenarioName = "single"
    engine: str = "auto"
    engine_only: bool = False
    clips: tuple[str, ...] = ()
    batch: int | None = None
    streams: int | None = None
    threads: int | None = None
    hop_s: float | None = None
    percentile: float | None = None
    target_ms: float | None = None
    duration_s: float | None = None
    rounds: int | None = None
    seed: int = 0
    command: str = ""


class Measurement:
    """A bundle under one set of options, measured at once or in turns with others.

    Args:
        bundle: What to measure.
        options: How.
        notify: Told, in one sentence each, what was chosen and found.
        progress: Told the seconds that were measured, of how many.
        in_turns: One round a turn, where the scenario has no search; else all in one.

    Attributes:
        turns: How often `turn` is to be called.

    Raises:
        EdgevidError: An option, a video or the engine cannot be used.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        *,
        notify: Callable[[str], None] = lambda _: None,
        progress: Callable[[float, int], None] = lambda _done, _total: None,
        in_turns: bool = False,
    ) -> None:
        check(options)
        self._bundle, self._options = bundle, options
        self._started = datetime.now(timezone.utc)
        self._scenario = SCENARIOS[options.scenario]
        self._memory = MemoryLog()
        with self._memory.stage("open"):
            self._opener = opener_for(bundle, options, notify)
        self._job = _job(options, self._opener, progress, notify)
        self._recording = Recording(self._job.clock.now_s())
        self._beside: list[tuple[float, Recorder]] = []
        self.turns = self._job.settings.rounds if in_turns and options.scenario in _CLOSED else 1
        self._turns_left = self.turns

    @property
    def measured(self) -> bool:
        """Whether there is anything to tell yet."""
        return bool(self._recording.steady_ms or self._recording.probes)

    def turn(self) -> None:
        """Measure.

        Raises:
            EdgevidError: The engine failed, or the question has no answer (no rate is low enough
                for the target).
            KeyboardInterrupt: Ctrl-C; what was measured is kept. Call `end_early` to go on with it.
        """
        job, recording = self._job, self._recording
        if self.turns > 1:
            job = _part(job, self.turns, recording.clips_per_query if recording.rounds else None)
        recorder = Recorder()
        self._beside.append((job.clock.now_s() - recording.started_s, recorder))
        with recorder, self._memory.stage("run"):
            try:
                self._scenario.run(job, recording)
            finally:
                self._opener.let_go()
        self._turns_left -= 1

    def end_early(self) -> None:
        """Take what was measured for all there will be, marked `interrupted` if turns are left."""
        if self._turns_left:
            text = "Ctrl-C ended it early: figures are of what was done"
            self._recording.mark("interrupted", text)

    def result(self) -> Result:
        """Everything that was found in all turns."""
        job, options, recording = self._job, self._options, self._recording
        figures = self._scenario.figures(job, recording)
        if not recording.settled and options.scenario in ("server", "live"):
            recording.clear()
        heat = merged_heat([(at_s, recorder.heat()) for at_s, recorder in self._beside])
        before, after = self._beside[0][1].before, self._beside[-1][1].after
        _mark(recording, before, heat, self._beside[0][1].notes)
        clips = recording.clips_per_query * sum(len(r.at_s) for r in recording.rounds)
        settings, memory = _final(job.settings, options, recording), self._memory.memory()
        roofline = _roofline(self._bundle, self._opener, settings, recording)
        return Result(
            command=options.command,
            started=self._started,
            seconds=round(job.clock.now_s() - recording.started_s, 3),
            environment=_environment(),
            model=_model(self._bundle, self._opener.engine_name),
            scenario=options.scenario,
            settings=settings,
            figures=figures,
            samples=Samples(
                clips_per_query=recording.clips_per_query, rounds=tuple(recording.rounds)
            ),
            stages=stages(recording.timings),
            search=tuple(recording.probes),
            machine_before=before,
            machine_after=after,
            power=merged_power([(at_s, r.power()) for at_s, r in self._beside], clips),
            heat=heat,
            memory=memory,
            roofline=roofline,
            marks=tuple(recording.marks),
        )


def measure(
    bundle: Bundle,
    options: Options,
    *,
    notify: Callable[[str], None] = lambda _: None,
    progress: Callable[[float, int], None] = lambda _done, _total: None,
) -> Result:
    """Measure a bundle as the options say.

    Ctrl-C ends it early; what was measured is then the result, with the mark `interrupted`.

    Raises:
        EdgevidError: An option, a video or the engine cannot be used, or the question has no
            answer (no rate is low enough for the target).
        KeyboardInterrupt: Ctrl-C came before anything was measured.
    """
    measurement = Measurement(bundle, options, notify=notify, progress=progress)
    try:
        measurement.turn()
    except KeyboardInterrupt:
        if not measurement.measured:
            raise
        measurement.end_early()
    return measurement.result()


def check(options: Options) -> None:
    """Raise SpecError where an option cannot be right, or does not go with the scenario."""
    if options.scenario not in SCENARIOS:
        raise SpecError(
            f"unknown scenario {options.scenario!r}", f"Choose one of: {', '.join(SCENARIOS)}"
        )
    for flag, value in (
        ("--duration", options.duration_s),
        ("--target-ms", options.target_ms),
        ("--hop", options.hop_s),
    ):
        if value is not None and not 0 < value < math.inf:
            raise SpecError(f"{flag} {value:g} must be above 0")
    for flag, count in (
        ("--batch", options.batch),
        ("--streams", options.streams),
        ("--rounds", options.rounds),
    ):
        if count is not None and count < 1:
            raise SpecError(f"{flag} {count} must be at least 1")
    if options.percentile is not None:
        percentile_of(f"p{options.percentile:g}")
    _check_scenario(options)


def _check_scenario(options: Options) -> None:
    """Raise SpecError where an option is of no use to the scenario, so that none is ignored."""
    uses = {"batch": ("offline", "server", "live"), "streams": ("multi", "live")}
    for name, scenarios in uses.items():
        if getattr(options, name) is not None and options.scenario not in scenarios:
            raise SpecError(
                f"--{name} does not apply to {options.scenario}",
                f"It belongs to: {', '.join(scenarios)}",
            )
    if options.target_ms is not None and options.scenario not in ("server", "live"):
        raise SpecError(
            f"--target-ms does not apply to {options.scenario}", "It belongs to: server, live"
        )
    if options.scenario == "live" and options.engine_only:
        raise SpecError("--engine-only does not apply to live, which is the whole pipeline")


def _job(
    options: Options,
    opener: Opener,
    progress: Callable[[float, int], None],
    notify: Callable[[str], None],
) -> Job:
    percentile = _PERCENTILE if options.percentile is None else options.percentile
    settings = Settings(
        engine_only=options.engine_only,
        clips=opener.clip_names,
        threads=options.threads,
        hop_s=options.hop_s,
        percentile=percentile,
        target_ms=options.target_ms,
        duration_s=options.duration_s or _DURATION_S[options.scenario],
        rounds=options.rounds or _ROUNDS[options.scenario],
        seed=options.seed,
    )
    least = 0 if options.percentile is None else samples_needed(f"p{percentile:g}")
    return Job(
        settings,
        opener.open_subject,
        RealClock(),
        opener.open_stream,
        batch=options.batch,
        streams=opener.streams,
        least_queries=least,
        largest_query=opener.largest_query,
        notify=notify,
        progress=progress,
    )


def _final(settings: Settings, options: Options, recording: Recording) -> Settings:
    """With what was chosen on the way."""
    batch, streams = options.batch or 1, options.streams or 1
    if options.scenario == "offline":
        batch = recording.clips_per_query
    if options.scenario == "multi":
        batch = streams
    if options.scenario == "live" and recording.settled:
        streams = int(recording.probes[-1].load)
    return settings.model_copy(update={"batch": batch, "streams": streams})


def _part(job: Job, turns: int, batch: int | None) -> Job:
    """One round of a job; the batch that its first turn found stays."""
    settings = job.settings.model_copy(
        update={"rounds": 1, "duration_s": job.settings.duration_s / turns}
    )
    return replace(
        job,
        settings=settings,
        batch=job.batch or batch,
        least_queries=math.ceil(job.least_queries / turns),
    )


def _mark(recording: Recording, before: MachineState, heat: Heat, notes: Sequence[str]) -> None:
    """What a reader must know of the machine."""
    if before.load is not None and before.load > _BUSY:
        recording.mark("busy", f"{before.load:g} other tasks were running in the minute before")
    if heat.throttled:
        causes = ", ".join([*heat.throttle_events, *heat.slowed_s])
        recording.mark("throttled", f"the device was slowed down during the run: {causes}")
    recording.marks.extend(Mark(kind="note", text=note) for note in notes)


def _roofline(
    bundle: Bundle, opener: Opener, settings: Settings, recording: Recording
) -> Roofline | None:
    """How near the engine's own time of a clip came to what the device can do."""
    infer = stages(recording.timings).get("infer")
    if infer is None or not infer.p50_ms:
        return None
    clip_s = infer.p50_ms / 1e3 / settings.batch
    found, note = run_against_limits(
        bundle, opener.engine_name, clip_s, settings.batch, opener.new_frames
    )
    if note:
        recording.marks.append(Mark(kind="note", text=note))
    return found


def _model(bundle: Bundle, engine: str) -> Model:
    manifest = bundle.manifest
    return Model(
        name=manifest.model.name,
        bundle=Path(bundle.path).resolve().name,
        sha256={artifact.path: artifact.sha256 for artifact in manifest.models},
        precision=manifest.precision,
        engine=engine,
    )


def _environment() -> dict[str, str]:
    """Versions, and what the machine is: board, JetPack, clocks, memory, GPU."""
    found = environment(_PACKAGES)
    for fact in diagnose(Machine()).sections["machine"]:
        if fact.value:
            found[fact.name] = fact.value
    return found
