"""A picture of each layer: what it does to an image or a table, or which inputs reach which outputs."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from kerasfound import layers

from .style import empty, heat_map, numpy


def _sinusoidal() -> Figure:
    """Every position's vector of sines and cosines."""
    added = numpy(layers.SinusoidalPosition()(ops.zeros((1, 100, 64))))[0]
    figure, axes = empty("SinusoidalPosition, what is added at each position", size=(6.4, 4.4))
    heat_map(figure, axes, added, xlabel="feature", ylabel="position")
    return figure


def _rotary() -> Figure:
    """Products of the same vector at two positions: they depend on the distance only."""
    x = layers.RotaryPosition()(ops.ones((1, 48, 32)))[0]
    products = numpy(ops.matmul(x, ops.transpose(x))) / 32
    figure, axes = empty(
        "RotaryPosition, one vector at two positions:\nthe product knows only their distance", (5.6, 4.8)
    )
    heat_map(figure, axes, products, xlabel="position of the key", ylabel="position of the query")
    return figure


def _piecewise_linear() -> Figure:
    """One number's parts as it grows: they fill one after the other."""
    x = np.linspace(-0.25, 4.25, 451).astype("float32")
    parts = numpy(layers.PiecewiseLinearEncoding([[0.0, 1.0, 2.0, 4.0]])(x[:, None])).reshape(len(x), -1)
    return _encoding("PiecewiseLinearEncoding, edges 0, 1, 2, 4", x, parts)


def _masks() -> Figure:
    """Causal, and causal within a window, with padding at the end."""
    x, known = ops.zeros((1, 10, 4)), np.arange(10)[None] < 8
    figure, both = empty("combine_masks, the last two steps are padding", size=(7.6, 3.8), columns=2)
    for axes, window in zip(both, (None, 3), strict=True):
        mask = layers.combine_masks(x, x, value_mask=known, use_causal_mask=True, sliding_window=window)[0]
        axes.imshow(numpy(mask), cmap="Blues", vmin=0, vmax=1.4)
        axes.set(xlabel="key", ylabel="query", title="causal" if window is None else f"causal, sliding_window={window}")
        axes.grid(False)
    return figure


def _cross() -> np.ndarray:
    """A small picture to show layers of images at work."""
    row, column = np.mgrid[:12, :12]
    return (np.abs(row - column) < 2).astype("float32") + (np.abs(row + column - 11) < 1)


def _images(title: str, images: dict[str, np.ndarray], most: float | None = None) -> Figure:
    figure, row = empty(title, size=(2.9 * len(images), 3.4), columns=len(images))
    for axes, (label, image) in zip(row, images.items(), strict=True):
        largest = most or np.abs(image).max()
        axes.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set_title(f"{label}, {image.shape[0]} x {image.shape[1]}", fontsize=9)
        axes.set_axis_off()
    return figure


def _pooling(name: str) -> Figure:
    x = _cross()
    y = numpy(getattr(layers, name)(pool_size=3)(x[None, :, :, None]))[0, :, :, 0]
    return _images(f"{name}, windows of 3 x 3", {"before": x, "after": y}, most=x.max())


def _convolution() -> Figure:
    x, edge = _cross(), np.array([[-1, 0, 1]] * 3, dtype="float32")
    layer = layers.Conv2D(1, 3, use_bias=False)
    layer.build((None, *x.shape, 1))
    layer.set_weights([edge[:, :, None, None]])
    y = numpy(layer(x[None, :, :, None]))[0, :, :, 0]
    return _images("Conv2D with a filter for upright edges", {"image": x, "filter": edge, "output": y})


def _columns() -> Figure:
    x = np.arange(16, dtype="float32").reshape(4, 4)
    windows = numpy(layers.im2col(x[None, :, :, None], 2))[0].reshape(-1, 4)
    figure, both = empty("im2col: each window of 2 x 2 becomes a row", size=(6.6, 4.4), columns=2)
    for axes, table, label in zip(both, (x, windows), ("image", "one row for each window"), strict=True):
        axes.imshow(table, cmap="Blues", vmin=0, vmax=24)
        for (i, j), value in np.ndenumerate(table):
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=9)
        axes.set_title(label, fontsize=9)
        axes.set_axis_off()
    return figure


