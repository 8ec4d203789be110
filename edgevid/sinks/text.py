"""Labels and source names, made fit for a screen."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """`text` with every control character replaced: none may move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def plain_ascii(text: str) -> str:
    """`text` in the characters that OpenCV can draw: accents dropped, the rest as "?"."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in bare)


def shorten_left(text: str, width: int) -> str:
    """The last `width` characters: of a path, the end tells most."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]
