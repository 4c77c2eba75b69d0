"""Reviews, or any labelled texts, with a bidirectional LSTM, and n-grams beside it if asked.

Shows: word vectors from counts, LSTM in both directions, masks, pooling over time, word dropout, n-grams as evidence.
Costs: 3 to 4 minutes on 2 CPU cores with TensorFlow, 4 to 5 with the n-grams, which read 800 words of a text.
Reaches: 90.1% on the test reviews (3 seeds: 89.9 to 90.4), 92.2% with the n-grams (92.2 to 92.3);
benchmarks/RESULTS.md.

    kerasfound run imdb_lstm                      # 50,000 film reviews, through TFDS
    kerasfound run imdb_lstm --preset best        # with the n-grams
    kerasfound run imdb_lstm --data grammar       # made sentences, no network
    kerasfound run imdb_lstm --data my.csv --text review --target stars      # or a folder of texts for each class
    kerasfound predict RUN --text "Not a dull moment."
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import kerasfound as kf

if TYPE_CHECKING:  # heavy, and not needed to ask for --help
    import keras
    import numpy as np
    from scipy.sparse import csr_matrix


@dataclasses.dataclass(kw_only=True)
class Config(kf.training.Config):
    PRESETS: ClassVar = {
        "smoke": {"data": "grammar", "epochs": 2, "width": 32, "units": 16},
        "best": {"ngrams": 3, "length": 800},
    }

    data: str = "imdb_reviews"
    """A named set of texts (imdb_reviews, grammar), a CSV or Parquet file, or a folder of text files for each class."""
    text: str | None = None
    """The column of a file that holds the texts. Defaults to "text", or to the one with the longest cells."""
    target: str | None = None
    """The column of a file that holds the labels. Defaults to "label", or to the only other one."""
    epochs: int | None = kf.training.number(None, at_least=1)
    """Passes over the training texts. Defaults to 3, or to 8 where they are fewer than 10,000."""
    batch_size: int = kf.training.number(50, at_least=1)
    """Texts in one step."""
    learning_rate: float = kf.training.number(4e-3, above=0)
    """Adam's step size at the peak of the cycle."""
    vocabulary: int = kf.training.number(30_000, at_least=3)
    """Different words, the most frequent ones of the training texts; all others are one unknown word."""
    length: int = kf.training.number(400, at_least=1)
    """Words of a text that are read, the last ones. The cost of a step grows with it."""
    width: int = kf.training.number(128, at_least=1)
    """Numbers of a word's vector."""
    units: int = kf.training.number(64, at_least=1)
    """Units of the LSTM in each direction."""
    dropout: float = kf.training.number(0.6, at_least=0)
    """Share of the numbers of all words' vectors, and of the last features, that is dropped in training, below 1."""
    word_dropout: float | None = kf.training.number(None, at_least=0)
    """Share of the words that the LSTM misses in training, below 1. Defaults to 0.2, so that no word decides alone,
    or to 0 where most texts are shorter than 50 words, each of which may."""
    ngrams: int = kf.training.number(0, at_least=0)
    """Longest n-grams of a second reader beside the LSTM, a linear machine with a weight for each; 0 has none."""
    error_cost: float = kf.training.number(2.0, above=0)
    """What an error costs that machine, beside the size of its weights (scikit-learn's C)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, share in (("dropout", self.dropout), ("word-dropout", self.word_dropout or 0)):
            if share >= 1:
                raise kf.errors.UserError(f"--{flag} must be below 1, got {share}.")


def build(schema: kf.bundle.Schema, train: kf.data.Split, config: Config) -> tuple[keras.Model, ...]:
    """Numbers of words in; out of the first model the LSTM's logits, to be trained; out of the second every reader's,
    side by side; out of the third the probabilities of their weighted sum.

    Args:
        schema: tells the classes.
        train: what the first word vectors and the evidence of n-grams are counted in.
        config: tells the sizes.
    """
    import keras
    from keras import ops

    classes = len(schema.labels)
    ids = keras.Input((None,), dtype="int32", name=schema.input)
    network = keras.Model(ids, lstm(ids, classes, word_vectors(train.x, config), config), name="network")
    readers = [network.output]
    if config.ngrams:
        readers.append(ngram_machine(ids, classes, train, config))
    logits = keras.layers.Activation("linear", dtype="float32", name="readers")(ops.stack(readers, axis=1))
    share = keras.initializers.Constant(1 / len(readers))
    weighed = keras.layers.EinsumDense(
        "brc,r->bc", (classes,), kernel_initializer=share, dtype="float32", name="weighed"
    )
    probabilities = keras.layers.Activation(kf.activations.softmax, dtype="float32", name="probabilities")(
        weighed(logits)
    )
    return network, keras.Model(ids, logits, name="readers"), keras.Model(ids, probabilities, name="imdb_lstm")


def word_vectors(ids: np.ndarray, config: Config, reach: int = 5) -> np.ndarray:
    """Vectors of length 3 that are alike for words that stand among the same words, `(vocabulary, width)`.

    Words are counted together up to `reach` places apart, the nearer the more; of how much more often that is than by
    chance, on a logarithmic scale, the largest singular vectors are kept (Levy, Goldberg and Dagan, 2015). So a rare
    word begins beside frequent ones of its kind, where a random start would have to learn it from few reviews.
    """
    import numpy as np
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    n = config.vocabulary
    together = sparse.csr_matrix((n, n), dtype="float32")
    for apart in range(1, min(reach, ids.shape[1] - 1) + 1):
        one, other = ids[:, :-apart].ravel(), ids[:, apart:].ravel()
        known = (one > kf.preprocessing.UNKNOWN) & (other > kf.preprocessing.UNKNOWN)  # and not padding
        weights = np.full(known.sum(), 1 / apart, "float32")
        together += sparse.coo_matrix((weights, (one[known], other[known])), shape=(n, n)).tocsr()
    pairs = (together + together.T).tocoo()
    often = np.bincount(pairs.row, pairs.data, minlength=n)
    chance = often**0.75 / np.maximum((often**0.75).sum(), 1)  # flattened, or rare neighbours would count too much
    surprise = np.log(pairs.data / (often[pairs.row] * chance[pairs.col]))
    positive = surprise > 0
    matrix = sparse.csr_matrix((surprise[positive], (pairs.row[positive], pairs.col[positive])), shape=(n, n))
    left, strength, _ = randomized_svd(matrix, min(config.width, n - 1), n_iter=3, random_state=config.seed)
    vectors = left * np.sqrt(strength)
    vectors *= 3 / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return np.pad(vectors, ((0, 0), (0, config.width - vectors.shape[1]))).astype("float32")


def lstm(ids: keras.KerasTensor, classes: int, vectors: np.ndarray, config: Config) -> keras.KerasTensor:
    """The logits of a network that reads the words in order, from both ends."""
    import keras
    from keras import ops

    known = ops.not_equal(ids, 0)
    embedding = kf.layers.Embedding(config.vocabulary, config.width, name="embedding")
    x = embedding(ids)
    embedding.set_weights([vectors])
    x = kf.layers.Dropout(config.word_dropout or 0, noise_shape=(None, None, 1), name="word_dropout")(x)
    # whole features of a text, not single numbers: a word's other numbers would give the dropped one away
    x = keras.layers.SpatialDropout1D(config.dropout, name="feature_dropout")(x)
    reader = kf.layers.LSTM(config.units, return_sequences=True, name="lstm")
    x = kf.layers.Bidirectional(reader, name="both_directions")(x, mask=known)
    # pooled over time, the loss reaches every word directly; -1 is the least that an LSTM answers
    known = ops.expand_dims(ops.cast(known, x.dtype), -1)
    strongest = ops.max(x * known - (1 - known), axis=1)
    mean = ops.sum(x * known, axis=1) / ops.maximum(ops.sum(known, axis=1), 1)
    x = kf.layers.Dropout(config.dropout, name="dropout")(ops.concatenate([strongest, mean], axis=-1))
    return kf.layers.Dense(classes, dtype="float32", name="logits")(x)


def ngram_machine(ids: keras.KerasTensor, classes: int, train: kf.data.Split, config: Config) -> keras.KerasTensor:
    """The margins of a support vector machine over the n-grams of a text: how much each speaks for a class, times what
    that is worth.

    The first factor is counted, by naive Bayes; the second is fitted here, once (Wang and Manning, 2012). The sum is
    divided by the length of the vector of all evidence, or long texts would be surer than they are right.
    """
    import keras
    import numpy as np
    from keras import ops
    from sklearn.preprocessing import normalize
    from sklearn.svm import LinearSVC

    hashed = kf.layers.HashedNGrams(config.ngrams, 2**31, name="ngrams")(ids)
    occurs, known = occurrences(keras.Model(ids, hashed), train.x)
    ratios = log_ratios(occurs, train.y, classes)
    machines = [
        LinearSVC(C=config.error_cost, random_state=config.seed).fit(normalize(occurs.multiply(ratio)), train.y == c)
        for c, ratio in enumerate(ratios)
    ]

    lookup = kf.layers.SortedLookup(len(known), name="lookup")
    evidence, worth = (
        kf.layers.Embedding(len(known) + 1, classes, trainable=False, dtype="float32", name=name)
        for name in ("evidence", "worth")
    )
    found = lookup(hashed)
    e = evidence(found)
    length = ops.sqrt(ops.sum(ops.square(e), axis=1))
    margins = ops.sum(e * worth(found), axis=1) / ops.maximum(length, 1e-6)
    lookup.set_weights([known])
    for layer, rows in ((evidence, ratios), (worth, [machine.coef_[0] for machine in machines])):
        layer.set_weights([np.pad(np.transpose(rows), ((1, 0), (0, 0)))])  # what is unknown says nothing
    return keras.layers.Rescaling(1.0, [float(machine.intercept_[0]) for machine in machines], name="margins")(margins)


def occurrences(ngrams: keras.Model, texts: np.ndarray) -> tuple[csr_matrix, np.ndarray]:
    """Which text has which n-gram, `(texts, n-grams)`, and the hashes of these, in ascending order.

    Only of those that are in two texts or more: what one text alone has tells of that text, not of its class.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    found = [np.asarray(ngrams(texts[start : start + 500])) for start in range(0, len(texts), 500)]
    rows = np.repeat(np.arange(len(texts)), np.concatenate([(batch > 0).sum(axis=1) for batch in found]))
    hashes = np.concatenate([batch[batch > 0] for batch in found])
    known, columns, often = np.unique(hashes, return_inverse=True, return_counts=True)
    kept = often >= min(2, often.max())
    occurs = csr_matrix((np.ones(len(rows), "float32"), (rows, columns)), shape=(len(texts), len(known)))
    return occurs[:, kept], known[kept]


