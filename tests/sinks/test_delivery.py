import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.errors import OutputError
from edgevid.sinks.delivery import Delivery
from edgevid.types import Frame, FrameTime, Outage, Prediction

pytestmark = pytest.mark.timeout(30)


def prediction(index: int) -> Prediction:
    scores = np.array([0.25, 0.75], np.float32)
    return Prediction("a", index, 0.0, 1.0, scores, scores, "b", 0.75, "b", 0.75)


def frame(index: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), FrameTime(index, index / 10, index / 10), "a")


class ListSink:
    """Keeps what it gets; `on_write` may wait or raise."""

    def __init__(self, on_write=lambda _: None):
        self.got = []
        self._on_write = on_write

    def write(self, prediction):
        self._on_write(len(self.got))
        self.got.append(prediction.index)

    def close(self):
        pass


class PictureSink(ListSink):
    def write_frame(self, frame):
        self._on_write(len(self.got))
        self.got.append(("frame", frame.time.index))

    def write_outage(self, outage):
        self.got.append(("outage", outage.at_s))


def deliver_all(delivery, count):
    for i in range(count):
        delivery.deliver(prediction(i))


def test_every_sink_gets_what_it_takes_in_order():
    plain, pictures = ListSink(), PictureSink()
    delivery = Delivery([plain, pictures])
    for i in range(50):
        delivery.deliver(frame(i))
        delivery.deliver(prediction(i))
    delivery.deliver(Outage("a", 1.5, "gone"))
    delivery.close()
    assert plain.got == list(range(50))
    expected = [item for i in range(50) for item in (("frame", i), i)]
    assert pictures.got == [*expected, ("outage", 1.5)]
    assert delivery.undelivered == {}
    assert not [t for t in threading.enumerate() if t.name.startswith("edgevid-ListSink")]


@settings(max_examples=20)
@given(st.integers(1, 600), st.integers(0, 3))
def test_files_wait_for_a_slow_sink_and_lose_nothing(count, slow_every):
    sink = ListSink(lambda i: time.sleep(0.0005) if slow_every and i % 7 < slow_every else None)
    delivery = Delivery([sink])
    for i in range(count):
        delivery.deliver(prediction(i))
    delivery.close()
    assert sink.got == list(range(count))


def test_beside_a_live_source_a_dead_sink_holds_nobody_up_and_what_it_missed_is_counted():
    dead = threading.Event()
    stuck, well = ListSink(lambda _: dead.wait(20)), ListSink()
    delivery = Delivery([stuck, well])
    delivery.go_live()
    started = time.monotonic()
    for i in range(1000):
        delivery.deliver(prediction(i))
        if i % 100 == 0:
            while len(well.got) <= i:
                time.sleep(0.001)
    delivery.close(within_s=0.3)
    assert time.monotonic() - started < 10
    assert well.got == list(range(1000))
    assert stuck.got == []
    assert delivery.undelivered == {"ListSink": 1000}
    dead.set()


def fails_at(number, error):
    def on_write(i):
        if i == number:
            raise error

    return on_write


def test_with_files_the_error_of_a_sink_reaches_the_caller():
    delivery = Delivery([ListSink(fails_at(3, OutputError("no space left")))])
    with pytest.raises(OutputError, match="no space left"):
        deliver_all(delivery, 100_000)
    delivery.close()


def test_an_error_on_the_last_result_is_not_lost():
    delivery = Delivery([ListSink(fails_at(0, OutputError("no space left")))])
    delivery.deliver(prediction(0))
    with pytest.raises(OutputError, match="no space left"):
        delivery.close()


def test_beside_a_live_source_a_failed_sink_is_left_out_and_told_once():
    said = []
    failing, well = ListSink(fails_at(3, OutputError("no space left"))), ListSink()
    delivery = Delivery([failing, well], said.append)
    delivery.go_live()
    for i in range(50):
        delivery.deliver(prediction(i))
    delivery.close()
    assert well.got == list(range(50))
    assert failing.got == [0, 1, 2]
    assert delivery.undelivered == {"ListSink": 47}
    assert len(said) == 1
    assert said[0].startswith("no space left")


def test_a_reader_that_went_away_ends_the_run_even_a_live_one():
    delivery = Delivery([ListSink(fails_at(0, BrokenPipeError()))])
    delivery.go_live()
    with pytest.raises(BrokenPipeError):
        deliver_all(delivery, 100_000)
    delivery.close()


def test_few_frames_wait_for_they_are_large():
    gate = threading.Event()
    sink = PictureSink(lambda _: gate.wait(20))
    delivery = Delivery([sink])
    delivery.go_live()
    for i in range(100):
        delivery.deliver(frame(i))
    gate.set()
    delivery.close()
    # One was being written; of the others the newest eight had stayed.
    assert len(sink.got) <= 10
    assert sink.got[-1] == ("frame", 99)
    assert delivery.undelivered == {"PictureSink": 100 - len(sink.got)}
