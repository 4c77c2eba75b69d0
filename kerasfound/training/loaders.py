"""What a model is fed with, batch by batch: rows in a shuffled order to train on, rows as they lie to answer."""

import math

import keras
import numpy as np

from kerasfound.data import Split

from .run import devices

WORKERS = 2
"""Threads that prepare batches. With one alone Keras lets tf.data tune itself, and at every other end of an epoch
TensorFlow then waits for the tuner to wake up, for as long as the epoch took at worst."""
BATCH = 500
"""Rows that a model answers at once."""
POOL = 50
"""Batches whose rows are sorted by length together: enough that little is padded, few enough to stay random."""
ROUND = 50
"""Sizes of time that batches are cut to are multiples of this, for each new one is compiled anew on JAX."""
RESIDENT = 2**30
"""Bytes of training rows that a GPU keeps; what is larger is sent batch by batch."""


class Rows(keras.utils.PyDataset):
    """Batches of all rows as they lie, the last one with what is left.

    Args:
        arrays: of as many rows each, such as inputs, or inputs and targets.

    Example:
        >>> rows = Rows(np.arange(1200))
        >>> [len(batch) for (batch,) in rows]
        [500, 500, 200]
    """

    def __init__(self, *arrays: np.ndarray):
        super().__init__(workers=WORKERS)
        self.arrays = arrays

    def __len__(self) -> int:
        return math.ceil(len(self.arrays[0]) / BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return tuple(array[index * BATCH : (index + 1) * BATCH] for array in self.arrays)


class Batches(keras.utils.PyDataset):
    """Batches of a split in an order that depends on the seed and the epoch alone.

    Every batch is whole: what is left over at the end of an epoch waits for the next one's shuffle.

    Args:
        split: the rows.
        batch_size: rows in a batch; a split with fewer is one batch.
        seed: with the epoch's number, seeds the order.
        steps: batches in an epoch, when that shall not be all rows.
        lengths: how many places of each row, `(rows, time)`, are not padding: then rows of about one length share a
            batch, which is cut to its longest.

    Example:
        >>> rows = Split(np.arange(10), np.arange(10))
        >>> batches = Batches(rows, batch_size=4, seed=0)
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
            self.x, self.y = (keras.ops.convert_to_tensor(array) for array in split)
        self.batch_size = min(batch_size, self.rows)
        self.seed = seed
        self.lengths = lengths
        whole = self.rows // self.batch_size
        self.steps = min(steps or whole, whole)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Order the rows as in this epoch, counted from 0."""
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        self.order = rng.permutation(self.rows)
        if self.lengths is not None:
            self.order = self._alike(self.order, self.lengths, rng)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.x[rows]
        if self.lengths is not None:
            x = x[:, : ROUND * math.ceil(self.lengths[rows].max() / ROUND)]
        return x, self.y[rows]

    def on_epoch_end(self) -> None:
        self.begin(self.epoch + 1)

    def _alike(self, order: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same order, but for rows that move to a batch of their length nearby."""
        whole = order[: len(order) // self.batch_size * self.batch_size]
        pools = np.split(whole, range(POOL * self.batch_size, len(whole), POOL * self.batch_size))
        pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
        batches = np.concatenate(pools).reshape(-1, self.batch_size)
        rng.shuffle(batches)
        # Keras reads from the first two batches which sizes vary
        longest = lengths[batches].max(axis=1)
        batches[[0, longest.argmin()]] = batches[[longest.argmin(), 0]]
        longest = lengths[batches].max(axis=1)
        if len(batches) > 1:
            batches[[1, longest.argmax()]] = batches[[longest.argmax(), 1]]
        return batches.ravel()


def _stays_on_gpu(split: Split) -> bool:
    """Whether batches are picked out on the device. On JAX: TensorFlow's pipeline takes them from the host."""
    on_gpu = keras.backend.backend() == "jax" and not devices()[0].startswith("cpu")
    return on_gpu and split.x.nbytes + split.y.nbytes <= RESIDENT
