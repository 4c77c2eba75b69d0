"""keras.io's "Simple MNIST convnet" on Keras's own layers: the reference for mnist_cnn.

    TFDS_DATA_DIR=... python benchmarks/references/mnist_convnet.py --seed 0 --epochs 15     # prints one JSON object

Two convolutions of 32 and 64 filters, each with pooling, dropout, Adam, batches of 128: the architecture of
keras.io/examples/vision/mnist_convnet (Apache-2.0), with our data splits.
"""

import json
import time

import cyclopts
import keras
from keras import layers

import kerasfound as kf


def main(seed: int = 0, epochs: int = 15) -> None:
    """Train, and print seconds and test accuracy after each epoch; only the training is timed."""
    keras.utils.set_random_seed(seed)
    images = kf.data.load("mnist")
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    train_x, test_x = images.train.x / 255, images.test.x / 255
    seconds, rows = 0.0, []
    for _ in range(epochs):
        started = time.perf_counter()
        model.fit(train_x, images.train.y, batch_size=128, epochs=1, verbose=0)
        seconds += time.perf_counter() - started
        _, accuracy = model.evaluate(test_x, images.test.y, batch_size=500, verbose=0)
        rows.append({"seconds": round(seconds, 2), "accuracy": round(accuracy, 4)})
    print(json.dumps({"epochs": rows}))


if __name__ == "__main__":
    cyclopts.run(main)
