"""Clip models that need not compute a frame twice: found, split and proven."""
