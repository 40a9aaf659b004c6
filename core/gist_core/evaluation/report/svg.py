"""From a matplotlib figure to SVG or PNG: the same bytes every time, nothing loaded from anywhere, text as text."""

from __future__ import annotations

import io
import re
from typing import Any

from gist_core.errors import MissingExtraError
from gist_core.highlight import escape

INK = "#010203"  # stands for the text colour until the SVG is written
_GREY = "#767676"  # the ink of a file of its own: reads on white and on black
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gist",
    "font.size": 8.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": INK,
    "grid.alpha": 0.18,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def load_matplotlib() -> Any:
    """The package, loaded now.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise MissingExtraError("Charts need matplotlib.", hint='pip install "gist-compressor[evaluate]"') from error
    return matplotlib


def inline(figure: Any, title: str, told: str, name: str) -> str:
    """SVG to stand in a page, in the page's fonts and text colour.

    Args:
        figure: What to draw.
        title: Its name for those who cannot see it.
        told: What it shows, in words.
        name: Its ids begin with it: several may stand in one page.
    """
    own = re.sub(r"[^a-zA-Z0-9]+", "-", name)
    svg = _svg(figure, "currentColor")
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{own}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{own}-", svg)
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    words = f'<title id="{own}-title">{escape(title)}</title><desc id="{own}-desc">{escape(told)}</desc>'
    labels = f'role="img" aria-labelledby="{own}-title {own}-desc"'
    return re.sub(r"<svg ([^>]*)>", lambda m: f"<svg {labels} {m[1]}>{words}", svg, count=1)


def standalone(figure: Any, title: str, told: str) -> str:
    """SVG that is a file of its own."""
    words = f"<title>{escape(title)}</title><desc>{escape(told)}</desc>"
    return re.sub(r"(<svg [^>]*>)", lambda m: m[1] + words, _svg(figure, _GREY), count=1)


def png(figure: Any) -> bytes:
    """A picture on white."""
    out = io.BytesIO()
    with load_matplotlib().rc_context(SETTINGS):
        figure.savefig(out, format="png", dpi=220, metadata={"Software": None})
    return out.getvalue()


def _svg(figure: Any, ink: str) -> str:
    """The figure with no date, no maker, no font by name."""
    out = io.StringIO()
    with load_matplotlib().rc_context(SETTINGS):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, ink)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
