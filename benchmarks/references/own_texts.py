"""TF-IDF of words and pairs with a linear support vector machine, with scikit-learn: a reference for imdb_lstm.

    python benchmarks/references/own_texts.py FILE [--text COLUMN] [--target COLUMN]     # prints one JSON object

It learns from the same training rows as the recipe, with scikit-learn's default cost.
"""

import json
import time
from pathlib import Path

import cyclopts
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import kerasfound as kf


def main(file: Path, text: str | None = None, target: str | None = None, seed: int = 0) -> None:
    """Train, and print the seconds and the test accuracy."""
    texts = kf.data.load(str(file), None, "text_classification", text=text, target=target)
    started = time.perf_counter()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC(random_state=seed))
    model.fit(texts.train.x.tolist(), texts.train.y)
    seconds = time.perf_counter() - started
    accuracy = float(model.score(texts.test.x.tolist(), texts.test.y))
    print(json.dumps({"model": "TF-IDF, linear SVM", "seconds": round(seconds, 1), "accuracy": round(accuracy, 4)}))


if __name__ == "__main__":
    cyclopts.run(main)
