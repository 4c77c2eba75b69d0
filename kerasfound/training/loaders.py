"""Batches of rows: in shuffled order for training, in their own order for evaluation and prediction."""

import math

import keras
import numpy as np

from kerasfound.data import Split

from .run import devices

WORKERS = 2
"""Threads that prepare batches. With a single thread, Keras leaves tf.data's autotuning on. At the end of every second
epoch TensorFlow then waits for the sleeping tuner, in the worst case for as long as the epoch took."""
PREDICTION_BATCH = 500
"""Rows in a batch of evaluation or prediction."""
MAX_VALUES = PREDICTION_BATCH * 64 * 64 * 3
"""Values in such a batch: fewer rows of larger images, whose feature maps have to fit into memory."""
POOL = 50
"""Number of batches whose rows are sorted by length together: enough for little padding, few enough to stay random."""
LENGTH_STEP = 50
"""Batches are cut to a multiple of this length, because JAX compiles the step again for each new length."""
MAX_BYTES_ON_GPU = 2**30
"""Training rows up to this size stay in GPU memory; larger ones are sent batch by batch."""


class OrderedBatches(keras.utils.PyDataset):
    """Batches of all rows in their own order; the last one may be smaller.

    Args:
        arrays: inputs, or inputs and targets, with the same number of rows.

    Example:
        >>> batches = OrderedBatches(np.arange(1200))
        >>> [len(batch) for (batch,) in batches]
        [500, 500, 200]
    """

    def __init__(self, *arrays: np.ndarray):
        super().__init__(workers=WORKERS)
        self.arrays = arrays
        self.rows = min(PREDICTION_BATCH, max(1, MAX_VALUES // max(1, math.prod(arrays[0].shape[1:]))))

    def __len__(self) -> int:
        return math.ceil(len(self.arrays[0]) / self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return tuple(array[index * self.rows : (index + 1) * self.rows] for array in self.arrays)


class ShuffledBatches(keras.utils.PyDataset):
    """Batches of a split in a random order that depends only on the seed and the epoch.

    All batches have the same size. Rows that do not fill a batch are left out of that epoch.

    Args:
        split: the rows.
        batch_size: rows in a batch; a smaller split is one batch.
        seed: seeds the order, together with the number of the epoch.
        steps: batches in an epoch, if an epoch is shorter than all rows.
        lengths: the number of tokens in each row of `(rows, time)` that are not padding. Rows of similar length then
            share a batch, which is cut to its longest row.

    Example:
        >>> rows = Split(np.arange(10), np.arange(10))
        >>> batches = ShuffledBatches(rows, batch_size=4, seed=0)
        >>> len(batches), batches[0][0].shape
        (2, (4,))
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        steps: int | None = None,
        lengths: np.ndarray | None = None,
    ):
        super().__init__(workers=WORKERS)
        self.rows = len(split.y)
        self.x, self.y = split
        if _stays_on_gpu(split):
            self.x, self.y = (keras.ops.convert_to_tensor(np.asarray(array)) for array in split)
        self.batch_size = min(batch_size, self.rows)
        self.seed = seed
        self.lengths = lengths
        self.class_weights: np.ndarray | None = None
        whole = self.rows // self.batch_size
        self.steps = min(steps or whole, whole)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Order the rows for the given epoch, counted from 0."""
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        self.order = rng.permutation(self.rows)
        if self.lengths is not None:
            self.order = self._grouped_by_length(self.order, self.lengths, rng)

    def balance_classes(self, num_classes: int) -> None:
        """Weigh the rows so that all classes have the same total weight, and the mean weight is 1.

        Example:
            >>> batches = ShuffledBatches(Split(np.zeros(4), np.array([0, 0, 0, 1])), batch_size=4, seed=0)
            >>> batches.balance_classes(2)
            >>> [round(float(weight), 3) for weight in batches.class_weights]
            [0.667, 2.0]
        """
        counts = np.bincount(keras.ops.convert_to_numpy(self.y), minlength=num_classes)
        weights = self.rows / (np.count_nonzero(counts) * np.maximum(counts, 1))
        self.class_weights = np.where(counts, weights, 1).astype("float32")

    def with_weights(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Rows with their weights, if the classes are balanced."""
        if self.class_weights is None:
            return x, y
        return x, y, self.class_weights[keras.ops.convert_to_numpy(y)]

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.x[rows]
        if self.lengths is not None:
            x = x[:, : LENGTH_STEP * math.ceil(self.lengths[rows].max() / LENGTH_STEP)]
        return self.with_weights(x, self.y[rows])

    def on_epoch_end(self) -> None:
        self.begin(self.epoch + 1)

    def _grouped_by_length(self, order: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The order in which rows of similar length, from the same pool of batches, share a batch."""
        whole = order[: len(order) // self.batch_size * self.batch_size]
        pools = np.split(whole, range(POOL * self.batch_size, len(whole), POOL * self.batch_size))
        pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
        batches = np.concatenate(pools).reshape(-1, self.batch_size)
        rng.shuffle(batches)
        # Keras infers from the first two batches which dimensions vary
        longest = lengths[batches].max(axis=1)
        batches[[0, longest.argmin()]] = batches[[longest.argmin(), 0]]
        longest = lengths[batches].max(axis=1)
        if len(batches) > 1:
            batches[[1, longest.argmax()]] = batches[[longest.argmax(), 1]]
        return batches.ravel()


def _stays_on_gpu(split: Split) -> bool:
    """Whether batches are selected on the device. JAX only: TensorFlow's input pipeline reads from host memory."""
    on_gpu = keras.backend.backend() == "jax" and not devices()[0].startswith("cpu")
    return on_gpu and split.x.nbytes + split.y.nbytes <= MAX_BYTES_ON_GPU
