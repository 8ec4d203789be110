"""The tree of errors and the shape of their messages."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid import errors
from edgevid.cli import main
from edgevid.errors import EdgevidError, MissingDependencyError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def test_the_tree_in_the_docstring_is_the_tree_of_the_code():
    drawn: dict[str, str] = {}
    parents: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            parents[depth] = match[2]
            drawn[match[2]] = parents[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in ALL}


@given(st.text(), st.text())
def test_every_message_is_one_line(message, hint):
    text = str(EdgevidError(message, hint))
    assert len(text.splitlines()) <= 1


def test_message_and_hint_make_two_sentences():
    error = EdgevidError("the  value 3\nis wrong", "Give 4")
    assert str(error) == "the value 3 is wrong. Give 4"
    assert (error.message, error.hint) == ("the value 3 is wrong", "Give 4")
    assert str(EdgevidError("wrong")) == "wrong"


def test_a_missing_package_names_the_line_that_brings_it():
    error = MissingDependencyError("onnx", "convert", "converting a model")
    assert str(error) == (
        "converting a model needs the package 'onnx', which is not installed. "
        "Run: pip install 'edgevid[convert]'"
    )
    assert (error.package, error.extra) == ("onnx", "convert")


@pytest.mark.parametrize("kind", [k for k in ALL if k is not MissingDependencyError])
def test_every_error_of_a_user_is_one_line_and_exit_status_2(kind, capsys, monkeypatch):
    def fail(**_):
        raise kind("a\nb", "do c")

    monkeypatch.setattr("edgevid.cli.cli.main", fail)
    assert main([]) == 2
    assert capsys.readouterr().err == "edgevid: error: a b. do c\n"


def test_a_fault_of_edgevid_keeps_its_traceback(monkeypatch):
    def fail(**_):
        raise ZeroDivisionError

    monkeypatch.setattr("edgevid.cli.cli.main", fail)
    with pytest.raises(ZeroDivisionError):
        main([])


def test_ctrl_c_is_130(monkeypatch):
    def fail(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("edgevid.cli.cli.main", fail)
    assert main([]) == 130
