"""A lab's figure: it is drawn, told in words for people who do not see it, and written as data."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasfound import _lazy

from .measured import significant
from .panels import Panel, Series

if TYPE_CHECKING:
    import numpy as np

    from . import drawing
else:
    np, drawing = _lazy.module("numpy"), _lazy.module("kerasfound.labs.drawing")


@dataclass(frozen=True)
class Figure:
    """Panels side by side."""

    panels: tuple[Panel, ...]

    def draw(self, path: Path) -> Path:
        """Write the figure to a .png or .svg file."""
        return drawing.draw(self.panels, Path(path))

    def png(self) -> str:
        """The figure as PNG in base64, for a notebook."""
        with tempfile.TemporaryDirectory() as folder:
            return base64.b64encode(self.draw(Path(folder) / "figure.png").read_bytes()).decode()

    @property
    def alt_text(self) -> str:
        """The figure in words, for people who do not see it."""
        return " ".join(_panel_in_words(panel) for panel in self.panels)

    def as_json(self) -> list[dict[str, Any]]:
        """The data of all panels in plain lists and numbers."""
        return [
            {
                "title": panel.title,
                "x": panel.x,
                "y": panel.y,
                "kind": panel.kind,
                "log": panel.log,
                "series": {
                    name: {
                        key: _plain(values)
                        for key, values in (("x", data.x), ("y", data.y), ("low", data.low), ("high", data.high))
                        if values is not None
                    }
                    for name, data in panel.series.items()
                },
            }
            | ({"image": _plain(panel.image)} if panel.image is not None else {})
            | ({"extent": list(panel.extent)} if panel.extent is not None else {})
            | ({"marks": {name: float(x) for name, x in panel.marks.items()}} if panel.marks else {})
            for panel in self.panels
        ]


def _plain(values: Any) -> Any:
    return np.asarray(values).tolist()


def _panel_in_words(panel: Panel) -> str:
    kind = {"line": "Curves", "points": "Points", "bars": "Bars"}[panel.kind] if panel.series else "A picture"
    parts = [_series_in_words(name, data, panel) for name, data in panel.series.items()]
    scale = " (logarithmic)" if "y" in panel.log else ""
    return f"{panel.title}. {kind} of {panel.y}{scale} by {panel.x}{': ' if parts else ''}{'; '.join(parts)}."


def _series_in_words(name: str, data: Series, panel: Panel) -> str:
    if panel.kind == "bars":
        return f"{name}: " + ", ".join(f"{x} {significant(y)}" for x, y in zip(data.x, data.y, strict=True))
    if panel.kind == "points":
        return f"{name}, {len(data.y)} points"
    ends = f"from {significant(data.y[0])} at {_x(data.x[0])} to {significant(data.y[-1])} at {_x(data.x[-1])}"
    return f"{name} {ends}, smallest {significant(min(data.y))}, largest {significant(max(data.y))}"


def _x(value: Any) -> str:
    return value if isinstance(value, str) else significant(float(value))
