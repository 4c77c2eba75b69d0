"""Do the maps of a model rank pixels better than an edge detector? Deletion, insertion and the randomization check.

A small convolutional network learns 1,500 of scikit-learn's digits; the maps explain 200 others. For each method and
seed: the mean probability of the predicted class while the most important pixels are deleted (lower is better) or
inserted (higher is better), and the rank correlation of its gradient part with that of shuffled weights (near 0 is
good; a map without a gradient part is judged whole).

    python benchmarks/interpretability.py               # 3 seeds
    python benchmarks/interpretability.py --seeds 1
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

from kerasfound import interpretability as kfi

IMAGES = 200
CHECKED = 50
"""Images of the randomization check."""


def trained(seed: int, x: np.ndarray, y: np.ndarray) -> keras.Model:
    """The network, with the architecture of the package's tests."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(12, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(24, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=50, epochs=8, verbose=0)
    return model


def methods(seed: int) -> dict:
    """For each method its map `(rows, height, width)` and its gradient part, of a model, images and classes."""
    rng = np.random.default_rng(seed)

    def path(model, x, t, scale="auto"):
        return kfi.integrated_gradients(model, x, t, tolerance=0.1, max_steps=64, scale=scale).attributions

    def mean_gradient(model, x, t):
        """Integrated gradients without the factor x: the mean gradient along the path."""
        steps = [kfi.saliency(model, alpha * x, t) for alpha in (np.arange(8) + 0.5) / 8]
        return np.mean(steps, axis=0)

    found = {
        "integrated gradients": (lambda m, x, t: path(m, x, t).sum(-1), mean_gradient),
        "integrated gradients of the probability": (lambda m, x, t: path(m, x, t, "output").sum(-1), None),
        "input x gradient": (lambda m, x, t: kfi.input_times_gradient(m, x, t).sum(-1), kfi.saliency),
        "occlusion, 1 pixel": (lambda m, x, t: kfi.occlusion(m, x, t, patch=1), None),
        "occlusion, 3 x 3 pixels": (lambda m, x, t: kfi.occlusion(m, x, t, patch=3, stride=1), None),
        "saliency": (lambda m, x, t: np.abs(kfi.saliency(m, x, t)).max(-1), kfi.saliency),
        "SmoothGrad": (lambda m, x, t: np.abs(kfi.smooth_grad(m, x, t)).max(-1), kfi.smooth_grad),
        "Grad-CAM": (lambda m, x, t: kfi.grad_cam(m, x, t), kfi.grad_cam),
        "edge detector": (lambda m, x, t: kfi.edge_detector(x), None),
        "the image itself": (lambda m, x, t: x.sum(-1), None),
        "random": (lambda m, x, t: rng.normal(size=x.shape[:3]), None),
    }
    return {name: (whole, part or whole) for name, (whole, part) in found.items()}


def measure(seed: int, x: np.ndarray, y: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Deletion, insertion, correlation with shuffled weights, and seconds of each method."""
    model = trained(seed, x[:1500], y[:1500])
    images = x[1500 : 1500 + IMAGES]
    outputs = model.predict(images, verbose=0)
    target = outputs.argmax(-1)
    print(f"seed {seed}: accuracy {(target == y[1500 : 1500 + IMAGES]).mean():.3f}", flush=True)
    rows = {}
    for name, (whole, part) in methods(seed).items():
        started = time.perf_counter()
        values = whole(model, images, target)
        seconds = time.perf_counter() - started
        areas = [
            kfi.pixel_curve(model, images, values, kind, target, steps=64).area for kind in ("deletion", "insertion")
        ]
        check = kfi.randomization_check(
            lambda model, x, part=part: part(model, x, target[:CHECKED]), model, images[:CHECKED], seeds=2
        )
        rows[name] = (*areas, check, seconds)
        print(f"  {name:<42}{areas[0]:.3f} {areas[1]:.3f} {check:+.2f} {seconds:6.1f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    images, y = load_digits(return_X_y=True)
    x = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    measured = [measure(seed, x, y) for seed in range(seeds)]
    print("\n| | deletion | insertion | shuffled weights | beats the edge detector |\n|---|---|---|---|---|")
    edges = [rows["edge detector"] for rows in measured]
    for name in measured[0]:
        runs = [rows[name] for rows in measured]
        deletion, insertion, check, _ = np.mean(runs, axis=0)
        better = sum(a[0] < b[0] and a[1] > b[1] for a, b in zip(runs, edges, strict=True))
        each = [" ".join(f"{run[i]:.3f}" for run in runs) for i in (0, 1)]
        verdict = "" if name == "edge detector" else f"{better} of {seeds}"
        print(f"| {name} | {deletion:.3f} ({each[0]}) | {insertion:.3f} ({each[1]}) | {check:.2f} | {verdict} |")


if __name__ == "__main__":
    main()
