"""The pieces that a page is made of, and the page.

A page stands alone: style and charts are inside, there is no script, and its content security
policy forbids whatever would come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from edgevid.pages.markup import Child, tag, to_html
from edgevid.pages.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, *children: Child) -> str:
    """A whole HTML document under its heading."""
    return to_html(
        tag(
            "html",
            tag(
                "head",
                tag("meta", charset="utf-8"),
                tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
                tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
                tag("title", f"{title} – edgevid"),
                tag("style", STYLE),
            ),
            tag("body", tag("main", tag("h1", title), *children)),
            lang="en",
        )
    )


def percent(share: float | None) -> str:
    """A share of 1, with four digits that count; a dash for None."""
    return "–" if share is None else f"{100 * share:.4g} %"


def megabytes(value: float | None) -> str:
    """A size in 10^6 bytes, with three digits that count; a dash for None."""
    if value is None:
        return "–"
    return f"{value:.3g} MB" if value < 1000 else f"{value:.0f} MB"


def below(figure: str, note: str) -> Element:
    """A figure with a note in small type under it."""
    return tag("span", figure, tag("span", note, class_="note"))


def section(title: str, *children: Child) -> Element:
    """A part of the page under its heading."""
    return tag("section", tag("h2", title), *children)


def paragraph(*children: Child, class_: str = "") -> Element:
    """Running text."""
    return tag("p", *children, class_=class_) if class_ else tag("p", *children)


def listing(items: Sequence[str]) -> Element:
    """A list with bullets; "Nothing." where it is empty."""
    return tag("ul", *(tag("li", item) for item in items)) if items else paragraph("Nothing.")


def facts(pairs: Mapping[str, Child]) -> Element:
    """Names and values, one pair a line."""
    cells = (cell for name, value in pairs.items() for cell in (tag("dt", name), tag("dd", value)))
    return tag("dl", *cells, class_="facts")


def tiles(pairs: Mapping[str, str]) -> Element:
    """A few figures in large type."""
    cells = (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs.items())
    return tag("dl", *cells, class_="tiles")


def figure(title: str, *children: Child, caption: str, wide: bool = False) -> Element:
    """A chart, what it shows and how to read it; a wide one scrolls on a narrow screen."""
    if not wide:
        return tag("figure", tag("h3", title), *children, tag("figcaption", caption))
    scroll = tag("div", *children, class_="scroll", role="region", aria_label=title, tabindex="0")
    return tag("figure", tag("h3", title), scroll, tag("figcaption", caption), class_="wide")


def folded(summary: str, *children: Child) -> Element:
    """What is shown when asked for; on paper always."""
    return tag("details", tag("summary", summary), *children)


def table(
    name: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Child]],
    *,
    words: Sequence[int] = (),
    marked: int | None = None,
) -> Element:
    """A table that scrolls sideways where it is too wide; its first column names the rows.

    Args:
        name: What it holds, for those who hear it.
        head: Titles of the columns.
        rows: As many cells each.
        words: Columns with running text; the others hold figures.
        marked: The row that is set off.
    """
    kinds = ["text" if i == 0 or i in words else "number" for i in range(len(head))]
    titles = (
        tag("th", title, scope="col", class_=kind) for title, kind in zip(head, kinds, strict=True)
    )
    body = []
    for number, row in enumerate(rows):
        first, *others = (
            tag("td" if i else "th", cell, class_=kinds[i]) for i, cell in enumerate(row)
        )
        first.set("scope", "row")
        line = tag("tr", first, *others)
        if number == marked:
            line.set("class", "kept")
        body.append(line)
    whole = tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *body))
    return tag("div", whole, class_="scroll", role="region", aria_label=name, tabindex="0")
