"""The recipes: each file trains one kind of network on real data and reads from top to bottom."""

NAMES = ("mnist_cnn", "tabular_mlp", "mini_transformer")
