"""Loading of models with our blocks. Importing this module registers all blocks with Keras."""

import keras

from kerasfound import activations, initializers, layers, losses, optimizers, schedules  # noqa: F401  registers the blocks


def load_model(filepath, custom_objects=None, compile=True, safe_mode=True):
    """Load a model like `keras.saving.load_model`, with all blocks registered.

    `keras.saving.load_model` itself knows them too, after `import kerasfound`.

    Args:
        filepath: a `.keras` file.
        custom_objects: classes and functions of your own, by name. Defaults to `None`.
        compile: whether to restore optimizer, loss and metrics too. Defaults to `True`.
        safe_mode: whether to refuse code inside the file; keep it True for files from others. Defaults to `True`.

    Example:
        >>> import os, tempfile
        >>> model = keras.Sequential([keras.Input((2,)), layers.Dense(3, activations.relu)])
        >>> file = os.path.join(tempfile.mkdtemp(), "model.keras")
        >>> model.save(file)
        >>> load_model(file).layers[0].__module__
        'kerasfound.layers.dense'
    """
    return keras.saving.load_model(filepath, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)
