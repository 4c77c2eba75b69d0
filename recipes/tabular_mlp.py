"""A table, of numbers and categories, with an ensemble of small dense networks.

Shows: numbers as thermometers with bins from decision trees, embedded categories, an ensemble that shares its weights.
Costs: 25 s on 2 CPU cores for Adult's 29,000 training rows, with TensorFlow.
Reaches: Adult 86.9% and AUC 0.925, California housing RMSE 42,400 $ (means of 3 seeds); benchmarks/RESULTS.md.

    kerasfound run tabular_mlp --data wine                            # built in, as breast_cancer and diabetes are
    kerasfound run tabular_mlp --data adult --data-dir FOLDER         # adult_train.csv and adult_test.csv in FOLDER
    kerasfound run tabular_mlp --data my.csv --target price           # CSV or Parquet; --task regression to insist
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, ClassVar, Literal

import kerasfound as kf
from kerasfound.errors import UserError

if TYPE_CHECKING:  # heavy, and not needed to ask for --help
    import keras
    import numpy as np


@dataclasses.dataclass(kw_only=True)
class Config(kf.training.Config):
    PRESETS: ClassVar = {"smoke": {"data": "wine", "epochs": 3}}

    data: str = "adult"
    """A named table (adult, california, breast_cancer, diabetes, wine), or a CSV or Parquet file."""
    data_dir: str | None = None
    """The folder with the files of adult and california. Defaults to a download."""
    target: str | None = None
    """The column to predict. A named table has one of its own."""
    task: Literal["classification", "regression"] | None = None
    """Defaults to what the target looks like: text or few whole numbers are classes."""
    categorical: tuple[str, ...] = ()
    """Columns to take as categories although they look like numbers, with commas between them."""
    epochs: int | None = kf.training.number(None, at_least=1)
    """Passes over the training rows. Defaults to 15, or to 40 where they are fewer than 20,000."""
    batch_size: int | None = kf.training.number(None, at_least=1)
    """Rows in one step. Defaults to a fiftieth of them, but at least 16 and at most 256."""
    learning_rate: float = kf.training.number(6e-3, above=0)
    """AdamW's step size at the peak of the cycle."""
    members: int = kf.training.number(8, at_least=1)
    """Networks in the ensemble; they share their dense layers."""
    width: int = kf.training.number(128, at_least=1)
    """Units of each of the two dense layers."""
    bins: int = kf.training.number(64, at_least=2)
    """Bins of a number, at most."""
    pairs: int = kf.training.number(6, at_least=0)
    """Pairs of numbers, at most, whose sum and difference become numbers of their own."""
    dropout: float = kf.training.number(0.1, at_least=0)
    """Share of a layer's units that are dropped at random in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.categorical = tuple(name for names in self.categorical for name in names.split(","))
        if self.dropout >= 1:
            raise UserError(f"--dropout must be below 1, got {self.dropout}.")


def build(schema: kf.bundle.Schema, train: kf.data.Split, config: Config) -> tuple[keras.Model, keras.Model]:
    """An encoded row in; every member's answer out of the first model, which is trained, their mean out of the second.

    Args:
        schema: tells numbers from categories.
        train: what medians, scales, pairs and bins come from; a regression's targets are standardized.
        config: tells the sizes.
    """
    import keras
    from keras import ops

    row = keras.Input(schema.shape, name=schema.input)
    kinds = [column.kind for column in schema.columns for _ in range(column.width)]
    numbers = [place for place, kind in enumerate(kinds) if kind != "category"]
    categories = [place for place, kind in enumerate(kinds) if kind == "category"]
    sizes = [len(column.categories) + 1 for column in schema.columns if column.kind == "category"]

    features = []
    if numbers:
        scaled = scale(row, numbers, train)
        seen = ops.convert_to_numpy(keras.Model(row, scaled)(train.x))
        pairs = telling_pairs(seen, train.y, bool(schema.labels))[: config.pairs]
        if pairs:
            left, right = zip(*pairs, strict=True)
            one, other = ops.take(scaled, left, axis=1), ops.take(scaled, right, axis=1)
            scaled = keras.layers.Concatenate(name="with_pairs")([scaled, one + other, one - other])
            seen = ops.convert_to_numpy(keras.Model(row, scaled)(train.x))
        # bins where trees would cut: a quantile would put all of a rare but telling value into its last bin
        edges = [tree_edges(x, train.y, bool(schema.labels), config.bins) for x in seen.T]
        bins = kf.layers.PiecewiseLinearEncoding(edges, name="bins")(scaled)
        # each number has its own weights here: eight straight-edged functions of it
        curves = keras.layers.EinsumDense(
            "bft,ftd->bfd", (len(edges), 8), bias_axes="fd", activation=kf.activations.relu, name="curves"
        )(bins)
        features += [scaled, keras.layers.Flatten(name="flatten")(curves)]
        unknown = [place for place in numbers if (train.x[:, place] != train.x[:, place]).any()]
        if unknown:
            features.append(ops.cast(ops.isnan(ops.take(row, unknown, axis=1)), "float32"))
    if categories:
        codes = ops.take(row, categories, axis=1)
        features.append(kf.layers.CategoryEmbedding(sizes, 8, unknown_rate=0.01, name="categories")(codes))

    x = keras.layers.Concatenate(name="features")(features) if len(features) > 1 else features[0]
    x = kf.layers.BatchEnsembleScaling(config.members, name="members")(x)
    for layer in (1, 2):
        x = kf.layers.Dense(config.width, kf.activations.relu, kernel_initializer="he_normal", name=f"dense_{layer}")(x)
        x = kf.layers.Dropout(config.dropout, name=f"dropout_{layer}")(x)
    outputs = len(schema.labels) or 1
    answers = keras.layers.EinsumDense(
        "bkd,kdc->bkc", (config.members, outputs), bias_axes="kc", name="heads", dtype="float32"
    )(x)
    if schema.labels:
        answers = keras.layers.Activation(kf.activations.softmax, name="each", dtype="float32")(answers)
        answer = keras.layers.GlobalAveragePooling1D(name="probabilities", dtype="float32")(answers)
    else:
        mean = keras.layers.GlobalAveragePooling1D(name="mean", dtype="float32")(answers)
        answer = keras.layers.Rescaling(train.y.std(), train.y.mean(), name="number", dtype="float32")(mean)
    return keras.Model(row, answers, name="members"), keras.Model(row, answer, name="tabular_mlp")


def scale(row: keras.KerasTensor, places: list[int], train: kf.data.Split) -> keras.KerasTensor:
    """The numbers of a row without gaps, long tails shortened, standardized."""
    import keras
    import numpy as np
    from keras import ops

    x = train.x[:, places].astype("float64")
    medians = np.array([np.median(column[~np.isnan(column)]) if (column == column).any() else 0 for column in x.T])
    x = np.where(np.isnan(x), medians, x)
    skewness = (((x - x.mean(axis=0)) / spread(x)) ** 3).mean(axis=0)
    long_tailed = (skewness > 1) & (x.min(axis=0) >= 0)
    short, long = np.flatnonzero(~long_tailed).tolist(), np.flatnonzero(long_tailed).tolist()
    x = np.concatenate([x[:, short], np.log1p(x[:, long])], axis=1)

    y = ops.take(row, places, axis=1)
    y = kf.layers.Imputation(medians, dtype="float32", name="filled")(y)
    if long:
        # of two logarithms the difference is the ratio: rooms a household, debt by income
        logarithms = ops.log(1 + ops.maximum(ops.take(y, long, axis=1), 0))
        y = keras.layers.Concatenate(name="short_tails")([ops.take(y, short, axis=1), logarithms])
    y = keras.layers.Rescaling(1.0, (-x.mean(axis=0)).tolist(), dtype="float32", name="centered")(y)
    y = keras.layers.Rescaling((1 / spread(x)).tolist(), dtype="float32", name="scaled")(y)
    return ops.clip(y, -6, 6)


def spread(x: np.ndarray) -> np.ndarray:
    """The standard deviation of each column, 1 where all its numbers are the same."""
    import numpy as np

    deviation = x.std(axis=0)
    return np.where(deviation > 0, deviation, 1)


def telling_pairs(x: np.ndarray, y: np.ndarray, classes: bool, rows: int = 30_000) -> list[tuple[int, int]]:
    """The pairs of numbers that tell more about the target with their sum and difference than without, best first.

    A table's axes are an accident: what counts may be longitude + latitude, or the ratio of two sizes.
    """
    import numpy as np
    from sklearn.model_selection import cross_val_score

    some = np.random.default_rng(0).permutation(len(y))[:rows]
    x, y = x[some], y[some]
    if classes:  # one that is not in each of the three folds cannot be scored
        often = np.bincount(y)[y] >= 3
        x, y = x[often], y[often]
    if len(np.unique(y)) < 2:
        return []

    def worth(columns: list[np.ndarray]) -> float:
        scoring = "neg_log_loss" if classes else "r2"
        return cross_val_score(tree(classes, 64), np.stack(columns, axis=1), y, cv=3, scoring=scoring).mean()

    alone = [worth([column]) for column in x.T]
    best = sorted(np.argsort(alone)[::-1][:8].tolist())
    gains = {}
    for i, j in itertools.combinations(best, 2):
        a, b = x[:, i], x[:, j]
        gains[i, j] = worth([a, b, a + b, a - b]) - worth([a, b])
    return sorted((pair for pair, gain in gains.items() if gain > 0.01), key=lambda pair: -gains[pair])


def tree_edges(x: np.ndarray, y: np.ndarray, classes: bool, bins: int) -> list[float]:
    """The edges of a number's bins: where a decision tree of this number alone would cut."""
    import numpy as np

    cuts = tree(classes, bins).fit(x[:, None], y).tree_
    edges = np.unique(np.concatenate([[x.min()], cuts.threshold[cuts.feature >= 0], [x.max()]]).astype("float32"))
    return edges.tolist() if len(edges) > 1 else [edges[0], edges[0] + 1]


