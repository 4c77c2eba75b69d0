"""Sentiment of film reviews, or any labelled texts, with a bidirectional LSTM and optional n-grams.

Shows: word vectors from counts, LSTM in both directions, masks, pooling over time, word dropout, n-gram features.
Costs: 3 to 4 minutes on 2 CPU cores with TensorFlow, 4 to 5 with the n-grams, which read 800 words of a text.
Reaches: 90.1% of the test reviews (3 seeds: 89.9 to 90.4), 92.2% with n-grams (92.2 to 92.3); benchmarks/RESULTS.md.

    kerasfound run imdb_lstm                      # 50,000 film reviews, through TFDS
    kerasfound run imdb_lstm --preset best        # with n-grams
    kerasfound run imdb_lstm --data grammar       # generated sentences, no network
    kerasfound run imdb_lstm --data my.csv --text review --target stars      # or a folder of texts for each class
    kerasfound predict RUN --text "Not a dull moment."
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import kerasfound as kf
from kerasfound import _lazy

from . import components

if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import ops
else:  # imported at the first use, so that --help stays fast
    keras, np, ops = _lazy.module("keras"), _lazy.module("numpy"), _lazy.module("keras.ops")


@dataclasses.dataclass(kw_only=True)
class Config(kf.training.Config):
    PRESETS: ClassVar = {
        "smoke": {"data": "grammar", "epochs": 3, "batch_size": 16, "learning_rate": 0.01, "width": 32, "units": 16},
        "best": {"ngrams": 3, "length": 800},
    }

    data: str = "imdb_reviews"
    """A named set of texts (imdb_reviews, grammar), a CSV or Parquet file, or a folder of text files for each class."""
    text: str | None = None
    """The column of a file with the texts. Defaults to "text", or to the column with the longest cells."""
    target: str | None = None
    """The column of a file with the labels. Defaults to "label", or to the only other column."""
    header: bool | None = None
    """Whether the first row of a CSV file has the names of the columns. The default is inferred."""
    epochs: int | None = kf.training.bounded(None, at_least=1)
    """Passes over the training texts. Defaults to as many as make 1,440 steps: 3 for 22,500 texts, at most 30."""
    batch_size: int | None = kf.training.bounded(None, at_least=1)
    """Texts in one step. Defaults to 50, or to fewer for less than 2,000 training texts."""
    learning_rate: float = kf.training.bounded(4e-3, above=0)
    """Adam's step size at the peak of the cycle."""
    vocabulary: int = kf.training.bounded(30_000, at_least=3)
    """Number of words: the most frequent words of the training texts. All other words share one token."""
    length: int = kf.training.bounded(400, at_least=1)
    """Words of a text that the model reads, counted from its end. The cost of a step grows with it."""
    width: int = kf.training.bounded(128, at_least=1)
    """Length of a word vector."""
    units: int = kf.training.bounded(64, at_least=1)
    """Units of the LSTM in each direction."""
    dropout: float | None = kf.training.bounded(None, at_least=0)
    """Share of the features dropped in training, below 1. Defaults to 0.6, or to 0 for five texts or more per word."""
    word_dropout: float | None = kf.training.bounded(None, at_least=0)
    """Share of the words dropped in training, below 1. Defaults to 0.2, or to 0 if most texts are below 50 words."""
    ngrams: int = kf.training.bounded(0, at_least=0)
    """Length of the longest n-grams for a support vector machine next to the LSTM. 0 turns it off."""
    evidence: Literal["log-ratio", "occurrence"] | None = None
    """The feature of an n-gram: its log-count ratio, or 1. Defaults to log-ratio, or to occurrence for short texts."""
    error_cost: float | None = kf.training.bounded(None, above=0)
    """Cost of training errors for the support vector machine, scikit-learn's C. Defaults to 2, or 1 for short texts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, share in (("dropout", self.dropout or 0), ("word_dropout", self.word_dropout or 0)):
            if share >= 1:
                raise kf.errors.UserError(f"`{name}` must be below 1, got {share}.")


def build(schema: kf.bundle.Schema, train: kf.data.Split, config: Config) -> tuple[keras.Model, ...]:
    """Return three models on token ids: the LSTM's logits; those and the SVM's, stacked; their sum's probabilities.

    Args:
        schema: the schema of the data set, with the classes.
        train: the training texts, for the word vectors and the support vector machine.
        config: the sizes of the model.
    """
    classes = len(schema.labels)
    ids = keras.Input((None,), dtype="int32", name=schema.input)
    vectors = components.word_vectors.word_vectors(train.x, config.vocabulary, config.width, config.seed)
    network = keras.Model(ids, lstm(ids, classes, vectors, config), name="network")
    outputs = [network.output]
    if config.ngrams:
        options: tuple[Any, ...] = config.ngrams, config.evidence, config.error_cost, config.seed
        outputs.append(components.ngram_svm.ngram_svm(ids, classes, train, *options))
    logits = keras.layers.Activation("linear", dtype="float32", name="readers")(ops.stack(outputs, axis=1))
    equal = keras.initializers.Constant(1 / len(outputs))
    weighted_sum = keras.layers.EinsumDense(
        "brc,r->bc", (classes,), kernel_initializer=equal, dtype="float32", name="weighed"
    )
    probabilities = keras.layers.Activation(kf.activations.softmax, dtype="float32", name="probabilities")(
        weighted_sum(logits)
    )
    return network, keras.Model(ids, logits, name="readers"), keras.Model(ids, probabilities, name="imdb_lstm")


def lstm(ids: keras.KerasTensor, classes: int, vectors: np.ndarray, config: Config) -> keras.KerasTensor:
    """The logits of a network that reads the words in both directions."""
    known = ops.not_equal(ids, 0)
    embedding = kf.layers.Embedding(config.vocabulary, config.width, name="embedding")
    x = embedding(ids)
    embedding.set_weights([vectors])
    x = kf.layers.Dropout(config.word_dropout or 0, noise_shape=(None, None, 1), name="word_dropout")(x)
    # drop whole features of a text: a single dropped number can be inferred from the other numbers of its word
    x = keras.layers.SpatialDropout1D(config.dropout or 0, name="feature_dropout")(x)
    layer = kf.layers.LSTM(config.units, return_sequences=True, name="lstm")
    x = kf.layers.Bidirectional(layer, name="both_directions")(x, mask=known)
    # pooling over time gives every word a short path to the loss; -1 is the smallest output of an LSTM
    known = ops.expand_dims(ops.cast(known, x.dtype), -1)
    maximum = ops.max(x * known - (1 - known), axis=1)
    mean = ops.sum(x * known, axis=1) / ops.maximum(ops.sum(known, axis=1), 1)
    x = kf.layers.Dropout(config.dropout or 0, name="dropout")(ops.concatenate([maximum, mean], axis=-1))
    return kf.layers.Dense(classes, dtype="float32", name="logits")(x)


def adapt(config: Config, words: int, lengths: np.ndarray) -> Config:
    """Fill in the settings that follow from the number of words and the lengths: a short text says a thing once."""
    rows = len(lengths)
    batch_size = config.batch_size or min(50, max(8, rows // 40))
    epochs = config.epochs or min(30, max(3, round(1_440 * batch_size / rows)))
    defaults: dict[str, Any] = {"batch_size": batch_size, "epochs": epochs}
    # there is little to memorize if each word is in many texts, and noise would hide how the words belong together
    defaults["dropout"] = 0.6 if rows < 5 * words else 0.0
    if np.median(lengths) < 50:
        defaults |= {"word_dropout": 0.0, "evidence": "occurrence", "error_cost": 1.0}
    else:
        defaults |= {"word_dropout": 0.2, "evidence": "log-ratio", "error_cost": 2.0}
    unset = {name: value for name, value in defaults.items() if getattr(config, name) is None}
    return dataclasses.replace(config, vocabulary=words, **unset)


def train(config: Config, run: kf.training.Run) -> kf.training.Trained:
    """Fit the support vector machine and the LSTM, then weight their logits on the validation split."""
    texts = kf.data.load(
        config.data,
        config.data_dir,
        "text_classification",
        text=config.text,
        target=config.target,
        header=config.header,
    )
    print(kf.data.describe(texts))
    tokenizer = kf.preprocessing.train_tokenizer(texts.train.x, config.vocabulary, config.length)
    train, validation, test = (
        kf.data.Split(kf.preprocessing.encode_texts(tokenizer, split.x), split.y)
        for split in (texts.train, texts.validation, texts.test)
    )
    tokens = dataclasses.replace(texts, train=train, validation=validation, test=test)
    config = adapt(config, tokenizer.get_vocab_size(), lengths := (train.x > 0).sum(axis=1))
    run.start(texts, config)
    run.save_tokenizer(tokenizer)
    assert config.batch_size  # `adapt` has set it, and the number of epochs
    assert config.epochs
    network, all_logits, model = build(texts.schema, tokens.train, config)
    batches = kf.training.ShuffledBatches(tokens.train, config.batch_size, config.seed, lengths=lengths)
    network.compile(
        optimizer=kf.optimizers.Adam(
            kf.schedules.OneCycle(config.learning_rate, config.epochs * len(batches)), **config.optimizer_options()
        ),
        loss=kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=bool(config.jit),  # XLA is slower than TensorFlow's kernels for a loop over time on a CPU
        steps_per_execution=config.steps_per_call,
    )
    kf.training.fit(network, batches, tokens.validation, run, config)
    # on texts that were not used for training, the weights also correct overconfidence
    logits = all_logits.predict(tokens.validation.x, batch_size=500, verbose=0)
    model.get_layer("weighed").set_weights([components.logit_weights.logit_weights(logits, tokens.validation.y)])
    return kf.training.Trained(model, tokens)
