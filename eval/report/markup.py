"""Small pieces of HTML: numbers, absences, tables, pictures."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.ladder.pictures import data_uri


def number(value: Any, digits: int = 3) -> str:
    """Format a number, an absence or any other value as HTML text."""
    if value is None:
        return '<span class="absent">&ndash;</span>'
    if isinstance(value, Mapping) and "absent" in value:
        return f'<span class="absent">absent: {escape(value["absent"])}</span>'
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    if isinstance(value, list):
        return "[" + ", ".join(number(item, digits) for item in value) + "]"
    if isinstance(value, Mapping):
        return "<br>".join(f"{escape(str(key))} {number(item, digits)}" for key, item in value.items())
    return escape(str(value))


def with_interval(section: Mapping[str, Any] | None, figure: str) -> str:
    """A figure beside its 95 % interval."""
    if section is None or section.get(figure) is None:
        return number(None)
    low, high = section[f"{figure}_ci95"]
    return f"{section[figure]:.3f} <small>{low:.3f}&hairsp;&ndash;&hairsp;{high:.3f}</small>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """An HTML table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><tr>{top}</tr>{body}</table></div>'


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else value


def figure(picture: NDArray[np.uint8], caption: str, alternative: str) -> str:
    """An inline picture with a caption."""
    image = f'<img src="{data_uri(picture)}" alt="{escape(alternative)}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def facts(section: Mapping[str, Any], skip: Sequence[str] = ()) -> str:
    """A section of metrics.json as a list of names and values."""
    items = [f"<dt>{escape(k)}</dt><dd>{number(v)}</dd>" for k, v in section.items() if k not in skip]
    return f"<dl>{''.join(items)}</dl>"
