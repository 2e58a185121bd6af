"""TensorFlow, imported in one place with its settings made before first use.

Everything in `training/` that needs TensorFlow or Keras takes them from here. The settings are what keeps results equal
bit for bit: a fixed number of threads (by the run, never by the machine) and deterministic kernels. Equal bits are promised
between machines with the same instruction set; XLA, Eigen and oneDNN sum more numbers at once where registers are wider.
oneDNN stays on: it halves the time of convolutions.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def _quietly() -> Iterator[None]:
    """Hold back what is written to standard error, unless something goes wrong.

    TensorFlow's C++ parts greet users before any log level acts ("oneDNN custom operations are on ...").
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
with _quietly():
    import keras
    import tensorflow as tf

    # What Keras does not export, as is: the generator that unseeded draws advance, what `compile` makes of a function, and
    # what optimizers do for TensorFlow and without it, and the class of functional models.
    from keras.src.backend.tensorflow.optimizer import TFOptimizer
    from keras.src.losses.losses import LossFunctionWrapper
    from keras.src.models.functional import Functional
    from keras.src.optimizers.base_optimizer import BaseOptimizer
    from keras.src.random.seed_generator import global_seed_generator

__all__ = [
    "BaseOptimizer",
    "Functional",
    "LossFunctionWrapper",
    "TFOptimizer",
    "configure",
    "global_seed_generator",
    "has_gpu",
    "keras",
    "tf",
]

logging.getLogger("tensorflow").setLevel(logging.ERROR)

_threads: int | None = None


@cache
def has_gpu() -> bool:
    """Whether TensorFlow has a GPU to work on."""
    return bool(tf.config.list_physical_devices("GPU"))


def configure(threads: int) -> None:
    """Fix the threads of every operation, before the first one runs.

    Args:
        threads: threads per operation. Operations never overlap with each other: with one training in a process that
            would gain little.

    Raises:
        RuntimeError: another number was set before in this process; TensorFlow cannot change it.
    """
    global _threads
    if _threads == threads:
        return
    if _threads is not None:
        raise RuntimeError(f"this process trains with {_threads} threads already and cannot change to {threads}")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.experimental.enable_op_determinism()
    with _quietly():
        tf.constant(0)  # starts the devices, which greet as well
    _threads = threads
