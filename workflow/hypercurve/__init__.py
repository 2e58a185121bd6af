"""hypercurve: hyperparameter optimisation of neural networks on clusters.

From Python, `load` reads results, `figure` draws them, and `tune` searches a function's hyperparameters; see
docs/python.md. They are imported when they are first used: the workflow imports this package wherever it is parsed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.results import Results, figure, load
    from .api.tuning import tune

__version__ = "0.1.0"
__all__ = ["Results", "__version__", "figure", "load", "tune"]

_PLACES = {"Results": "api.results", "figure": "api.results", "load": "api.results", "tune": "api.tuning"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
