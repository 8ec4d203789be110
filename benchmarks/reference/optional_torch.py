"""PyTorch where it is installed; where not, modules that derive from it can still be imported."""

from __future__ import annotations

from typing import Any

try:
    import torch
    from torch import nn
except ImportError:
    torch = nn = None

Module: Any = object if nn is None else nn.Module

__all__ = ["Module", "nn", "torch"]