def _ready(layer: Any, *inputs: np.ndarray) -> Any:
    """The layer with random matrices: some start at zero, and would show nothing."""
    layer(*inputs)
    rng = np.random.default_rng(1)
    weights = (rng.normal(size=w.shape) / np.sqrt(w.shape[0]) if w.ndim > 1 else w for w in layer.get_weights())
    layer.set_weights(list(weights))
    return layer


def reach(answer: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """The derivative of each output by each input of one row, `(*outputs, *inputs)`, by central differences."""
    h = np.float32(1e-2)
    steps = h * np.eye(x.size, dtype="float32").reshape(x.size, *x.shape)
    slopes = (numpy(answer(x + steps)) - numpy(answer(x - steps))) / (2 * h)
    return np.moveaxis(slopes, 0, -1).reshape(*slopes.shape[1:], *x.shape)


def _over_time(name: str, answer: Callable[[np.ndarray], Any]) -> Figure:
    """For each pair of steps the size of the derivative of the later or earlier one's output by the other's input."""
    x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    sizes = np.sqrt(np.square(reach(answer, x)).sum(axis=(1, 3)))
    figure, axes = empty(f"{name}: how much the answer at a step\nmoves with the input at a step", size=(5.6, 4.8))
    heat_map(figure, axes, sizes, xlabel="step of the input", ylabel="step of the answer")
    return figure


def _over_features(name: str, answer: Callable[[np.ndarray], Any]) -> Figure:
    x = np.random.default_rng(0).normal(size=6).astype("float32")
    figure, axes = empty(f"{name}: how much each output moves with each input", size=(5.6, 4.2))
    heat_map(figure, axes, reach(answer, x), xlabel="input", ylabel="output")
    return figure


def _sequence_layer(name: str, layer: Any, inputs: int = 1) -> Figure:
    _ready(layer, *[np.zeros((1, 12, 4), "float32")] * inputs)
    return _over_time(name, lambda x: layer(*[x] * inputs))


def _cell(name: str, layer: Any, states: int) -> Figure:
    def answer(x: np.ndarray) -> Any:
        return layer(x, [ops.zeros((len(x), 4))] * states)[0]

    return _over_features(name, answer)


def _beside(name: str, answer: Callable[[np.ndarray], Any], x: np.ndarray) -> Figure:
    """A batch before and after, a row an example."""
    figure, both = empty(f"{name}, a batch before and after", size=(8, 3.6), columns=2)
    for axes, values, title in zip(both, (x, numpy(answer(x))), ("x", "y"), strict=True):
        heat_map(figure, axes, np.ma.masked_invalid(values), xlabel="feature", ylabel="example", title=title)
    return figure


def _batch() -> np.ndarray:
    """Features of different means and sizes."""
    x = np.random.default_rng(0).normal(size=(10, 6))
    return (x * [1, 1, 1, 4, 4, 4] + [0, 3, -3, 0, 3, -3]).astype("float32")


def _with_gaps() -> Figure:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    return _beside("Imputation, with 2 for every missing number", layers.Imputation([2.0] * 4), x)


def _table(title: str, values: Any, xlabel: str, ylabel: str) -> Figure:
    figure, axes = empty(title)
    heat_map(figure, axes, numpy(values), xlabel=xlabel, ylabel=ylabel)
    return figure


def _first_weights(layer: Any, x: np.ndarray, ylabel: str) -> Figure:
    """What a layer holds before it is trained."""
    layer(x)
    return _table(f"{type(layer).__name__}, before training", layer.weights[0], "feature", ylabel)


def _global_pooling(name: str) -> Figure:
    x = _cross()
    y = numpy(getattr(layers, name)(keepdims=True)(x[None, :, :, None]))[0, :, :, 0]
    return _images(f"{name}, one number for each channel", {"before": x, "after": y}, most=x.max())


def _periodic() -> Figure:
    x = np.linspace(-3, 3, 301).astype("float32")
    waves = numpy(layers.PeriodicEmbedding(waves=2, sigma=0.5, seed=1)(x[:, None]))[:, 0]
    return _encoding("PeriodicEmbedding, two waves of one number", x, waves)


def _encoding(title: str, x: np.ndarray, y: np.ndarray) -> Figure:
    """What one number becomes, `(numbers, parts)`, as it grows."""
    figure, axes = empty(title)
    for i, part in enumerate(y.T, start=1):
        axes.plot(x, part, lw=2, label=f"part {i}")
    axes.set(xlabel="x", ylabel="encoding", xlim=(x[0], x[-1]))
    axes.legend()
    return figure


def _interaction() -> Figure:
    rng = np.random.default_rng(0)
    users, films = rng.normal(size=(8, 1, 3)), rng.normal(size=(1, 10, 3))
    pairs = np.stack(np.broadcast_arrays(users, films), axis=2).reshape(-1, 2, 3).astype("float32")
    scores = numpy(layers.FactorizedInteraction()(pairs)).reshape(8, 10)
    return _table("FactorizedInteraction, of each user with each film", scores, "film", "user")


def _perceptron() -> Figure:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).astype("float32")
    x = x[np.abs(x[:, 0] + 2 * x[:, 1] - 0.5) > 0.4]  # a gap, so that it comes to rest
    t = (x[:, 0] + 2 * x[:, 1] > 0.5).astype("float32")
    perceptron = layers.Perceptron()
    perceptron.fit(x, t, epochs=30, verbose=0)
    grid = np.stack(np.meshgrid(np.linspace(-3, 3, 200), np.linspace(-3, 3, 200)), axis=-1).astype("float32")
    answers = numpy(perceptron(grid.reshape(-1, 2))).reshape(200, 200)
    figure, axes = empty("Perceptron, after at most 30 passes over the points", size=(5.2, 4.8))
    axes.imshow(answers, extent=(-3, 3, -3, 3), origin="lower", cmap="Blues", vmin=0, vmax=3)
    for c in (0, 1):
        axes.plot(*x[t == c].T, "o", label=f"target {c}")
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    axes.grid(False)
    axes.legend()
    return figure


