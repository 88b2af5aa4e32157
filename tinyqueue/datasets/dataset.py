"""A ``keras.utils.PyDataset`` whose module can be imported without Keras."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Self, TypeAlias, cast

import numpy as np

from tinyqueue.errors import ConfigError
from tinyqueue.models.keras_import import import_keras

Batch: TypeAlias = Any
"""What a dataset gives: a dict of arrays, or ``(x,)``, ``(x, y)`` or ``(x, y, weights)``."""


class Dataset:
    """What every dataset of this package can do. Instances are ``keras.utils.PyDataset``.

    Its class derives from Keras's only when the first instance is made, so that importing it
    brings no TensorFlow. Subclasses write :meth:`__getitem__` and :attr:`num_batches`. Leave
    ``workers`` at 1: datasets do their waiting in :meth:`prefetch`.
    """

    def __new__(cls, *_args: object, **_options: object) -> Self:
        """An instance of this class that Keras takes for its own."""
        instance: Self = super().__new__(_of_keras(cast(Any, cls)))
        return instance

    def __getitem__(self, index: int) -> Batch:
        """The batch at an index; endless datasets give their next one, whatever the index."""
        raise NotImplementedError

    @property
    def num_batches(self) -> int | None:
        """Batches per epoch; None: endless, so ``fit`` needs ``steps_per_epoch``."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        """One epoch; for ever if it is endless."""
        index, count = 0, self.num_batches
        while count is None or index < count:
            yield self[index]
            index += 1

    def close(self) -> None:
        """Ends threads and connections. A closed dataset is not used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, function: Callable[[Batch], Batch]) -> Mapped:
        """A dataset of ``function(batch)``: ``lambda t: (t["observations"], t["actions"])``.

        Args:
            function: Called with every batch, in the thread that asks for it.
        """
        return Mapped(self, function)

    def prefetch(self, depth: int = 2) -> Dataset:
        """A dataset whose next ``depth`` batches are made in a thread while the model trains."""
        return Prefetch(self, depth)

    def tf(self) -> Any:
        """The same batches as a ``tf.data.Dataset``; each iteration of it is one epoch.

        The first axis of every array may vary from batch to batch; all else is as in the first
        batch, which is made now. An endless dataset then goes on with the one after it.
        """
        tf, _ = import_keras()
        signature = tf.nest.map_structure(lambda array: _signature(tf, array), self[0])
        return tf.data.Dataset.from_generator(lambda: iter(self), output_signature=signature)


class Mapped(Dataset):
    """A dataset with a function applied to every batch.

    Args:
        source: The dataset.
        function: Called with every batch.
    """

    def __init__(self, source: Dataset, function: Callable[[Batch], Batch]) -> None:
        super().__init__()
        self._source, self._function = source, function

    def __getitem__(self, index: int) -> Batch:
        """The function of the source's batch."""
        return self._function(self._source[index])

    @property
    def num_batches(self) -> int | None:
        """Those of the source."""
        return self._source.num_batches

    def on_epoch_end(self) -> None:
        """Told to the source, which may reorder its items."""
        told(self._source)

    def close(self) -> None:
        """Closes the source."""
        self._source.close()


class Prefetch(Dataset):
    """A dataset whose next batches are made in one thread of their own, in the same order.

    The thread starts with the first batch that is asked for. An error in it is raised where its
    batch is asked for.

    Args:
        source: The dataset; nobody else reads it meanwhile.
        depth: Batches made ahead.
    """

    def __init__(self, source: Dataset, depth: int = 2) -> None:
        super().__init__()
        if depth < 1:
            raise ConfigError(f"depth = {depth} must be 1 or more.")
        self._source = source
        self._ready: queue.Queue[tuple[Batch, BaseException | None]] = queue.Queue(depth)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def num_batches(self) -> int | None:
        """Those of the source."""
        return self._source.num_batches

    def __getitem__(self, index: int) -> Batch:
        """The next batch; the index is ignored, so shuffle in the source."""
        del index
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
            self._thread.start()
        batch, error = self._ready.get()
        if error is not None:
            self._thread = None
            raise error
        return batch

    def close(self) -> None:
        """Ends the thread, which may have to wait for its batch, and closes the source."""
        self._closing.set()
        if self._thread is not None:
            # First: what the source holds may be in use there.
            self._thread.join(timeout=10.0)
        self._source.close()

    def _work(self) -> None:
        try:
            while not self._closing.is_set():
                for batch in self._source:
                    if not self._put(batch, None):
                        return
                told(self._source)
        except BaseException as error:
            self._put(None, error)

    def _put(self, batch: Batch, error: BaseException | None) -> bool:
        while not self._closing.is_set():
            try:
                self._ready.put((batch, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def told(source: Dataset) -> None:
    """Tells a dataset that an epoch has ended, as Keras would."""
    on_epoch_end: Callable[[], None] = source.on_epoch_end  # type: ignore[attr-defined]
    on_epoch_end()


@cache
def _of_keras(cls: type[Any]) -> type[Any]:
    _, keras = import_keras()
    if issubclass(cls, keras.utils.PyDataset):
        return cls
    place = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls, keras.utils.PyDataset), place)


def _signature(tf: Any, array: Any) -> Any:
    array = np.asarray(array)
    shape = [None, *array.shape[1:]] if array.ndim else []
    return tf.TensorSpec(shape, array.dtype)
