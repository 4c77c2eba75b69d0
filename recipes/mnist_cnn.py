"""MNIST with a small convolutional network; photographs with a deeper, residual one.

Shows: learned filters, pooling, batch normalization, residual blocks, random changes, a one-cycle learning rate.
Costs: 30 s on 2 CPU cores with TensorFlow, 8 s with --preset fast, 200 s with --preset best.
Reaches: 99.42% on the test images, 99.12% with --preset fast, 99.57% with --preset best; benchmarks/RESULTS.md.

    kerasfound run mnist_cnn                  # full MNIST, through TFDS
    kerasfound run mnist_cnn --data digits    # 8 x 8 digits, no network
    kerasfound run mnist_cnn --data my_folder # one sub-folder of images per class
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import kerasfound as kf
from kerasfound import _lazy

from . import components

if TYPE_CHECKING:
    import keras
    from keras import ops
else:  # imported at the first use, so that --help stays fast
    keras, ops = _lazy.module("keras"), _lazy.module("keras.ops")


@dataclasses.dataclass(kw_only=True)
class Config(kf.training.Config):
    PRESETS: ClassVar = {
        "smoke": {"data": "digits", "epochs": 2},
        "fast": {"steps": 381, "strided": True, "dropout": 0.0, "neighbours": False},
        "best": {"steps": 3810, "width": 32, "dropout": 0.3, "augment": 2.0, "learning_rate": 4e-3},
    }

    data: str = "mnist"
    """A named set (mnist, digits), or a folder with one sub-folder of images per class, or with train, val and test."""
    image_size: int | None = None
    """Height and width of the images of a folder, 8 to 224. Defaults to their median size, within 8 to 64."""
    strict: bool = False
    """Stop if an image of a folder is unreadable. Otherwise up to 5% of them, or one, are left out by name."""
    steps: int = kf.training.bounded(1143, at_least=1)
    """Training steps, rounded to whole epochs, at most 100: small and large data sets train about equally long."""
    epochs: int | None = kf.training.bounded(None, at_least=1)
    """Passes over the training images, instead of steps."""
    batch_size: int | None = kf.training.bounded(None, at_least=1)
    """Images in one step. Defaults to a fortieth of the training images, at least 16 and at most 144."""
    learning_rate: float | None = kf.training.bounded(None, above=0)
    """Adam's step size at the peak of the cycle. Defaults to 6.5e-3 times the root of batch_size / 144."""
    width: int = kf.training.bounded(16, at_least=1)
    """Filters of the first stage. The next stages have twice, four times and at most eight times as many."""
    blocks: int | None = kf.training.bounded(None, at_least=0)
    """Residual blocks in each stage after the first. Defaults to 1 for images above 32 pixels, otherwise to 0."""
    strided: bool = False
    """Halve images above 16 pixels by a stride instead of pooling: a quarter of the work, less accurate."""
    dropout: float = kf.training.bounded(0.2, at_least=0)
    """Share of the last features that is dropped in training, below 1. Prevents overfitting in long trainings."""
    augment: float | None = kf.training.bounded(None, at_least=0)
    """How much training images are changed at random. Defaults to 2 for images above 32 pixels, otherwise to 1."""
    shift: int | None = kf.training.bounded(None, at_least=0)
    """Largest random shift (crop) of training images, in pixels. Defaults to 1/28 of the side times augment."""
    color: float | None = kf.training.bounded(None, at_least=0)
    """Largest random change of brightness and contrast, below 1. Defaults to augment / 10 above 32 pixels, else 0."""
    flip: bool = False
    """Mirror half of the training images left to right. Not for digits, letters or left and right hands."""
    neighbours: bool | None = None
    """Average over the image and its shifts by one pixel: five times the work. Defaults to yes up to 32 pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dropout", "color"):
            if (getattr(self, name) or 0) >= 1:
                raise kf.errors.UserError(f"`{name}` must be below 1, got {getattr(self, name)}.")


def complete(config: Config, images: kf.data.Dataset) -> Config:
    """The settings with those that are not given chosen by the number of images and their size."""
    rows, side = len(images.train.y), min(images.schema.shape[:2])
    large = side > 32
    batch_size = config.batch_size or min(max(rows // 40, 16), 144)
    augment = (2.0 if large else 1.0) if config.augment is None else config.augment
    steps = max(1, rows // batch_size)  # in an epoch
    epochs = config.epochs or min(100, max(1, round(config.steps / steps)))
    choices = {
        "batch_size": batch_size,
        "epochs": epochs,
        # batch normalization needs some tens of steps before its validation loss says anything
        "patience": None if config.ema else max(3, epochs // 4, 50 // steps),
        "learning_rate": 6.5e-3 * (batch_size / 144) ** 0.5,
        "blocks": int(large),
        "augment": augment,
        "shift": max(1, round(augment * side / 28)) if augment else 0,
        "color": 0.1 * augment if large else 0.0,
        "neighbours": not large,
    }
    config = dataclasses.replace(config, **{n: value for n, value in choices.items() if getattr(config, n) is None})
    if (config.shift or 0) >= side:
        raise kf.errors.UserError(f"`shift` {config.shift} moves images of {side} pixels out of view; use less.")
    return config


def build(schema: kf.bundle.Schema, config: Config) -> keras.Model:
    """The network from pixels 0..255 to class probabilities."""
    side, image = min(schema.shape[:2]), keras.Input(schema.shape, name=schema.input)
    x = keras.layers.Rescaling(1 / 255, name="scale")(augmented(image, config))
    halvings = max(2, (side - 1).bit_length() - 3)  # until at most 8 pixels are left
    for stage in range(1, halvings + 2):
        filters, size = config.width * min(2 ** (stage - 1), 8), 5 if stage == 1 else 3
        strided = ((config.strided and side > 16) or side > 96) and stage == 1
        # no bias: batch normalization would subtract it again
        options = {"strides": 2 if strided else 1, "use_bias": False, "name": f"filters_{stage}"}
        # without padding the next stages have about a quarter less work
        padding = "valid" if strided else "same"
        x = kf.layers.Conv2D(filters, size, padding=padding, **options)(x)
        if stage <= halvings and not strided:
            # pool before normalizing: a quarter of the pixels to normalize, with the same accuracy
            x = kf.layers.MaxPooling2D(2, name=f"pool_{stage}")(x)
        x = components.residual.normalize(x, f"{stage}")
        x = keras.layers.Activation(kf.activations.relu, name=f"relu_{stage}")(x)
        for block in range(config.blocks or 0 if stage > 1 else 0):
            x = components.residual.add_block(x, f"{stage}_{block}")
    # small images: a weight for each position; larger ones: what they show may be anywhere
    x = keras.layers.Flatten(name="flatten")(x) if side <= 32 else kf.layers.GlobalAveragePooling2D(name="mean")(x)
    x = kf.layers.Dropout(config.dropout, name="dropout")(x)
    probabilities = kf.layers.Dense(len(schema.labels), kf.activations.softmax, name="probabilities")(x)
    return keras.Model(image, probabilities, name="mnist_cnn")


def augmented(x: keras.KerasTensor, config: Config) -> keras.KerasTensor:
    """In training, another version of the image in every epoch, of the same class."""
    x = kf.layers.RandomTranslation(config.shift, name="shift")(x)
    x = keras.layers.RandomFlip("horizontal", name="flip")(x) if config.flip else x
    if config.color:
        x = keras.layers.RandomBrightness(config.color, name="brightness")(x)
        x = keras.layers.RandomContrast(config.color, name="contrast")(x)
    return x


def with_neighbours(network: keras.Model) -> keras.Model:
    """A model with the mean output for an image and its shifts by one pixel up, down, left and right."""
    height, width, _ = shape = network.input_shape[1:]
    image = keras.Input(shape, name=network.input.name)
    padded = ops.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]])
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    views = ops.concatenate([padded[:, i : i + height, k : k + width] for i, k in corners], axis=0)
    outputs = ops.reshape(network(views), (len(corners), -1, network.output_shape[-1]))
    probabilities = keras.layers.Activation("linear", name="probabilities")(ops.mean(outputs, axis=0))
    return keras.Model(image, probabilities, name="mnist_cnn_with_neighbours")


def train(config: Config, run: kf.training.Run) -> kf.training.Trained:
    """Fit the network. With `neighbours`, the trained model averages its predictions over shifted images."""
    images = kf.data.load(
        config.data, config.data_dir, "image_classification", image_size=config.image_size, strict=config.strict
    )
    config = complete(config, images)
    assert config.epochs is not None
    assert config.batch_size is not None
    assert config.learning_rate is not None
    run.start(images, config)
    batches = kf.training.ShuffledBatches(images.train, config.batch_size, config.seed)
    network = build(images.schema, config)
    schedule = kf.schedules.OneCycle(config.learning_rate, config.epochs * len(batches))
    network.compile(
        optimizer=kf.optimizers.Adam(schedule, **config.optimizer_options()),
        loss=kf.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile="auto" if config.jit is None else config.jit,
        steps_per_execution=config.steps_per_call,
    )
    kf.training.fit(network, batches, images.validation, run, config)
    return kf.training.Trained(with_neighbours(network) if config.neighbours else network, images)
