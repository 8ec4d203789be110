from __future__ import annotations

import gc
import sys

from hypothesis import given
from hypothesis import strategies as st

from edgevid.pipeline.label_spans import LabelSpan, LabelSpans


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 8))
def test_the_last_spans_are_those_of_a_list_that_is_never_cut(labels, most):
    kept, all_spans = LabelSpans(most), list[LabelSpan]()
    for i, label in enumerate(labels):
        start_s, end_s = i / 2, i / 2 + 3.0
        kept.add(label, start_s, end_s)
        if all_spans and all_spans[-1].label == label:
            all_spans[-1].end_s = end_s
        else:
            begun_s = all_spans[-1].end_s if all_spans else start_s
            all_spans.append(LabelSpan(label, begun_s, end_s))
    assert kept.spans() == all_spans[-most:]
    assert kept.changes == max(len(all_spans) - 1, 0)


def test_memory_does_not_grow_with_the_changes():
    spans, labels, ends_s = LabelSpans(), ("on", "off"), [float(i) for i in range(900)]
    spans.add("on", 0.0, 0.0)
    gc.collect()
    before = sys.getallocatedblocks()
    for i, end_s in enumerate(ends_s):
        spans.add(labels[i % 2], 0.0, end_s)
    assert sys.getallocatedblocks() - before < 50
    assert len(spans.spans()) == 900
