"""keras.io's "Bidirectional LSTM on IMDB" on Keras's own layers: a reference for imdb_lstm.

    TFDS_DATA_DIR=... python benchmarks/references/bilstm.py --seed 0     # prints one JSON object

Two bidirectional LSTMs of 64 units on the last 200 words, a vocabulary of 20,000 words, Adam, batches of 32, 2 epochs:
the architecture of keras.io/examples/nlp/bidirectional_lstm_imdb (Apache-2.0), with our tokenizer and data splits.
"""

import json
import time

import cyclopts
import keras
import numpy as np
from keras import layers

import kerasfound as kf


def main(seed: int = 0, epochs: int = 2) -> None:
    """Train, and print training seconds and test accuracy."""
    keras.utils.set_random_seed(seed)
    texts = kf.data.load("imdb_reviews")
    tokenizer = kf.preprocessing.train_tokenizer(texts.train.x, 20_000, 200)
    train, test = (kf.preprocessing.encode_texts(tokenizer, rows.x) for rows in (texts.train, texts.test))
    train, test = (
        np.array([np.roll(row, (row == 0).sum()) for row in ids]) for ids in (train, test)
    )  # padding moves to the front
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(20_000, 128),
            layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(64)),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    model.fit(train, texts.train.y, batch_size=32, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - started
    _, accuracy = model.evaluate(test, texts.test.y, batch_size=500, verbose=0)
    print(json.dumps({"seconds": round(seconds, 1), "accuracy": round(accuracy, 4)}))


if __name__ == "__main__":
    cyclopts.run(main)
