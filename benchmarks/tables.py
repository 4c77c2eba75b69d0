"""Seconds and memory to read a table of a million rows, as CSV and as Parquet.

python benchmarks/tables.py
"""

import resource
import tempfile
import time
from pathlib import Path

import cyclopts
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from kerasfound import data


def main(rows: int = 1_000_000) -> None:
    """Write a table with numbers, some of them missing, a category, a boolean and a date, and read it back."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2020-01-01") + rng.integers(0, 1000, rows)
    table = pa.table(
        {
            **{f"number {i}": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.1) for i in range(8)},
            "city": rng.choice([f"city {i}" for i in range(1000)], rows),
            "member": rng.random(rows) < 0.5,
            "day": days,
            "class": rng.choice(["no", "yes"], rows),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        pyarrow.csv.write_csv(table, Path(folder) / "table.csv")
        pyarrow.parquet.write_table(table, Path(folder) / "table.parquet")
        for name in ("table.parquet", "table.csv"):
            started = time.perf_counter()
            dataset = data.load_table(str(Path(folder) / name), target="class")
            seconds = time.perf_counter() - started
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"{name}: {rows:,} rows, {dataset.schema.shape[0]} numbers each: {seconds:.1f} s, {memory:.1f} GiB")


if __name__ == "__main__":
    cyclopts.run(main)
