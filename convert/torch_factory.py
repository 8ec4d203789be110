"""Models given as `module:factory`: Python of the user's own that builds a `torch.nn.Module`."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.convert.torch_model import TorchModel, one_input, reason
from edgevid.errors import ModelError

if TYPE_CHECKING:
    from types import ModuleType

    import torch

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_factory(source: str) -> bool:
    """True for `module:factory`, such as "pkg.models:build" or "models:Net.small"."""
    return _FACTORY.fullmatch(source) is not None


def build(source: str) -> TorchModel:
    """Import the module, with the current folder on its path, and call the factory.

    The factory may also be a module class that needs no arguments, or a finished module.

    Raises:
        ModelError: The module does not import, the factory does not exist, raises, or
            returns something else than a `torch.nn.Module`.
    """
    import torch

    module_name, _, attribute = source.partition(":")
    with _current_folder_on_path():
        value = _find(_import(module_name), module_name, attribute)
        if not isinstance(value, torch.nn.Module):
            value = _call(value, source)
    if not isinstance(value, torch.nn.Module):
        raise ModelError(
            f"{source} gives a {type(value).__name__}, not a torch.nn.Module",
            "Let it build the model, load its weights and return it",
        )
    module = value.cpu().eval()
    inputs = one_input(source, _parameters(module))
    return TorchModel(source, attribute.rpartition(".")[2], "module", module, inputs)


@contextlib.contextmanager
def _current_folder_on_path() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's module may have tidied it itself
            sys.path.remove(folder)


def _import(name: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise _import_error(name, exc) from None
        raise ModelError(
            f"there is no Python module {exc.name!r}",
            "Run from the folder that holds it, or name that folder in PYTHONPATH",
        ) from None
    # A script without a main guard may also exit.
    except (Exception, SystemExit) as exc:
        raise _import_error(name, exc) from None


def _import_error(name: str, exc: BaseException) -> ModelError:
    return ModelError(
        f"importing the Python module {name!r} fails: {type(exc).__name__}: {reason(exc)}",
        f"Check it: python -c 'import {name}'",
    )


def _find(module: ModuleType, name: str, attribute: str) -> Any:
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise ModelError(f"the Python module {name!r} has no {attribute!r}", _offer(module))
        value = getattr(value, part)
    return value


def _offer(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and value.__module__ == module.__name__
    ]
    return f"It has: {', '.join(own[:8])}" if own else "It defines nothing that could be called"


def _call(factory: Any, source: str) -> Any:
    if not callable(factory):
        return factory
    try:
        return factory()
    except (Exception, SystemExit) as exc:
        raise ModelError(
            f"{source} raises {type(exc).__name__}: {reason(exc)}",
            "Give a factory that works without arguments",
        ) from None


def _parameters(module: torch.nn.Module) -> list[str]:
    """Names of the arguments that `forward` needs; its first one where all have defaults."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(module.forward).parameters.values())
    usual = [p for p in parameters if p.kind in kinds]
    needed = [p.name for p in usual if p.default is inspect.Parameter.empty]
    if not usual and any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return ["input"]
    return needed or [p.name for p in usual[:1]]
