"""The shared operations on texts, in TensorFlow."""

import re
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


class TensorFlowTexts:
    """Texts, integers, numbers and conditions are tensors.

    TensorFlow saves only lookup tables that are created eagerly: run the operations once before they are traced.
    """

    def __init__(self) -> None:
        self.tables: dict[tuple[tuple[str, ...], str], Any] = {}

    def matches(self, x: "tf.Tensor", pattern: str) -> "tf.Tensor":
        import tensorflow as tf

        return tf.strings.regex_full_match(x, pattern)

    def select(self, condition: "tf.Tensor", x: Any, y: Any) -> "tf.Tensor":
        import tensorflow as tf

        return tf.where(condition, x, y)

    def split(self, x: "tf.Tensor", separator: str, count: int) -> list["tf.Tensor"]:
        import tensorflow as tf

        parts = tf.strings.split(self.join(x, separator * count), separator)
        return tf.unstack(parts.to_tensor("", shape=[None, count]), axis=1)

    def replace(self, x: "tf.Tensor", old: str, new: str, count: int) -> "tf.Tensor":
        import tensorflow as tf

        return tf.strings.regex_replace(x, re.escape(old), new)

    def join(self, *parts: Any) -> "tf.Tensor":
        return reduce(lambda x, y: x + y, parts)

    def lookup(self, x: "tf.Tensor", values: dict[str, str], default: str) -> "tf.Tensor":
        from ..saved_model_writer import lookup_table

        key = (*values, *values.values()), default
        if key not in self.tables:
            self.tables[key] = lookup_table(values, default)
        return self.tables[key].lookup(x)

    def to_integer(self, x: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        return tf.strings.to_number(x, tf.int64)

    def to_number(self, x: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        number = tf.cast(tf.strings.to_number(x, tf.float64), tf.float32)
        return tf.where(tf.math.is_inf(number), np.float32(np.nan), number)

    def divide(self, x: "tf.Tensor", divisor: int, missing: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        # float64: TensorFlow may multiply by the reciprocal, which rounds otherwise
        number = tf.cast(tf.cast(x, tf.float64) / divisor, tf.float32)
        return tf.where(missing, np.float32(np.nan), number)
