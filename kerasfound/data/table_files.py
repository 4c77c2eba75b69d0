"""CSV and Parquet files -> Arrow tables, before the kinds of the columns are inferred."""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from kerasfound.errors import UserError, one_line
from kerasfound.preprocessing.table_rows import normalize_missing
from kerasfound.wording import counted, enumerate_some

from .csv_dialect import SAMPLE, SPACE, Dialect, find_dialect, split_plainly
from .csv_header import complete_names, has_header
from .csv_rows import read_rows, row_at, sample_rows
from .parquet_columns import readable_column
from .text_encoding import decode

Tell = Callable[[str], object]
PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""

NO_TABLES = {
    r"\s*<(!doctype|html|\?xml)": "a web page or XML",
    r"\s*(\[\s*)?\{\s*\"": "JSON",
    r"version https://git-lfs": "a pointer of Git LFS, whose file is not here",
}
"""How texts begin that people give in place of a table."""


def read_table_file(
    path: Path,
    header: bool | None = None,
    names: Sequence[str] = (),
    *,
    verbatim: bool = False,
    tell: Tell | None = None,
) -> pa.Table:
    """Read a CSV or Parquet file. The cells of a CSV file are texts, without the spaces around them.

    Args:
        path: a Parquet file, or a CSV file: comma, semicolon, tab or bar between the cells.
        header: whether the first row of a CSV file has the names of the columns. The default is inferred from the rows.
            Without names the columns are `column_1`, `column_2`, ...
        names: the columns that are looked for. A CSV file whose first row has them has a header; one without a header
            and with as many columns has them in this order.
        verbatim: keep texts that stand for a missing value, such as NA; only empty cells are missing.
        tell: receives a line about each thing that was not plain to read. By default it is printed to stderr.

    Raises:
        UserError: if it cannot be read, or a row has more or fewer cells than the others.
    """
    tell = tell or (lambda line: print(f"{path}: {line}.", file=sys.stderr))
    try:
        data = path.read_bytes()
        table = _read_parquet(data, tell) if data.startswith(PARQUET) else _read_csv(data, path, header, names, tell)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); give a CSV or Parquet file.") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a Parquet file that can be read ({one_line(error)}).") from error
    clean = _strip if verbatim else normalize_missing
    cleaned = pa.table([clean(column) for column in table.columns], names=table.column_names)
    if verbatim:
        _tell_spaces(table, cleaned, tell)
    return cleaned


def is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def _read_parquet(data: bytes, tell: Tell) -> pa.Table:
    table = pyarrow.parquet.read_table(pa.BufferReader(data))
    columns = [readable_column(column) for column in table.columns]
    return pa.table(columns, names=complete_names(table.column_names, tell))


def _read_csv(data: bytes, path: Path, header: bool | None, names: Sequence[str], tell: Tell) -> pa.Table:
    text, remark = decode(data, str(path))
    if remark:
        tell(remark)
    for start, what in NO_TABLES.items():
        if re.match(start, text, re.IGNORECASE):
            raise UserError(f"{path}: not a table but {what}; give a CSV or Parquet file.")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    if text.isspace():
        raise UserError(f"{path}: empty; expected the names of the columns in the first row, and rows.")
    lines = text.split("\n", 2 * SAMPLE)[:-1]
    dialect = find_dialect(lines)
    if dialect.consistency < 0.5:
        raise UserError(
            f"{path}: not a table: only {dialect.consistency:.0%} of its lines have {counted(dialect.width, 'cell')} "
            f"separated by {dialect.separator!r}, others have more or fewer; put double quotes around text with a "
            "separator in it."
        )
    if dialect.comments:
        tell(f"left out before the table, lines: {len(dialect.comments)}, such as {dialect.comments[0][:60]!r}")
    columns, first = _columns(lines, dialect, header, names, str(path), tell)
    body = text[sum(len(line) + 1 for line in lines[:first]) :]
    table = _read_fast(body, dialect, columns)
    if table is None:
        table = _read_slowly(body, dialect, columns, first, path, tell)
    return _without_repeated_header(table, tell)


