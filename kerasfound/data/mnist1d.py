"""MNIST-1D: ten signals that look like digits, small enough for an experiment of a few seconds."""

import numpy as np

from kerasfound.errors import UserError

from .dataset import Split

TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""The shape of each digit, drawn by hand by the author of the data set."""
CLASSES = len(TEMPLATES)
PADDING = 36, 60
"""The smallest and the largest number of zeros after a template. More zeros make the digit narrower."""
LENGTH = len(TEMPLATES[0]) + PADDING[1]
POSITIONS = 48
"""The number of positions to which a digit can be shifted."""
SCALE, SHEAR = 0.4, 0.75
"""The width of the interval of the height of a digit, and of the slope of its ramp."""
SMOOTH_NOISE, WHITE_NOISE = 0.25, 0.02
"""The standard deviations of the noise beside the digit, before it is smoothed, and of the noise everywhere."""
SMOOTHING, RADIUS = 2.0, 8
"""The standard deviation of the smoothing, and where its weights end, in points."""
PIXELS = 40
TRAIN_SHARE = 0.8


def load(samples: int = 5000, seed: int = 42, shuffled: bool = False) -> tuple[Split, Split]:
    r"""Generate MNIST-1D: the train rows and the test rows.

    A row is a template of 12 points, changed at random in this order: 36 to 60 zeros are appended and the signal is
    stretched to 72 points; it is multiplied by 0.8 to 1.2; it is shifted by 0 to 47 points, as on a ring; smooth noise
    fills the points beside the digit, and white noise is added everywhere; a ramp with a slope in $\pm 0.375$ is
    subtracted; 40 points are kept. All values together have mean 0 and standard deviation 1.

    The templates and the order of the random numbers are those of the published generator: the rows with the defaults
    are those of the paper. Its accuracies are 32% for a linear model, 68% for an MLP, 94% for a CNN and 96% for a
    person. On shuffled pixels the MLP is as good as before and the CNN falls to the MLP's accuracy or below.

    Args:
        samples: the number of rows, a multiple of 10 of at least 50; 80% are for training.
        seed: the seed of all random numbers.
        shuffled: put the 40 pixels in a random order, the same for all rows.

    Returns:
        The train and the test split: `x` of shape `(rows, 40)`, float32, and `y`, digits from 0 to 9.

    Raises:
        UserError: if the number of rows is not a multiple of 10, or below 50.

    Example:
        >>> train, test = load()
        >>> train.x.shape, test.x.shape, train.y[:5]
        ((4000, 40), (1000, 40), array([2, 6, 4, 5, 6]))

    Source: Greydanus, "Scaling Down Deep Learning", 2020 (arXiv:2011.14439), generator under Apache-2.0,
    github.com/greydanus/mnist1d.
    """
    if samples < 5 * CLASSES or samples % CLASSES:
        raise UserError(f"`samples` must be a multiple of {CLASSES} of at least {5 * CLASSES}, got {samples}.")
    rng = np.random.RandomState(seed)  # the generator of the published rows
    y = np.repeat(np.arange(CLASSES), samples // CLASSES)
    x = np.stack([_signal(template, rng) for template in _normalized_templates()[y]])
    order = rng.permutation(samples)
    x, y = x[order], y[order]
    if shuffled:
        x = x[:, rng.permutation(PIXELS)]
    x = ((x - x.mean()) / x.std()).astype("float32")
    end = int(samples * TRAIN_SHARE)
    return Split(x[:end], y[:end]), Split(x[end:], y[end:])


def _normalized_templates() -> np.ndarray:
    """The templates with standard deviation 1/6, starting at zero."""
    x = np.array(TEMPLATES)
    x = x / x.std(axis=1, keepdims=True)
    return (x - x[:, :1]) / 6


def _signal(template: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    low, high = PADDING
    zeros = low + int(rng.rand() * (high - low + 1))
    visible = template + 1e-8  # its zeros differ from those of the padding, so that the digit knows its place
    signal = _stretch(np.concatenate([visible, np.zeros(zeros)]), LENGTH)
    signal = signal * (1 + SCALE * (rng.rand() - 0.5))
    signal = np.roll(signal, rng.choice(POSITIONS))
    noise = _smooth(SMOOTH_NOISE * rng.randn(LENGTH))
    signal = np.where(signal == 0, noise, signal) + WHITE_NOISE * rng.randn(LENGTH)
    signal = signal - SHEAR * (rng.rand() - 0.5) * np.linspace(-0.5, 0.5, LENGTH)
    return _stretch(signal, PIXELS)


def _stretch(signal: np.ndarray, points: int) -> np.ndarray:
    """The signal at equal distances, by linear interpolation."""
    return np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(signal)), signal)


def _smooth(signal: np.ndarray) -> np.ndarray:
    """Means with the weights of a Gaussian; the signal is mirrored at its ends."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SMOOTHING) ** 2)
    return np.convolve(np.pad(signal, RADIUS, mode="symmetric"), weights / weights.sum(), mode="valid")
