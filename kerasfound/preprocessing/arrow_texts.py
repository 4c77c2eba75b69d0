"""The shared operations on texts, for a column of an Arrow table."""

from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ArrowTexts:
    """Texts are Arrow arrays without nulls; integers, numbers and conditions are NumPy arrays."""

    def matches(self, x: pa.Array, pattern: str) -> np.ndarray:
        return pc.match_substring_regex(x, f"^(?:{pattern})$").to_numpy(zero_copy_only=False)

    def select(self, condition: np.ndarray, x: Any, y: Any) -> pa.Array:
        return pc.if_else(pa.array(condition), x, y)

    def split(self, x: pa.Array, separator: str, count: int) -> list[pa.Array]:
        parts = pc.split_pattern(self.join(x, separator * count), separator)
        return [pc.list_element(parts, place) for place in range(count)]

    def replace(self, x: pa.Array, old: str, new: str, count: int) -> pa.Array:
        return pc.replace_substring(x, old, new)

    def join(self, *parts: Any) -> pa.Array:
        return reduce(lambda x, y: pc.binary_join_element_wise(x, y, ""), parts)

    def lookup(self, x: pa.Array, values: dict[str, str], default: str) -> pa.Array:
        places = pc.index_in(x, value_set=pa.array(list(values), pa.string()))
        return pc.fill_null(pa.array(list(values.values()), pa.string()).take(places), default)

    def to_integer(self, x: pa.Array) -> np.ndarray:
        return x.cast(pa.int64()).to_numpy()

    def to_number(self, x: pa.Array) -> np.ndarray:
        return x.cast(pa.float64()).to_numpy()

    def divide(self, x: np.ndarray, divisor: int, missing: np.ndarray) -> np.ndarray:
        return np.where(missing, np.nan, x / divisor)
