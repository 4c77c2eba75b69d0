from . import imdb_lstm as imdb_lstm
from . import mini_transformer as mini_transformer
from . import mnist_cnn as mnist_cnn
from . import tabular_mlp as tabular_mlp

NAMES: tuple[str, ...]
