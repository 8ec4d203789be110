"""HTML and SVG as trees: what is text is escaped, and every tag is closed."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None
Value = str | float

_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def tag(name: str, /, *children: Child, **attributes: Value) -> Element:
    """An element; children are elements, text, or None for nothing.

    Attribute names are Python's: `class_` is class, `aria_label` is aria-label. Numbers are
    written with at most two decimals, which is enough for pixels.
    """
    element = Element(name)
    for key, value in attributes.items():
        text = clean(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
        element.set(key.rstrip("_").replace("_", "-"), text)
    for child in children:
        _append(element, child)
    return element


def _append(element: Element, child: Child) -> None:
    if isinstance(child, Element):
        element.append(child)
    elif child is not None and len(element):
        element[-1].tail = (element[-1].tail or "") + clean(child)
    elif child is not None:
        element.text = (element.text or "") + clean(child)


def clean(text: str) -> str:
    """Text without characters that no document may hold, or that turn its direction round."""
    return _BIDI.sub("", _UNSAFE.sub("\ufffd", text))


def to_html(page: Element) -> str:
    """The document as text."""
    return f"<!DOCTYPE html>\n{tostring(page, encoding='unicode', method='html')}\n"
