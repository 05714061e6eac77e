"""A picture of a report: a title, a caption, and a figure or a table; how each becomes HTML that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .style import GRID, INK, MUTED, house_style, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: An SVG above this many characters (a scatter of everything, say) is sent as a PNG instead.
_LARGEST_SVG = 900_000


@dataclass(frozen=True)
class Table:
    """Rows and columns as HTML, made by `table`."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True, eq=False)
class Picture:
    """One thing to look at.

    Attributes:
        title: A few words.
        caption: What a reader sees in it, in a sentence or two; may be empty.
        figure: A matplotlib ``Figure`` or a `Table`.
        alt: What is read out to someone who can't see the figure; title and caption if empty.
    """

    title: str
    caption: str
    figure: Figure | Table
    alt: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.figure, Table) and not hasattr(self.figure, "savefig"):
            raise UsageError(
                f"Picture {self.title!r}: wanted a matplotlib Figure or a table(...), got {type(self.figure).__name__}."
            )

    @property
    def body(self) -> str:
        """The figure alone, as HTML: inline SVG that follows the page's colours, a PNG if that is smaller, or a table."""
        if isinstance(self.figure, Table):
            return self.figure.html
        alt = self.alt or ". ".join(filter(None, [self.title, self.caption]))
        drawing = svg(self.figure, alt)
        if len(drawing) <= _LARGEST_SVG:
            return drawing
        width = self.figure.get_figwidth() * 100
        content = base64.b64encode(png(self.figure)).decode()
        style = f"width:100%;max-width:{width:.0f}px;background:#fff;border-radius:4px"
        return f'<img alt="{html.escape(alt)}" style="{style}" src="data:image/png;base64,{content}">'

    @property
    def wide(self) -> bool:
        """Whether it wants a whole row of the page."""
        if isinstance(self.figure, Table):
            return False
        return float(self.figure.get_figwidth()) > 7.0

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return f"<figure><p><b>{html.escape(self.title)}</b></p>{self.body}{caption}</figure>"


class Pictures(tuple[Picture, ...]):
    """Several pictures, shown one below the other in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return "".join(picture._repr_html_() for picture in self)


def svg(figure: Figure, alt: str = "") -> str:
    """A figure as one ``<svg>`` element for the inside of a page: scales to its place, takes the page's ink colours."""
    import matplotlib

    buffer = io.StringIO()
    # Text stays text: it is small, selectable, and takes the page's font. The salt makes equal figures equal bytes.
    with house_style(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt or "lowland"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.04, dpi=160, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text)
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (GRID, "grid")):
        text = text.replace(colour, f"var(--{variable}, {colour})")
    # No family of its own, so that the page's font is used; the sizes stay.
    text = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", lambda found: _font(*found.groups()), text)
    found = re.match(r"<svg [^>]*?viewBox=\"0 0 ([\d.]+) [\d.]+\"[^>]*>", text)
    if found is None:
        raise RuntimeError("matplotlib wrote an SVG without a viewBox.")
    width = float(found[1]) * 100 / 72
    box = re.search(r'viewBox="[^"]+"', found[0])
    opening = (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" {box[0] if box else ""} '
        f'role="img" aria-label="{html.escape(alt)}" style="width:100%;height:auto;max-width:{width:.0f}px">'
    )
    return opening + text[found.end() :].strip()


def _font(weight: str | None, size: str) -> str:
    return f"font-size: {size}" + (f"; font-weight: {weight}" if weight else "")


def png(figure: Figure) -> bytes:
    """A figure as PNG on white, 160 dots an inch."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", bbox_inches="tight", dpi=160, facecolor="white")
    return buffer.getvalue()


def table(
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    columns: Sequence[str] | None = None,
    *,
    highlight: Mapping[tuple[int, str], str] | None = None,
) -> Table:
    """Rows as an HTML table; numbers are set right and rounded to four digits.

    Args:
        rows: A mapping from column to value, or the values in the order of ``columns``, for each row.
        columns: What to show, in order; by default the keys of the first row.
        highlight: ``{(row, column): "good" | "bad" | "best"}``: cells to bring out.

    Raises:
        UsageError: If there are no columns, or a row has another number of values than there are columns.
    """
    rows = list(rows)
    if columns is None:
        if not rows or not isinstance(rows[0], Mapping):
            raise UsageError("table: wanted `columns`, because the rows don't name them.")
        columns = list(rows[0])
    body, numeric = [], set()
    for index, row in enumerate(rows):
        values = [row.get(column, "") for column in columns] if isinstance(row, Mapping) else list(row)
        if len(values) != len(columns):
            raise UsageError(f"table: wanted {len(columns)} values in row {index}, got {len(values)}.")
        numeric.update(column for value, column in zip(values, columns, strict=True) if _is_number(value))
        cells = [
            _cell(value, (highlight or {}).get((index, column))) for value, column in zip(values, columns, strict=True)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    opening = {
        column: '<th scope="col" class="number">' if column in numeric else '<th scope="col">' for column in columns
    }
    head = "".join(f"{opening[column]}{html.escape(str(column))}</th>" for column in columns)
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return Table(f'<div class="scroll"><table>{content}</table></div>')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any, highlight: str | None) -> str:
    numeric = _is_number(value) or value is None
    classes = " ".join(filter(None, ["number" if numeric else "", highlight or ""]))
    text = number(value) if numeric else str(value)
    opening = f'<td class="{classes}">' if classes else "<td>"
    return f"{opening}{html.escape(text)}</td>"
