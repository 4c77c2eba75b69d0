"""The residual blocks of an image classifier."""

import keras

import kerasfound as kf


def normalize(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalization whose running mean follows fast.

    With Keras's momentum of 0.99, the statistics of the first steps outlast the training on a small data set.
    """
    return kf.layers.BatchNormalization(momentum=0.9, name=f"normalize_{name}")(x)


def add_block(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Add to the feature maps what two convolutions make of them.

    Convolutions that are not needed yet learn to add zero, so that deep networks learn as easily as flat ones (He et
    al., "Deep Residual Learning for Image Recognition", 2016).
    """
    options = {"filters": x.shape[-1], "kernel_size": 3, "padding": "same", "use_bias": False}
    change = normalize(kf.layers.Conv2D(**options, name=f"filters_{name}a")(x), f"{name}a")
    change = keras.layers.Activation(kf.activations.relu, name=f"relu_{name}a")(change)
    change = normalize(kf.layers.Conv2D(**options, name=f"filters_{name}b")(change), f"{name}b")
    x = keras.layers.Add(name=f"add_{name}")([x, change])
    return keras.layers.Activation(kf.activations.relu, name=f"relu_{name}")(x)
