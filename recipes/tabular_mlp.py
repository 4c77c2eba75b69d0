"""A table of numbers and categories with an ensemble of small dense networks, a linear model and boosted trees.

Shows: cross-fitting, thermometer codes of numbers, embedded categories, an ensemble, stacking of unlike models.
Costs: 20 to 85 CPU seconds for tables of 300 to 14,000 rows, with the start of TensorFlow; benchmarks/RESULTS.md.
Reaches: smaller errors than linear models and boosted trees with their defaults, on most tables tried; the same file.

    kerasfound run tabular_mlp --data wine                            # built in, like breast_cancer and diabetes
    kerasfound run tabular_mlp --data adult --data-dir FOLDER         # adult_train.csv and adult_test.csv in FOLDER
    kerasfound run tabular_mlp --data my.csv --target price           # CSV or Parquet; --task sets the task

Networks, linear models and trees err on different rows, and their weighted sum is better than each of them. The weights
must come from rows that a model has not seen. Therefore the training and validation rows are dealt out to five folds:
each model is fitted without one of them and evaluated on it. So every row is used to learn and to choose.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

import kerasfound as kf
from kerasfound import _lazy
from kerasfound.errors import UserError

from . import components

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:  # imported at the first use, so that --help stays fast
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")


@dataclasses.dataclass(kw_only=True)
class Config(kf.training.Config):
    PRESETS: ClassVar = {"smoke": {"data": "wine", "epochs": 3}}

    data: str = "adult"
    """A named table (adult, california, breast_cancer, diabetes, wine), or a CSV or Parquet file."""
    data_dir: str | None = None
    """The folder with the files of adult and california. By default they are downloaded."""
    target: str | None = None
    """The column to predict. A named table has its own."""
    task: Literal["classification", "regression"] | None = None
    """The default is inferred from the target: text or few whole numbers mean classification."""
    categorical: tuple[str, ...] = ()
    """Numeric columns that are categories, separated by commas."""
    keep: tuple[str, ...] = ()
    """Columns to keep that look like row numbers or ids, separated by commas."""
    header: bool | None = None
    """Whether the first row of a CSV file has the names of the columns. The default is inferred."""
    decimal: Literal["comma", "point"] | None = None
    """The mark before the fraction, where the cells of no column decide what 1,234 is."""
    day_first: bool | None = None
    """Whether dates are day/month/year, where the cells of no column decide it."""
    steps: int = kf.training.bounded(1600, at_least=1)
    """Batches in all epochs together, if `epochs` is not set. Training stops early when it no longer improves."""
    batch_size: int | None = kf.training.bounded(None, at_least=1)
    """Rows in one step. Defaults to a fiftieth of the training rows, at least 32 and at most 256."""
    learning_rate: float = kf.training.bounded(6e-3, above=0)
    """AdamW's step size at the peak of the cycle."""
    members: int = kf.training.bounded(10, at_least=2)
    """Networks in the ensemble."""
    folds: int = kf.training.bounded(5, at_least=2)
    """Parts of the training and validation rows. Each member leaves out one of them. At most the number of members."""
    width: int = kf.training.bounded(128, at_least=1)
    """Units of each of a member's two dense layers."""
    bins: int = kf.training.bounded(64, at_least=2)
    """Maximum number of bins of a number."""
    pairs: int = kf.training.bounded(6, at_least=0)
    """Maximum number of pairs of numbers whose sum and difference become features."""
    dropout: float | None = kf.training.bounded(None, at_least=0)
    """Share of a layer's units dropped in training, below 1. Defaults to 0.1, or to 0.3 for fewer than 5,000 rows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.categorical, self.keep = (
            tuple(name for names in columns for name in names.split(",")) for columns in (self.categorical, self.keep)
        )
        if (self.dropout or 0) >= 1:
            raise UserError(f"`dropout` must be below 1, got {self.dropout}.")


def build(
    schema: kf.bundle.Schema, rows: kf.data.Split, fold: np.ndarray, config: Config
) -> tuple[keras.Model, keras.Model, list[np.ndarray]]:
    """Fit the linear model and the trees. Return the networks, for training, and the model that sums up all three.

    Args:
        schema: the schema of the table, with the kinds of its columns.
        rows: the rows of all folds. Their targets are classes or standardized numbers.
        fold: the fold of each row.
        config: the sizes of the model.

    Returns:
        Two models on encoded rows: the outputs of each network, `(batch, members, outputs)`, and the prediction; and
        the scores of the linear model and of the trees for the rows they left out.
    """
    outputs = len(schema.labels) or 1
    row = keras.Input(schema.shape, name=schema.input)
    features = components.tabular_features.table_features(row, schema, rows, config.pairs, config.bins)
    networks = network(features, outputs, config)
    folds = components.cross_fitting.Folds(rows, fold, outputs, config.class_weight)
    linear, linear_scores = components.linear_model.linear_model(row, features.linear, folds)
    trees, tree_scores = components.boosted_trees.boosted_trees(row, features.trees, folds)
    scores = ops.stack([ops.mean(networks, axis=1), linear, trees], axis=1)
    prediction = keras.layers.EinsumDense("brc,r->bc", (outputs,), dtype="float32", name="weighted_sum")(scores)
    if schema.labels:
        prediction = keras.layers.Activation(kf.activations.softmax, dtype="float32", name="probabilities")(prediction)
    models = keras.Model(row, networks, name="members"), keras.Model(row, prediction, name="tabular_mlp")
    return *models, [linear_scores, tree_scores]


def network(features: components.tabular_features.Features, outputs: int, config: Config) -> keras.KerasTensor:
    """The logits or numbers of all members, `(batch, members, outputs)`. The members share no weights."""
    k, ensemble, inputs = config.members, components.ensemble, []
    if features.bins is not None:
        inputs += [keras.layers.RepeatVector(k, name="numbers")(features.network), ensemble.curves(features.bins, k)]
    if features.codes is not None:
        inputs.append(ensemble.vectors(features.codes, features.sizes, k))
    x = components.tabular_features.join(inputs)
    for layer in (1, 2):
        x = ensemble.dense(x, config.width, name=f"dense_{layer}")
        x = keras.layers.Activation(kf.activations.relu, name=f"relu_{layer}")(x)
        x = kf.layers.Dropout(config.dropout, name=f"dropout_{layer}")(x)
    return ensemble.dense(x, outputs, name="networks", dtype="float32")


def train(config: Config, run: kf.training.Run) -> kf.training.Trained:
    """Fit the networks beside the linear model and the trees, then weight all three on the rows they left out."""
    settings = {name: getattr(config, name) for name in kf.data.TABLE_SETTINGS}
    table = kf.data.load_table(config.data, config.data_dir, **settings)
    print(kf.data.describe(table))
    x, y = (np.concatenate(arrays) for arrays in zip(table.train, table.validation, strict=True))
    batch_size = config.batch_size or int(np.clip(len(y) // 50, 32, 256))
    epochs = config.epochs or max(1, round(config.steps * batch_size / len(y)))
    dropout = (0.3 if len(y) < 5000 else 0.1) if config.dropout is None else config.dropout
    config = dataclasses.replace(config, epochs=epochs, batch_size=batch_size, dropout=dropout)
    run.start(table, config)

    is_classification = bool(table.schema.labels)
    if is_classification:
        loss = kf.losses.SparseCategoricalCrossentropy(from_logits=True)
        metrics = [keras.metrics.MeanMetricWrapper(components.ensemble.ensemble_accuracy, name="accuracy")]
    else:  # standardized targets: the gradients do not depend on the unit of the target
        mean, deviation = y.mean(), y.std()
        y, loss, metrics = (y - mean) / deviation, kf.losses.MeanSquaredError(), []
    fold = components.cross_fitting.deal_folds(y, min(config.folds, config.members), is_classification, config.seed)
    members, model, fitted_scores = build(table.schema, kf.data.Split(x, y), fold, config)

    ensemble = components.cross_fitting.cross_fitted(members, fold)
    rows = kf.data.Split(np.column_stack([x, fold]).astype("float32"), y)
    left_out = kf.data.Split(rows.x[fold >= 0], y[fold >= 0])
    batches = kf.training.ShuffledBatches(rows, batch_size, config.seed)
    ensemble.compile(
        optimizer=kf.optimizers.AdamW(
            kf.schedules.OneCycle(config.learning_rate, epochs * len(batches)),
            weight_decay=0.01,
            **config.optimizer_options(),
        ),
        loss=components.ensemble.member_loss(loss),
        metrics=metrics,
        jit_compile=bool(config.jit),  # on a CPU, compiling takes longer than it saves
        steps_per_execution=config.steps_per_call,
    )
    kf.training.fit(ensemble, batches, left_out, run, config)

    network_scores = ensemble.predict(rows.x, batch_size=500, verbose=0)[:, 0]
    scores = np.stack([network_scores, *fitted_scores], axis=1)[fold >= 0]
    weighted_sum = model.get_layer("weighted_sum")
    if is_classification:
        _, classes, *row_weights = batches.with_weights(*left_out)
        weighted_sum.set_weights([components.logit_weights.logit_weights(scores, classes, *row_weights)])
    else:
        weighted_sum.set_weights([components.output_weights.output_weights(scores[:, :, 0], left_out.y)])
        number = keras.layers.Rescaling(deviation, mean, dtype="float32", name="number")(model.output)
        model = keras.Model(model.input, number, name="tabular_mlp")
    predictions = components.tabular_features.compute(weighted_sum.input, model.output, scores)
    return kf.training.Trained(model, table, kf.data.Split(predictions, left_out.y))
