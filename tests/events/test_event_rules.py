"""The grammar of `--events`."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.errors import SpecError
from edgevid.events import EventRule, parse_events

LABELS = ("wave", "a: b, c", "rest")


def test_a_rule_for_all_and_one_for_a_label() -> None:
    rules = parse_events(
        ["onset=0.6,offset=0.4,min=0.5s,merge=300ms", "a: b, c: onset=0.7"], LABELS
    )
    common = EventRule(0.6, 0.4, 0.5, 0.3)
    assert rules.rules == (common, EventRule(0.7, 0.7), common)
    np.testing.assert_array_equal(rules.onsets, np.float32([0.6, 0.7, 0.6]))


def test_labels_without_a_rule_have_no_events() -> None:
    rules = parse_events([" wave : onset=0.5 , offset=0.2 "], LABELS)
    assert rules.rules == (EventRule(0.5, 0.2), None, None)
    assert rules.onsets[1] == np.inf


def test_offset_is_onset_where_nothing_is_said() -> None:
    assert parse_events(["onset=0.3"], LABELS).rules[0] == EventRule(0.3, 0.3)
    assert parse_events(["min=1s"], LABELS).rules[0] == EventRule(0.5, 0.5, 1.0)


def test_a_rule_reads_as_it_is_written() -> None:
    rule = EventRule(0.6, 0.4, 0.5, 0.3)
    assert parse_events([str(rule)], LABELS).rules[0] == rule


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["onset=0.4,offset=0.6"], "offset 0.6 lies above onset 0.4"),
        (["onset=1.5"], "onset 1.5 must be from 0 to 1"),
        (["onset=nan"], "onset takes a score from 0 to 1, not 'nan'"),
        (["onset=-0.1"], "onset takes a score"),
        (["min=1"], "min takes a time such as 0.5s, not '1'"),
        (["merge=9999s"], "merge must be from 0s to 3600s"),
        (["onset=0.5,onset=0.6"], "onset is given twice"),
        (["onset"], "'onset' is none of onset=, offset=, min=, merge="),
        (["level=0.5"], "'level=0.5' is none of"),
        ([""], "'' is none of"),
        (["wave:"], "'' is none of"),
        (["wav: onset=0.5"], "no label 'wav'"),
        (["onset=0.5", "min=1s"], "a rule for all labels already"),
        (["wave: onset=0.5", "wave: min=1s"], "a rule for 'wave' already"),
    ],
)
def test_bad_rules_are_one_line(texts: list[str], says: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_events(texts, LABELS)
    assert says in str(caught.value)
    assert repr(texts[-1]) in str(caught.value)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_label_that_is_nearly_right_is_named() -> None:
    with pytest.raises(SpecError, match="Did you mean 'wave'"):
        parse_events(["wawe: onset=0.5"], LABELS)