def log_ratios(occurs: csr_matrix, y: np.ndarray, classes: int) -> np.ndarray:
    """The logarithm of how much more often each n-gram is in texts of a class than in others, `(classes, n-grams)`."""
    import numpy as np

    counts = 1 + np.stack([np.asarray(occurs[y == c].sum(axis=0))[0] for c in range(classes)])
    others = counts.sum(axis=0) - counts
    return np.log(counts / counts.sum(axis=1, keepdims=True)) - np.log(others / others.sum(axis=1, keepdims=True))


def weigh(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The weight of each reader's logits, `(rows, readers, classes)`, that makes their sum the least surprised.

    Networks are too sure of what they have learned by heart; how much too sure, other texts tell (Guo, Pleiss, Sun and
    Weinberger, 2017). A prior keeps the weights near their mean's where there are few.
    """
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    start = np.full(logits.shape[1], 1 / logits.shape[1])

    def surprise(weights: np.ndarray) -> float:
        nats = -log_softmax(np.einsum("brc,r->bc", logits, weights), axis=-1)[np.arange(len(y)), y]
        return nats.sum() + ((weights - start) ** 2).sum()

    return minimize(surprise, start).x


def train(config: Config, run: kf.training.Run) -> keras.Model:
    """Fit the LSTM, weigh all readers on the validation split, measure their sum once on the test split."""
    import numpy as np

    texts = kf.data.load(
        config.data, config.data_dir, task="text_classification", text=config.text, target=config.target
    )
    epochs = config.epochs or (3 if len(texts.train.y) >= 10_000 else 8)
    short = np.median([text.count(" ") for text in texts.train.x]) < 50
    word_dropout = (0.0 if short else 0.2) if config.word_dropout is None else config.word_dropout
    config = dataclasses.replace(config, epochs=epochs, word_dropout=word_dropout)
    run.start(texts, config)
    run.save_tokenizer(kf.preprocessing.train_tokenizer(texts.train.x, config.vocabulary, config.length))
    numbers = dataclasses.replace(
        texts,
        train=kf.training.as_trained(run, texts.train),
        validation=kf.training.as_trained(run, texts.validation),
        test=kf.training.as_trained(run, texts.test),
    )

    network, readers, model = build(texts.schema, numbers.train, config)
    lengths = (numbers.train.x > 0).sum(axis=1)
    batches = kf.training.Batches(numbers.train, config.batch_size, config.seed, lengths=lengths)
    network.compile(
        optimizer=kf.optimizers.Adam(
            kf.schedules.OneCycle(config.learning_rate, epochs * len(batches)), **config.optimizer_options()
        ),
        loss=kf.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=bool(config.jit),  # step by step over time, XLA is the slower one on a CPU
        steps_per_execution=config.steps_per_call,
    )
    kf.training.fit(network, batches, numbers.validation, run, config)
    answers = readers.predict(numbers.validation.x, batch_size=500, verbose=0)
    model.get_layer("weighed").set_weights([weigh(answers, numbers.validation.y)])
    kf.training.finish(model, numbers, run)
    return model
