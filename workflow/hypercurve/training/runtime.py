"""TensorFlow, imported in one place with its settings made before first use.

Everything in `training/` that needs TensorFlow or Keras takes them from here. The settings are what keeps results equal
bit for bit: a fixed number of threads (by the run, never by the machine), deterministic kernels, and Eigen's kernels in
place of oneDNN's, which choose between algorithms by processor and may sum in another order. Equal bits are promised
between machines with the same instruction set; XLA and Eigen generate wider sums where a processor has wider registers.
"""

import logging
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

__all__ = ["configure", "keras", "tf"]

logging.getLogger("tensorflow").setLevel(logging.ERROR)

_threads: int | None = None


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
    _threads = threads