def _edges() -> Figure:
    x = np.random.default_rng(0).exponential(size=(2000, 1))
    figure, axes = empty("quantile_edges, 8 bins of as many numbers each")
    axes.hist(x[:, 0], bins=60, color="0.8")
    for edge in layers.quantile_edges(x, bins=8)[0]:
        axes.axvline(edge, lw=1.5)
    axes.set(xlabel="x", ylabel="rows")
    return figure


def _weights() -> Any:
    x = np.random.default_rng(0).normal(size=(1, 12, 4)).astype("float32")
    return layers.attention_weights(x, x)[0]


def _hashed() -> Figure:
    """The buckets of a text of six words, and of the same words in another order."""
    words = np.array([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    found = numpy(layers.HashedNGrams(2, 64)(words))
    figure, axes = empty("HashedNGrams, words and pairs of words in 64 buckets", size=(6.4, 2.2))
    for row, buckets in enumerate(found):
        axes.scatter(buckets[buckets > 0], [row] * (buckets > 0).sum(), marker="|", s=300)
    axes.set(xlabel="bucket", yticks=[0, 1], yticklabels=["in order", "turned around"], ylim=(-0.7, 1.7))
    return figure


def _shifted() -> Figure:
    """A picture of an L, and where it stands in six calls."""
    x = np.zeros((6, 12, 12, 1), "float32")
    x[:, 3:9, 4], x[:, 8, 4:8] = 1, 1
    figure, places = empty(
        "RandomTranslation by up to 3 pixels, of six times the same picture", size=(6.4, 1.8), columns=6
    )
    for axes, image in zip(places, numpy(layers.RandomTranslation(3, seed=0)(x, training=True)), strict=True):
        axes.imshow(image[..., 0], cmap="gray")
        axes.set(xticks=[], yticks=[])
    return figure


def _looked_up() -> Figure:
    lookup = layers.SortedLookup(5)
    lookup.set_weights([np.array([2, 3, 7, 12, 17], "int32")])
    x = np.arange(20)
    figure, axes = empty("SortedLookup of 2, 3, 7, 12 and 17")
    axes.stem(x, numpy(lookup(x)), basefmt=" ")
    axes.set(xlabel="x", ylabel="number")
    return figure


CODES = np.arange(12)[None]
LAYERS: dict[str, Callable[[], Figure]] = {
    "AveragePooling2D": lambda: _pooling("AveragePooling2D"),
    "BatchNormalization": lambda: _beside(
        "BatchNormalization", lambda x: layers.BatchNormalization()(x, training=True), _batch()
    ),
    "Bidirectional": lambda: _sequence_layer(
        "Bidirectional", layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    ),
    "CategoryEmbedding": lambda: _first_weights(layers.CategoryEmbedding([12], 8), CODES.T, "category"),
    "CausalSelfAttention": lambda: _sequence_layer("CausalSelfAttention", layers.CausalSelfAttention(2)),
    "CausalTransformerBlock": lambda: _sequence_layer("CausalTransformerBlock", layers.CausalTransformerBlock(8, 2)),
    "Conv2D": _convolution,
    "Dense": lambda: _over_features("Dense", layers.Dense(4)),
    "DotProductAttention": lambda: _sequence_layer("DotProductAttention", layers.DotProductAttention(), inputs=2),
    "Dropout": lambda: _beside("Dropout", lambda x: layers.Dropout(0.3, seed=0)(x, training=True), _batch()),
    "Embedding": lambda: _first_weights(layers.Embedding(12, 8), CODES, "word"),
    "FactorizedInteraction": _interaction,
    "FeedForward": lambda: _over_features("FeedForward", layers.FeedForward(16)),
    "Imputation": _with_gaps,
    "GRU": lambda: _sequence_layer("GRU", layers.GRU(4, return_sequences=True)),
    "GRUCell": lambda: _cell("GRUCell", layers.GRUCell(4), states=1),
    "GlobalAveragePooling2D": lambda: _global_pooling("GlobalAveragePooling2D"),
    "GlobalMaxPooling2D": lambda: _global_pooling("GlobalMaxPooling2D"),
    "HashedNGrams": _hashed,
    "LSTM": lambda: _sequence_layer("LSTM", layers.LSTM(4, return_sequences=True)),
    "LSTMCell": lambda: _cell("LSTMCell", layers.LSTMCell(4), states=2),
    "LayerNormalization": lambda: _beside("LayerNormalization", layers.LayerNormalization(), _batch()),
    "LearnedPosition": lambda: _first_weights(layers.LearnedPosition(12), np.zeros((1, 12, 8), "float32"), "position"),
    "MaxPooling2D": lambda: _pooling("MaxPooling2D"),
    "BatchEnsembleScaling": lambda: _first_weights(
        layers.BatchEnsembleScaling(8, seed=0), np.zeros((1, 12), "float32"), "member"
    ),
    "MultiHeadAttention": lambda: _sequence_layer("MultiHeadAttention", layers.MultiHeadAttention(2, 4), inputs=2),
    "Neuron": lambda: _over_features("Neuron", layers.Neuron()),
    "Perceptron": _perceptron,
    "PeriodicEmbedding": _periodic,
    "PiecewiseLinearEncoding": _piecewise_linear,
    "RMSNormalization": lambda: _beside("RMSNormalization", layers.RMSNormalization(), _batch()),
    "RandomTranslation": _shifted,
    "RotaryPosition": _rotary,
    "SimpleRNN": lambda: _sequence_layer("SimpleRNN", layers.SimpleRNN(4, return_sequences=True)),
    "SimpleRNNCell": lambda: _cell("SimpleRNNCell", layers.SimpleRNNCell(4), states=1),
    "SinusoidalPosition": _sinusoidal,
    "SortedLookup": _looked_up,
    "TransformerDecoder": lambda: _sequence_layer("TransformerDecoder", layers.TransformerDecoder(8, 2)),
    "TransformerEncoder": lambda: _sequence_layer("TransformerEncoder", layers.TransformerEncoder(8, 2)),
    "attention_weights": lambda: _table("attention_weights, of random steps", _weights(), "key", "query"),
    "combine_masks": _masks,
    "im2col": _columns,
    "quantile_edges": _edges,
    "scaled_dot_product_attention": lambda: _over_time(
        "scaled_dot_product_attention", lambda x: layers.scaled_dot_product_attention(x, x, x)
    ),
}
