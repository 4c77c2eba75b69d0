"""The recipes: each file trains one kind of network on real data and reads from top to bottom."""

from kerasfound import _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, __file__)

NAMES = ("mnist_cnn", "imdb_lstm", "tabular_mlp", "mini_transformer")
