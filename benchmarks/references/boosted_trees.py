"""XGBoost, LightGBM, CatBoost and scikit-learn's MLP with their defaults: the references for tabular_mlp.

    pip install xgboost lightgbm catboost pandas
    python benchmarks/references/boosted_trees.py adult FOLDER --seed 0     # prints one JSON object per model

The trees accept categories directly. For the MLP, categories are one-hot encoded and numbers standardized; it stops
early on a tenth of the training rows. All models are fitted on the training split only.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import cyclopts
import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import kerasfound as kf
from kerasfound.training import evaluation


def frame(table: kf.data.Dataset, x: np.ndarray) -> pd.DataFrame:
    """Return encoded rows as a data frame; category codes are integers with a categorical dtype."""
    kinds = [column.kind for column in table.schema.columns for _ in range(column.width)]
    columns = {}
    for i, (kind, column) in enumerate(zip(kinds, x.T, strict=True)):
        codes = pd.CategoricalDtype(range(int(table.train.x[:, i].max()) + 1)) if kind == "category" else None
        columns[f"x{i}"] = pd.Series(column.astype("int64"), dtype=codes) if codes else pd.Series(column)
    return pd.DataFrame(columns)


def models(train: pd.DataFrame, classes: bool, seed: int) -> dict[str, Callable[[], Any]]:
    categories = list(train.select_dtypes("category"))
    numbers = [name for name in train if name not in categories]
    prepared = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), categories),
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
    )
    boosted = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
    light = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    cat = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
    network = MLPClassifier if classes else MLPRegressor
    return {
        "XGBoost": lambda: boosted(enable_categorical=True, random_state=seed),
        "LightGBM": lambda: light(random_state=seed, verbose=-1),
        "CatBoost": lambda: cat(cat_features=categories, random_seed=seed, verbose=False, allow_writing_files=False),
        "scikit-learn MLP": lambda: make_pipeline(prepared, network(early_stopping=True, random_state=seed)),
    }


def main(data: str, folder: Path, seed: int = 0) -> None:
    """Fit each model, and print training seconds and test metrics."""
    table = kf.data.load_table(data, str(folder))
    train, test = frame(table, table.train.x), frame(table, table.test.x)
    classes = bool(table.schema.labels)
    mean, deviation = (0, 1) if classes else (table.train.y.mean(), table.train.y.std())
    for name, make in models(train, classes, seed).items():
        model = make()
        started = time.perf_counter()
        model.fit(train, (table.train.y - mean) / deviation if not classes else table.train.y)
        seconds = time.perf_counter() - started
        predictions = model.predict_proba(test) if classes else model.predict(test)[:, None] * deviation + mean
        metrics = evaluation.compute_metrics(predictions, table.test, table.schema)
        print(json.dumps({"model": name, "seconds": round(seconds, 1), **metrics}), flush=True)


if __name__ == "__main__":
    cyclopts.run(main)
