"""NB-SVM on words, pairs and triples (Wang and Manning, 2012), with scikit-learn: a reference for imdb_lstm.

    TFDS_DATA_DIR=... python benchmarks/references/nbsvm.py     # prints one JSON object

A linear classifier on binary n-gram features, each scaled by its naive Bayes log-ratio. The cost C is chosen on the
validation split.
"""

import json
import time

import cyclopts
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC

import kerasfound as kf


def main(seed: int = 0) -> None:
    """Train, and print the seconds of n-gram counting and training, and the test accuracy."""
    texts = kf.data.load("imdb_reviews")
    vectorizer = CountVectorizer(ngram_range=(1, 3), token_pattern=r"\w+|[^\w\s]", binary=True, dtype=np.float32)
    started = time.perf_counter()
    train = vectorizer.fit_transform(texts.train.x.tolist())
    positive, negative = (1 + np.asarray(train[texts.train.y == c].sum(axis=0))[0] for c in (1, 0))
    ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
    scaled = train.multiply(ratio).tocsr()
    validation = vectorizer.transform(texts.validation.x.tolist()).multiply(ratio).tocsr()
    fitted = [LinearSVC(C=C, random_state=seed).fit(scaled, texts.train.y) for C in (0.003, 0.01, 0.03)]
    best = max(fitted, key=lambda model: model.score(validation, texts.validation.y))
    seconds = time.perf_counter() - started
    test = vectorizer.transform(texts.test.x.tolist()).multiply(ratio).tocsr()
    accuracy = float(best.score(test, texts.test.y))
    print(json.dumps({"seconds": round(seconds, 1), "accuracy": round(accuracy, 4), "C": best.C}))


if __name__ == "__main__":
    cyclopts.run(main)
