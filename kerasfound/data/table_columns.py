"""The kinds of a table's columns, and which of them are left out: row numbers, ids, lists, texts all different."""

from collections.abc import Callable, Collection, Sequence

import pyarrow as pa

from kerasfound.bundle.schema import Column, ColumnKind
from kerasfound.preprocessing import table_rows
from kerasfound.preprocessing.column_inference import ALL_DIFFERENT, ONE_VALUE, infer_together
from kerasfound.preprocessing.readings import Conventions

from .identifiers import identifier_reason
from .parquet_columns import unreadable_reason


def infer_columns(
    cells: pa.Table,
    categorical: Collection[str],
    keep: Collection[str],
    tell: Callable[[str], object],
    conventions: Conventions,
    infer_target: Callable[[Conventions], Column],
    target_cells: pa.ChunkedArray,
) -> tuple[list[Column], Column]:
    """Infer the kind of each column and of the target. Columns that are left out have a reason.

    Args:
        cells: all columns but the target, all rows in the order of the file.
        categorical: columns to treat as categories, whatever they look like.
        keep: columns to keep that look like row numbers or ids.
        tell: receives a line about the row numbers and ids that are left out.
        conventions: how cells are written where the cells of no column decide it.
        infer_target: infers the target with some conventions, to decide together with the columns.
        target_cells: its cells.
    """
    ids = {
        name: reason
        for name in cells.column_names
        if name not in {*categorical, *keep} and (reason := identifier_reason(name, cells[name]))
    }
    others = [name for name in cells.column_names if name not in ids]

    def infer(names: Sequence[str]) -> tuple[dict[str, Column], Column]:
        flags = [(name, cells[name], name in categorical, name in keep) for name in names]
        *columns, target = infer_together(
            lambda shown: [*(_infer_column(*column, shown) for column in flags), infer_target(shown)],
            [*(cells[name] for name in names), target_cells],
            conventions,
        )
        return dict(zip(names, columns, strict=True)), target

    columns, target = infer(others)
    if not any(column.width for column in columns.values()):  # a table of nothing but a counter is about it
        columns, target = infer(cells.column_names)
        return list(columns.values()), target
    if ids:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in ids.items())
        tell(f"left out: {reasons}; --keep {','.join(ids)} keeps them")
    ignored = {name: _ignored(name, cells[name], reason) for name, reason in ids.items()}
    return [(columns | ignored)[name] for name in cells.column_names], target


def _infer_column(
    name: str, cells: pa.ChunkedArray, as_category: bool, is_kept: bool, conventions: Conventions
) -> Column:
    if reason := unreadable_reason(cells.type):
        return Column(name, ColumnKind.IGNORED, (), cells.null_count, reason=f"{reason}, not numbers or texts")
    column = table_rows.infer_column(name, cells, as_category, conventions)
    names_rows = column.kind == ColumnKind.CATEGORY and column.distinct == len(cells) - column.missing
    if is_kept and column.kind == ColumnKind.IGNORED and column.distinct > 1:
        return table_rows.infer_column(name, cells, as_category=True)
    if column.kind == ColumnKind.IGNORED or (names_rows and not as_category and not is_kept):
        return _ignored(name, cells, column.reason or (ONE_VALUE if column.distinct < 2 else ALL_DIFFERENT))
    return column


def _ignored(name: str, cells: pa.ChunkedArray, reason: str) -> Column:
    known = cells.drop_null()
    return Column(name, ColumnKind.IGNORED, (), cells.null_count, len(known.unique()), reason=reason)