def tree(classes: bool, leaves: int):
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    return kind(max_leaf_nodes=leaves, min_samples_leaf=16, random_state=0)


def train(config: Config, run: kf.training.Run) -> keras.Model:
    """Fit each member on its own loss, watch the validation split, measure their mean once on the test split."""
    import numpy as np

    from .components import ensemble

    table = kf.data.load_table(
        config.data,
        config.data_dir,
        target=config.target,
        task=config.task,
        categorical=config.categorical,
        seed=config.seed,
    )
    print(kf.data.describe(table))
    rows = len(table.train.y)
    epochs = config.epochs or (15 if rows >= 20_000 else 40)
    batch_size = config.batch_size or int(np.clip(rows // 50, 16, 256))
    config = dataclasses.replace(config, epochs=epochs, batch_size=batch_size)
    run.start(table, config)
    members, model = build(table.schema, table.train, config)

    classes = bool(table.schema.labels)
    fitted, watched = table.train, table.validation
    if not classes:  # a loss in dollars would be of another size than the weights
        mean, deviation = fitted.y.mean(), fitted.y.std()
        fitted, watched = (kf.data.Split(x, (y - mean) / deviation) for x, y in (fitted, watched))
    loss = kf.losses.SparseCategoricalCrossentropy() if classes else kf.losses.MeanSquaredError()

    batches = kf.training.Batches(fitted, batch_size, config.seed)
    members.compile(
        optimizer=kf.optimizers.AdamW(
            kf.schedules.OneCycle(config.learning_rate, epochs * len(batches)),
            weight_decay=0.01,
            **config.optimizer_options(),
        ),
        loss=ensemble.each(loss),
        metrics=[ensemble.accuracy] if classes else [],
        jit_compile="auto" if config.jit is None else config.jit,
        steps_per_execution=config.steps_per_call,
    )
    kf.training.fit(members, batches, watched, run, config)
    kf.training.finish(model, table, run)
    return model