def _columns(
    lines: Sequence[str], dialect: Dialect, header: bool | None, names: Sequence[str], file: str, tell: Tell
) -> tuple[list[str], int]:
    """The names of the columns, and the line of the first row."""
    separator, width, _, first, _ = dialect
    head = row_at(lines, first, separator, width)
    cells = [cell.strip() for cell in head.cells]
    rows = sample_rows(lines[: first + SAMPLE], separator, width, first + head.lines)
    while width > 1 and rows and not any("".join(row[width - 1 :]).strip() for row in [cells, *rows]):
        width -= 1  # a separator at the end of each row
    cells, rows = [*cells[:width], *filter(None, cells[width:])], [row[:width] for row in rows]
    if header is None and names:
        header = set(names) <= set(cells) or not all(re.fullmatch(r"column_\d+", name) for name in names)
    if header is None:
        header = len(cells) != width or has_header(cells, rows)
        commented = split_plainly(dialect.comments[-1].lstrip("# "), separator) if dialect.comments else []
        if not header and len(commented) == width > 1:
            tell("the names of the columns are those of the last comment")
            return complete_names(commented, tell), first
        if not header:
            tell(f"the first row has values, no names: the columns are called column_1 to column_{width}")
    if not header:
        return list(names) if len(names) == width else [f"column_{i}" for i in range(1, width + 1)], first
    if len(cells) == width - 1 and len({row[0] for row in rows}) == len(rows):
        tell("the header has one name less than the rows have cells: the first column has no name, as in files of R")
        cells.insert(0, "")
    if len(cells) != width:
        raise UserError(
            f"{file}: the header has {counted(len(cells), 'name')}, the rows have {counted(width, 'cell')}; "
            "give each column one."
        )
    return complete_names(cells, tell), first + head.lines


def _read_fast(text: str, dialect: Dialect, names: list[str]) -> pa.Table | None:
    """Read with Arrow's parser. None if it does not make a row of each line, or drops a quote."""
    s = re.escape(dialect.separator)
    has_quotes = '"' in text
    # a quote that does not begin or end a cell, and is not doubled
    if dialect.separator == SPACE or (has_quotes and re.search(rf'"(?<=[^{s}\n"]")(?![{s}\n"])', text)):
        return None
    ragged: list[pyarrow.csv.InvalidRow] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=pyarrow.csv.ReadOptions(column_names=names),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.separator,
                quote_char='"' if has_quotes else False,
                newlines_in_values=has_quotes,
                invalid_row_handler=skip,
                ignore_empty_lines=len(names) > 1,
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:  # no rows, a quote that never closes, or a cell larger than a block
        return None
    missing = text.count("\n") - len(table)  # lines that are no rows: blank ones, or within a cell
    num_blank = len(re.findall(r"^\s*?$", text[:-1], re.MULTILINE)) if missing and len(names) > 1 else 0
    return None if ragged or missing != num_blank else table


def _read_slowly(text: str, dialect: Dialect, names: list[str], first: int, path: Path, tell: Tell) -> pa.Table:
    """Read row by row, with quotes around cells in some rows and as plain characters in others."""
    rows, plain = read_rows(text.split("\n")[:-1], dialect.separator, len(names), first, str(path))
    if plain:
        tell(
            f"{counted(len(plain), 'row')} with a double quote that encloses no cell, first row "
            f"{plain[0] + 1}: it is read as a character"
        )
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.table([pa.chunked_array([pa.array(column, pa.string())]) for column in columns], names=names)


def _without_repeated_header(table: pa.Table, tell: Tell) -> pa.Table:
    """Without the rows that are the names of the columns again, as in files that were joined."""
    is_header = pc.equal(table.column(0), table.column_names[0])
    for name in table.column_names[1:] if pc.any(is_header).as_py() else ():
        is_header = pc.and_(is_header, pc.equal(table[name], name))
    repeated = pc.sum(is_header).as_py() or 0
    if not repeated or table.num_columns < 2:
        return table
    tell(f"rows that repeat the names of the columns are left out: {repeated}")
    return table.filter(pc.invert(is_header))


def _tell_spaces(table: pa.Table, stripped: pa.Table, tell: Tell) -> None:
    """Tell about the cells that were stripped: a label with a space is not what the file has any more."""
    columns = []
    for name in table.column_names:
        if pa.types.is_string(table[name].type):
            count = pc.sum(pc.not_equal(table[name], stripped[name])).as_py()  # empty cells are null: not counted
            if count:
                columns.append(f"{name} ({counted(count, 'cell')})")
    if columns:
        tell(f"spaces around cells are left out: {enumerate_some(columns)}")


def _strip(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without the spaces around them; empty ones are missing. Cells that are not text do not change."""
    if not pa.types.is_string(cells.type):
        return cells
    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(text, ""), None, text)
