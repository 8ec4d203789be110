"""`python -m edgevid`."""

from edgevid.cli import entry

entry()
