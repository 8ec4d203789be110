"""Sources that are opened before the run begins."""

from __future__ import annotations

import threading

import pytest

from edgevid.errors import SourceError
from edgevid.pipeline import NamedSource, Opening
from edgevid.pipeline.lanes import at_once
from edgevid.sources.reconnecting import RetryPolicy

pytestmark = pytest.mark.timeout(30)


def test_all_are_opened_at_the_same_time(numbered):
    together = threading.Barrier(3, timeout=10)

    def opening(name):
        def reopen():
            together.wait()
            return numbered([0.0], name=name)

        return [NamedSource(name, reopen)]

    lanes = [opening(name) for name in "abc"]
    Opening().open_all(lanes)
    assert [lane[0].opened.source_id for lane in lanes] == ["a", "b", "c"]


def test_a_folder_waits_for_its_turn_and_what_is_waited_for_for_its_thread(numbered):
    def never():
        raise AssertionError("opened")

    folder = [NamedSource("a", never), NamedSource("b", never)]
    camera, file = NamedSource("camera", never), NamedSource("file", lambda: numbered([0.0]))
    file.can_return = False
    Opening(retry=RetryPolicy(at_start=True)).open_all([folder, [camera], [file]])
    assert file.opened is not None


def test_the_first_error_in_their_order_is_raised_whichever_comes_first():
    late = threading.Event()

    def fail(text, before=None, after=None):
        def call():
            if before:
                before.wait(10)
            if after:
                after.set()
            raise SourceError(text)

        return call

    with pytest.raises(SourceError, match="first"):
        at_once([lambda: None, fail("first", before=late), fail("second", after=late)])
