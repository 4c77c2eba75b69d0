"""The recipes: each file trains one kind of network on real data and reads from top to bottom."""

NAMES = ("mnist_cnn", "imdb_lstm", "tabular_mlp", "mini_transformer")
