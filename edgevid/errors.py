"""Every error that edgevid raises on purpose.

A message says what is wrong and with which value; the hint says how to mend it.
The command line prints both on one line and exits with status 2. Anything that is
not an `EdgevidError` is a fault of edgevid itself and keeps its traceback.

    EdgevidError
    ├── SpecError               a spec, preset or command-line value that cannot be right
    ├── BundleError
    │   ├── ManifestError       manifest.json is missing, malformed or of an unknown schema
    │   └── IntegrityError      a file of the bundle differs from its recorded hash
    ├── SourceError             a video source cannot be opened or read
    │   └── SourceNotFoundError
    ├── ModelError              a model file cannot be used
    ├── ConversionError         a conversion step failed
    │   ├── ParityError         the converted graph does not answer like the original
    │   └── BuildError          the TensorRT builder refused the graph
    ├── EngineError             an engine cannot be opened or failed in a call
    ├── MissingDependencyError  an optional package is not installed
    └── OutputError             a result cannot be written
"""

from __future__ import annotations


class EdgevidError(Exception):
    """Base of all errors that a user can mend.

    Args:
        message: What is wrong, with the offending value.
        hint: How to mend it, as an imperative sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())
        super().__init__(f"{self.message}. {self.hint}" if self.hint else self.message)


class SpecError(EdgevidError):
    """A spec, preset or option value that cannot be right."""


class BundleError(EdgevidError):
    """A bundle that cannot be used."""


class ManifestError(BundleError):
    """manifest.json is missing, malformed or of an unknown schema version."""


class IntegrityError(BundleError):
    """A file of the bundle is missing or differs from its recorded hash."""


class SourceError(EdgevidError):
    """A video source that cannot be opened or read."""


class SourceNotFoundError(SourceError):
    """The file, directory, glob or camera does not exist."""


class ModelError(EdgevidError):
    """A model file that cannot be read or has an unsupported interface."""


class ConversionError(EdgevidError):
    """A conversion step failed."""


class ParityError(ConversionError):
    """The converted graph does not give the original's answers."""


class BuildError(ConversionError):
    """The TensorRT builder refused the graph."""


class EngineError(EdgevidError):
    """An inference engine cannot be opened, or failed in a call."""


class MissingDependencyError(EdgevidError):
    """An optional package is not installed.

    Args:
        package: The name to import.
        extra: The extra of edgevid that brings it.
        purpose: What it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            f"Run: pip install 'edgevid[{extra}]'",
        )


class OutputError(EdgevidError):
    """A result cannot be written (permission, full disk, missing folder)."""
