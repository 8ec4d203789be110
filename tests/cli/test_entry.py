from __future__ import annotations

import subprocess
import sys

_HANGING = """
import threading, sys, time
from edgevid import cli

class Sleeper:
    def __del__(self):
        print("taken apart")

kept = Sleeper()
threading.Thread(target=time.sleep, args=(60,), name={name!r}, daemon=True).start()
cli.main = lambda: (print("all of it", end=""), 2)[1]
cli.entry()
"""


def ended(thread_name: str) -> tuple[int, str]:
    code = _HANGING.format(name=thread_name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_thread_that_hangs_ends_with_the_process_before_python_takes_itself_apart():
    assert ended("edgevid-capture-0") == (2, "all of it")


def test_otherwise_python_ends_as_always():
    assert ended("another") == (2, "all of ittaken apart\n")
