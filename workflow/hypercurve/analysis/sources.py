"""Where the rules of methods come from, for the report; `docs/methods.md` has the same sources beside the exact rules."""

from ..config.methods import Method

SLIDES = "C. Ouyang and D. McBride, Neural Network Hyperparameter Optimization (slides and poster, JICS)"

SEARCHES = {
    "random": "Bergstra and Bengio 2012, Random search for hyper-parameter optimization, JMLR 13",
    "sobol": "Sobol 1967; scrambled as in Owen 1998",
    "tpe": "Bergstra et al. 2011, Algorithms for hyper-parameter optimization, NeurIPS 24; Optuna’s sampler",
    "gp": "Jones et al. 1998 (expected improvement); Snoek et al. 2012, Practical Bayesian optimization, NeurIPS 25",
    "cmaes": "Hansen and Ostermeier 2001; with margin, Hamano et al. 2022; Optuna’s sampler",
    "pso": "Kennedy and Eberhart 1995; Shi and Eberhart 1998; constants of Clerc and Kennedy 2002",
}
STOPS = {
    "lcm": f"{SLIDES}, Algorithms 1 and 3",
    "halving": "Karnin et al. 2013; Jamieson and Talwalkar 2016, Non-stochastic best arm identification, AISTATS",
    "hyperband": "Li et al. 2018, Hyperband, JMLR 18, Algorithm 1",
    "asha": "Li et al. 2020, A system for massively parallel hyperparameter tuning, MLSys, Algorithm 2",
    "median": "Golovin et al. 2017, Google Vizier, KDD, section 3.2.2",
    "patience": "Prechelt 1998, Early stopping — but when?",
    "budget_halving": "this project: docs/methods.md",
}
POPULATION = f"Jaderberg et al. 2017, Population based training of neural networks, arXiv 1711.09846; {SLIDES}"


def source(method: Method) -> str:
    """The publications that a method's rules follow; empty for rules that need none (a grid, a fixed fraction)."""
    if method.population is not None:
        return POPULATION
    kinds = (method.search.kind if method.search else "", SEARCHES), (method.stop.kind if method.stop else "", STOPS)
    return ". ".join(known[kind] for kind, known in kinds if kind in known)
