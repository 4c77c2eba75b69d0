"""One plot for each layer: the effect on an image or a table, or the derivative of each output by each input."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from kerasfound import layers

from .style import heat_map, new_figure, to_numpy


def _sinusoidal() -> Figure:
    """The sines and cosines that the layer adds at each position."""
    added = to_numpy(layers.SinusoidalPosition()(ops.zeros((1, 100, 64))))[0]
    figure, axes = new_figure("SinusoidalPosition, the vector added at each position", size=(6.4, 4.4))
    heat_map(figure, axes, added, xlabel="feature", ylabel="position")
    return figure


def _rotary() -> Figure:
    """Dot products of one vector at two positions: they depend on the distance only."""
    x = layers.RotaryPosition()(ops.ones((1, 48, 32)))[0]
    products = to_numpy(ops.matmul(x, ops.transpose(x))) / 32
    figure, axes = new_figure(
        "RotaryPosition, one vector at two positions:\nthe dot product depends on their distance only", (5.6, 4.8)
    )
    heat_map(figure, axes, products, xlabel="position of the key", ylabel="position of the query")
    return figure


def _piecewise_linear() -> Figure:
    """The parts of the encoding of a growing number: they rise from 0 to 1 one after the other."""
    x = np.linspace(-0.25, 4.25, 451).astype("float32")
    parts = to_numpy(layers.PiecewiseLinearEncoding([[0.0, 1.0, 2.0, 4.0]])(x[:, None])).reshape(len(x), -1)
    return _encoding("PiecewiseLinearEncoding, edges 0, 1, 2, 4", x, parts)


def _combine_masks() -> Figure:
    """Causal, and causal within a window, with padding at the end."""
    x, is_step = ops.zeros((1, 10, 4)), np.arange(10)[None] < 8
    figure, both = new_figure("combine_masks, the last two steps are padding", size=(7.6, 3.8), columns=2)
    for axes, window in zip(both, (None, 3), strict=True):
        mask = layers.combine_masks(x, x, value_mask=is_step, use_causal_mask=True, sliding_window=window)[0]
        axes.imshow(to_numpy(mask), cmap="Blues", vmin=0, vmax=1.4)
        axes.set(xlabel="key", ylabel="query", title="causal" if window is None else f"causal, sliding_window={window}")
        axes.grid(False)
    return figure


def _cross() -> np.ndarray:
    """A small image of a cross, the input of the image layers."""
    row, column = np.mgrid[:12, :12]
    return (np.abs(row - column) < 2).astype("float32") + (np.abs(row + column - 11) < 1)


def _images(title: str, images: dict[str, np.ndarray], limit: float | None = None) -> Figure:
    figure, row = new_figure(title, size=(2.9 * len(images), 3.4), columns=len(images))
    for axes, (label, image) in zip(row, images.items(), strict=True):
        vmax = limit or np.abs(image).max()
        axes.imshow(image, cmap="RdBu_r", vmin=-vmax, vmax=vmax)
        axes.set_title(f"{label}, {image.shape[0]} x {image.shape[1]}", fontsize=9)
        axes.set_axis_off()
    return figure


def _pooling(name: str) -> Figure:
    x = _cross()
    y = to_numpy(getattr(layers, name)(pool_size=3)(x[None, :, :, None]))[0, :, :, 0]
    return _images(f"{name}, windows of 3 x 3", {"before": x, "after": y}, limit=x.max())


def _convolution() -> Figure:
    x, edge = _cross(), np.array([[-1, 0, 1]] * 3, dtype="float32")
    layer = layers.Conv2D(1, 3, use_bias=False)
    layer.build((None, *x.shape, 1))
    layer.set_weights([edge[:, :, None, None]])
    y = to_numpy(layer(x[None, :, :, None]))[0, :, :, 0]
    return _images("Conv2D with a filter for vertical edges", {"image": x, "filter": edge, "output": y})


def _im2col() -> Figure:
    x = np.arange(16, dtype="float32").reshape(4, 4)
    windows = to_numpy(layers.im2col(x[None, :, :, None], 2))[0].reshape(-1, 4)
    figure, both = new_figure("im2col: each window of 2 x 2 becomes a row", size=(6.6, 4.4), columns=2)
    for axes, table, label in zip(both, (x, windows), ("image", "one row for each window"), strict=True):
        axes.imshow(table, cmap="Blues", vmin=0, vmax=24)
        for (i, j), value in np.ndenumerate(table):
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=9)
        axes.set_title(label, fontsize=9)
        axes.set_axis_off()
    return figure


def _with_random_weights(layer: Any, *inputs: np.ndarray) -> Any:
    """Build `layer` and set random weights: some matrices start at zero, and their plot would be empty."""
    layer(*inputs)
    rng = np.random.default_rng(1)
    weights = (rng.normal(size=w.shape) / np.sqrt(w.shape[0]) if w.ndim > 1 else w for w in layer.get_weights())
    layer.set_weights(list(weights))
    return layer


def jacobian(function: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """Return the derivative of each output by each input of one row, `(*outputs, *inputs)`, by central differences."""
    h = np.float32(1e-2)
    steps = h * np.eye(x.size, dtype="float32").reshape(x.size, *x.shape)
    slopes = (to_numpy(function(x + steps)) - to_numpy(function(x - steps))) / (2 * h)
    return np.moveaxis(slopes, 0, -1).reshape(*slopes.shape[1:], *x.shape)


def _over_time(name: str, function: Callable[[np.ndarray], Any]) -> Figure:
    """For each pair of steps, the norm of the derivative of the output at one by the input at the other."""
    x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    norms = np.sqrt(np.square(jacobian(function, x)).sum(axis=(1, 3)))
    figure, axes = new_figure(
        f"{name}: derivative of the output at each step\nby the input at each step", size=(5.6, 4.8)
    )
    heat_map(figure, axes, norms, xlabel="step of the input", ylabel="step of the output")
    return figure


def _over_features(name: str, function: Callable[[np.ndarray], Any]) -> Figure:
    x = np.random.default_rng(0).normal(size=6).astype("float32")
    figure, axes = new_figure(f"{name}: derivative of each output by each input", size=(5.6, 4.2))
    heat_map(figure, axes, jacobian(function, x), xlabel="input", ylabel="output")
    return figure


def _sequence_layer(name: str, layer: Any, inputs: int = 1) -> Figure:
    _with_random_weights(layer, *[np.zeros((1, 12, 4), "float32")] * inputs)
    return _over_time(name, lambda x: layer(*[x] * inputs))


def _recurrent_cell(name: str, layer: Any, states: int) -> Figure:
    def output(x: np.ndarray) -> Any:
        return layer(x, [ops.zeros((len(x), 4))] * states)[0]

    return _over_features(name, output)


def _before_and_after(name: str, function: Callable[[np.ndarray], Any], x: np.ndarray) -> Figure:
    """A batch before and after the layer, one row for each example."""
    figure, both = new_figure(f"{name}, a batch before and after", size=(8, 3.6), columns=2)
    for axes, values, title in zip(both, (x, to_numpy(function(x))), ("x", "y"), strict=True):
        heat_map(figure, axes, np.ma.masked_invalid(values), xlabel="feature", ylabel="example", title=title)
    return figure


def _batch() -> np.ndarray:
    """A batch of features with different means and variances."""
    x = np.random.default_rng(0).normal(size=(10, 6))
    return (x * [1, 1, 1, 4, 4, 4] + [0, 3, -3, 0, 3, -3]).astype("float32")


def _imputation() -> Figure:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    return _before_and_after("Imputation, with 2 for every missing number", layers.Imputation([2.0] * 4), x)


def _matrix(title: str, values: Any, xlabel: str, ylabel: str) -> Figure:
    figure, axes = new_figure(title)
    heat_map(figure, axes, to_numpy(values), xlabel=xlabel, ylabel=ylabel)
    return figure


def _initial_weights(layer: Any, x: np.ndarray, ylabel: str) -> Figure:
    """The first weight matrix of a layer before training."""
    layer(x)
    return _matrix(f"{type(layer).__name__}, before training", layer.weights[0], "feature", ylabel)


def _global_pooling(name: str) -> Figure:
    x = _cross()
    y = to_numpy(getattr(layers, name)(keepdims=True)(x[None, :, :, None]))[0, :, :, 0]
    return _images(f"{name}, one number for each channel", {"before": x, "after": y}, limit=x.max())


def _periodic() -> Figure:
    x = np.linspace(-3, 3, 301).astype("float32")
    waves = to_numpy(layers.PeriodicEmbedding(waves=2, sigma=0.5, seed=1)(x[:, None]))[:, 0]
    return _encoding("PeriodicEmbedding, two waves of one number", x, waves)


def _encoding(title: str, x: np.ndarray, y: np.ndarray) -> Figure:
    """The parts of the encoding `y`, `(numbers, parts)`, over the encoded number `x`."""
    figure, axes = new_figure(title)
    for i, part in enumerate(y.T, start=1):
        axes.plot(x, part, lw=2, label=f"part {i}")
    axes.set(xlabel="x", ylabel="encoding", xlim=(x[0], x[-1]))
    axes.legend()
    return figure


def _interaction() -> Figure:
    rng = np.random.default_rng(0)
    users, films = rng.normal(size=(8, 1, 3)), rng.normal(size=(1, 10, 3))
    pairs = np.stack(np.broadcast_arrays(users, films), axis=2).reshape(-1, 2, 3).astype("float32")
    scores = to_numpy(layers.FactorizedInteraction()(pairs)).reshape(8, 10)
    return _matrix("FactorizedInteraction, of each user with each film", scores, "film", "user")


def _perceptron() -> Figure:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).astype("float32")
    x = x[np.abs(x[:, 0] + 2 * x[:, 1] - 0.5) > 0.4]  # a margin between the classes, so that the rule converges
    t = (x[:, 0] + 2 * x[:, 1] > 0.5).astype("float32")
    perceptron = layers.Perceptron()
    perceptron.fit(x, t, epochs=30, verbose=0)
    grid = np.stack(np.meshgrid(np.linspace(-3, 3, 200), np.linspace(-3, 3, 200)), axis=-1).astype("float32")
    classes = to_numpy(perceptron(grid.reshape(-1, 2))).reshape(200, 200)
    figure, axes = new_figure("Perceptron, after at most 30 passes over the points", size=(5.2, 4.8))
    axes.imshow(classes, extent=(-3, 3, -3, 3), origin="lower", cmap="Blues", vmin=0, vmax=3)
    for c in (0, 1):
        axes.plot(*x[t == c].T, "o", label=f"target {c}")
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    axes.grid(False)
    axes.legend()
    return figure


def _quantile_edges() -> Figure:
    x = np.random.default_rng(0).exponential(size=(2000, 1))
    figure, axes = new_figure("quantile_edges, 8 bins with the same number of values each")
    axes.hist(x[:, 0], bins=60, color="0.8")
    for edge in layers.quantile_edges(x, bins=8)[0]:
        axes.axvline(edge, lw=1.5)
    axes.set(xlabel="x", ylabel="rows")
    return figure


def _attention_weights() -> Any:
    x = np.random.default_rng(0).normal(size=(1, 12, 4)).astype("float32")
    return layers.attention_weights(x, x)[0]


def _hashed_n_grams() -> Figure:
    """The buckets of a text of six words, and of the same words in reverse order."""
    words = np.array([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
    buckets_of_both = to_numpy(layers.HashedNGrams(2, 64)(words))
    figure, axes = new_figure("HashedNGrams, words and pairs of words in 64 buckets", size=(6.4, 2.2))
    for row, buckets in enumerate(buckets_of_both):
        axes.scatter(buckets[buckets > 0], [row] * (buckets > 0).sum(), marker="|", s=300)
    axes.set(xlabel="bucket", yticks=[0, 1], yticklabels=["in order", "reversed"], ylim=(-0.7, 1.7))
    return figure


def _random_translation() -> Figure:
    """An image of an L, translated six times at random."""
    x = np.zeros((6, 12, 12, 1), "float32")
    x[:, 3:9, 4], x[:, 8, 4:8] = 1, 1
    figure, columns = new_figure(
        "RandomTranslation by up to 3 pixels, six times the same image", size=(6.4, 1.8), columns=6
    )
    for axes, image in zip(columns, to_numpy(layers.RandomTranslation(3, seed=0)(x, training=True)), strict=True):
        axes.imshow(image[..., 0], cmap="gray")
        axes.set(xticks=[], yticks=[])
    return figure


def _sorted_lookup() -> Figure:
    lookup = layers.SortedLookup(5)
    lookup.set_weights([np.array([2, 3, 7, 12, 17], "int32")])
    x = np.arange(20)
    figure, axes = new_figure("SortedLookup of 2, 3, 7, 12 and 17")
    axes.stem(x, to_numpy(lookup(x)), basefmt=" ")
    axes.set(xlabel="x", ylabel="output")
    return figure


def _decision_trees() -> Figure:
    layer = layers.DecisionTrees(trees=2, nodes=1)
    layer.build((None, 1))
    weights = [[[0], [1]], [[0], [-3]]], [[0], [0]], [[-1], [1]], [[[-1, 1]]] * 2, [[0, 1]] * 2
    layer.set_weights([np.array(w) for w in weights])
    x = np.linspace(-3, 3, 601).astype("float32")
    figure, axes = new_figure("DecisionTrees: the sum of two trees with one node each")
    axes.plot(x, to_numpy(layer(x[:, None]))[:, 0])
    axes.set(xlabel="x", ylabel="y")
    return figure


CODES = np.arange(12)[None]
LAYERS: dict[str, Callable[[], Figure]] = {
    "AveragePooling2D": lambda: _pooling("AveragePooling2D"),
    "BatchEnsembleScaling": lambda: _initial_weights(
        layers.BatchEnsembleScaling(8, seed=0), np.zeros((1, 12), "float32"), "member"
    ),
    "BatchNormalization": lambda: _before_and_after(
        "BatchNormalization", lambda x: layers.BatchNormalization()(x, training=True), _batch()
    ),
    "Bidirectional": lambda: _sequence_layer(
        "Bidirectional", layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    ),
    "CategoryEmbedding": lambda: _initial_weights(layers.CategoryEmbedding([12], 8), CODES.T, "category"),
    "CausalSelfAttention": lambda: _sequence_layer("CausalSelfAttention", layers.CausalSelfAttention(2)),
    "CausalTransformerBlock": lambda: _sequence_layer("CausalTransformerBlock", layers.CausalTransformerBlock(8, 2)),
    "Conv2D": _convolution,
    "DecisionTrees": _decision_trees,
    "Dense": lambda: _over_features("Dense", layers.Dense(4)),
    "DotProductAttention": lambda: _sequence_layer("DotProductAttention", layers.DotProductAttention(), inputs=2),
    "Dropout": lambda: _before_and_after("Dropout", lambda x: layers.Dropout(0.3, seed=0)(x, training=True), _batch()),
    "Embedding": lambda: _initial_weights(layers.Embedding(12, 8), CODES, "word"),
    "FactorizedInteraction": _interaction,
    "FeedForward": lambda: _over_features("FeedForward", layers.FeedForward(16)),
    "GRU": lambda: _sequence_layer("GRU", layers.GRU(4, return_sequences=True)),
    "GRUCell": lambda: _recurrent_cell("GRUCell", layers.GRUCell(4), states=1),
    "GlobalAveragePooling2D": lambda: _global_pooling("GlobalAveragePooling2D"),
    "GlobalMaxPooling2D": lambda: _global_pooling("GlobalMaxPooling2D"),
    "HashedNGrams": _hashed_n_grams,
    "Imputation": _imputation,
    "LSTM": lambda: _sequence_layer("LSTM", layers.LSTM(4, return_sequences=True)),
    "LSTMCell": lambda: _recurrent_cell("LSTMCell", layers.LSTMCell(4), states=2),
    "LayerNormalization": lambda: _before_and_after("LayerNormalization", layers.LayerNormalization(), _batch()),
    "LearnedPosition": lambda: _initial_weights(
        layers.LearnedPosition(12), np.zeros((1, 12, 8), "float32"), "position"
    ),
    "MaxPooling2D": lambda: _pooling("MaxPooling2D"),
    "MultiHeadAttention": lambda: _sequence_layer("MultiHeadAttention", layers.MultiHeadAttention(2, 4), inputs=2),
    "Neuron": lambda: _over_features("Neuron", layers.Neuron()),
    "Perceptron": _perceptron,
    "PeriodicEmbedding": _periodic,
    "PiecewiseLinearEncoding": _piecewise_linear,
    "RMSNormalization": lambda: _before_and_after("RMSNormalization", layers.RMSNormalization(), _batch()),
    "RandomTranslation": _random_translation,
    "RotaryPosition": _rotary,
    "SimpleRNN": lambda: _sequence_layer("SimpleRNN", layers.SimpleRNN(4, return_sequences=True)),
    "SimpleRNNCell": lambda: _recurrent_cell("SimpleRNNCell", layers.SimpleRNNCell(4), states=1),
    "SinusoidalPosition": _sinusoidal,
    "SortedLookup": _sorted_lookup,
    "TransformerDecoder": lambda: _sequence_layer("TransformerDecoder", layers.TransformerDecoder(8, 2)),
    "TransformerEncoder": lambda: _sequence_layer("TransformerEncoder", layers.TransformerEncoder(8, 2)),
    "attention_weights": lambda: _matrix("attention_weights of random steps", _attention_weights(), "key", "query"),
    "combine_masks": _combine_masks,
    "im2col": _im2col,
    "quantile_edges": _quantile_edges,
    "scaled_dot_product_attention": lambda: _over_time(
        "scaled_dot_product_attention", lambda x: layers.scaled_dot_product_attention(x, x, x)
    ),
}
