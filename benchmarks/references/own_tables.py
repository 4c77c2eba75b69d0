"""scikit-learn's linear models and HistGradientBoosting with their defaults: the references for tables of one's own.

    python benchmarks/references/own_tables.py my.csv --target price --seed 0     # prints one JSON object per model

The rows, their encoding and the split are those of the recipe. The models are fitted to the training and validation
rows, as the recipe is. For the linear models, numbers are standardized, missing ones are medians, and categories are
one-hot.
"""

import json
import time
from typing import Any

import cyclopts
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import kerasfound as kf
from kerasfound.training import evaluation

MAX_CATEGORIES = 255
"""HistGradientBoosting takes columns with more categories as numbers only."""


def models(table: kf.data.Dataset, x: np.ndarray, seed: int) -> dict[str, Any]:
    kinds = [column.kind for column in table.schema.columns for _ in range(column.width)]
    categories = [i for i, kind in enumerate(kinds) if kind == "category"]
    numbers = [i for i, kind in enumerate(kinds) if kind != "category"]
    few = [i for i in categories if x[:, i].max() < MAX_CATEGORIES]
    prepared = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), categories),
        (make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()), numbers),
    )
    classes = bool(table.schema.labels)
    linear = LogisticRegression(max_iter=1000) if classes else Ridge()
    boosted = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return {
        "linear": make_pipeline(prepared, linear),
        "HistGradientBoosting": boosted(categorical_features=few, random_state=seed),
    }


def main(data: str, target: str | None = None, seed: int = 0) -> None:
    """Fit each model, and print training seconds and test metrics."""
    table = kf.data.load_table(data, target=target, seed=seed)
    x, y = (np.concatenate(arrays) for arrays in zip(table.train, table.validation, strict=True))
    for name, model in models(table, x, seed).items():
        started = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - started
        outputs = model.predict_proba(table.test.x) if table.schema.labels else model.predict(table.test.x)[:, None]
        metrics = evaluation.compute_metrics(outputs, table.test, table.schema)
        print(json.dumps({"model": name, "seconds": round(seconds, 1), **metrics}), flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
