"""The scenarios of a benchmark: one file each."""
