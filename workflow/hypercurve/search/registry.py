"""The searchers that experiments can name: a line for each."""

from .cmaes import CMAESSearch
from .gaussian_process import GaussianProcessSearch
from .grid import GridSearch
from .random import RandomSearch
from .searcher import Searcher
from .sobol import SobolSearch
from .swarm import ParticleSwarm
from .tpe import TPESearch

SEARCHERS: dict[str, type[Searcher]] = {
    "random": RandomSearch,
    "grid": GridSearch,
    "sobol": SobolSearch,
    "tpe": TPESearch,
    "gp": GaussianProcessSearch,
    "cmaes": CMAESSearch,
    "pso": ParticleSwarm,
}
