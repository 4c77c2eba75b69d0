"""Columns of Parquet files as the types that a table is encoded from: texts, numbers, booleans, dates and times."""

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types


def readable_column(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the cells as text or numbers where their type is another way to keep these; otherwise unchanged.

    Dictionaries, run lengths and extensions are unpacked, bytes of UTF-8 are texts, decimals are numbers, durations
    and times of the day are numbers of seconds.

    Example:
        >>> readable_column(pa.chunked_array([pa.array([90], pa.duration("s"))])).to_pylist()
        [90.0]
    """
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        return readable_column(pa.chunked_array([chunk.storage for chunk in cells.chunks], kind.storage_type))
    if types.is_dictionary(kind):
        return readable_column(cells.cast(kind.value_type))
    if types.is_run_end_encoded(kind):
        return readable_column(pa.chunked_array([pc.run_end_decode(chunk) for chunk in cells.chunks], kind.value_type))
    if types.is_large_string(kind) or types.is_string_view(kind):
        return cells.cast(pa.string())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return _decoded(cells)
    if types.is_decimal(kind):
        return cells.cast(pa.float64())
    if types.is_duration(kind) or types.is_time(kind):
        return _seconds(cells)
    if types.is_null(kind):
        return cells.cast(pa.string())
    return cells


def unreadable_reason(kind: pa.DataType) -> str:
    """What cells of this type hold that no number can be made of, in one word; empty if one can.

    Example:
        >>> unreadable_reason(pa.list_(pa.string())), unreadable_reason(pa.int8())
        ('lists', '')
    """
    if types.is_map(kind):
        return "maps"
    if types.is_struct(kind):
        return "structs"
    if types.is_union(kind):
        return "values of several types"
    if "binary" in str(kind):
        return "bytes"
    return "lists" if types.is_nested(kind) else ""


def _decoded(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return cells.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # pictures, sounds, keys
        return cells


def _seconds(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[cells.type.unit]
    whole = cells.cast(pa.int32()) if types.is_time32(cells.type) else cells.cast(pa.int64())
    return pc.divide(whole.cast(pa.float64()), per_second)
