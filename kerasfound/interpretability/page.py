"""Write explanations: all sections into one self-contained page, or one figure into a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from kerasfound.atomic import replacing
from kerasfound.errors import UserError
from kerasfound.training import report
from kerasfound.training.report import Section

SUFFIXES = (".html", ".png", ".svg")


def check_out(path: Path) -> None:
    """Refuse the name of a file that `write` cannot write, before anything is computed."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"`out` {path}: must end in .html for the page, or in .png or .svg for its first figure.")
    if not path.parent.is_dir():
        raise UserError(f"`out` {path}: the folder {path.parent} does not exist; create it first.")


def write(sections: Sequence[Section], path: Path, title: str, lead: str) -> Path:
    """Write a page of all sections, or the first figure for a path that ends in .png or .svg.

    Args:
        sections: titles and texts with figures and tables.
        path: ends in .html, .png or .svg.
        title: of the page.
        lead: the sentence below the title.

    Raises:
        UserError: if the path has another suffix, cannot be written, or there is no figure for it.
    """
    check_out(path)
    try:
        with matplotlib.rc_context(report.STYLE), replacing(path) as part:
            if path.suffix.lower() != ".html":
                figures = [section.figure for section in sections if section.figure]
                if not figures:
                    raise UserError(f"`out` {path}: the explanation has tables only; write a .html page.")
                figures[0].savefig(part, dpi=150)
                return path
            plots = {section.name: report.data_url(report.svg(s)) for section in sections if (s := section.figure)}
            page = report.template("page.html", Path(__file__).parent).render(
                title=title, lead=lead, sections=sections, plots=plots
            )
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"`out` {path}: cannot be written ({error.strerror}); name another file.") from error
    return path
