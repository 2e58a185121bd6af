"""REINFORCE (Williams 1992) on variants of the cart with a pole (Barto, Sutton and Anderson 1983), in NumPy.

A policy with one hidden layer pushes the cart to the left or to the right; an episode ends when the pole has fallen, the
cart has left its track, or after 200 steps. What is reported is the negated mean number of steps of the episodes that were
learned from: as noisy as scores are while a policy learns.
"""

import numpy as np

STEPS = 200
VARIANTS = {
    "plain": {},
    "long": {"length": 1.5, "limit": 0.15},
    "weak": {"force": 5.0, "gravity": 15.0},
    "gusts": {"gusts": 8.0, "blur": 0.03},
}


class _Carts:
    """So many carts at once; equations and constants of the original."""

    def __init__(self, count, rng, length=0.5, limit=0.2095, force=10.0, gravity=9.8, gusts=0.0, blur=0.0):
        self.rng, self.length, self.limit, self.force = rng, length, limit, force
        self.gravity, self.gusts, self.blur = gravity, gusts, blur
        self.state = rng.uniform(-0.05, 0.05, (count, 4))
        self.alive = np.ones(count, bool)

    def seen(self):
        return self.state + self.blur * self.rng.standard_normal(self.state.shape) if self.blur else self.state.copy()

    def push(self, right):
        """A fiftieth of a second with a force to one side."""
        _, speed, angle, turning = self.state.T
        force = np.where(right, self.force, -self.force)
        if self.gusts:
            force = force + self.gusts * self.rng.standard_normal(len(force))
        sine, cosine = np.sin(angle), np.cos(angle)
        pole = 0.1 * self.length
        push = (force + pole * turning**2 * sine) / 1.1
        bend = (self.gravity * sine - cosine * push) / (self.length * (4 / 3 - 0.1 * cosine**2 / 1.1))
        along = push - pole * bend * cosine / 1.1
        change = np.stack([speed, along, turning, bend], axis=1)
        self.state = np.where(self.alive[:, None], self.state + 0.02 * change, self.state)
        self.alive &= (np.abs(self.state[:, 0]) < 2.4) & (np.abs(self.state[:, 2]) < self.limit)


def train(hyperparameters, context):
    """The loop: a report after every update."""
    h, rng = hyperparameters, np.random.default_rng(context.seed)
    weights = [
        rng.standard_normal((4, h["units"])) * 0.5,
        np.zeros(h["units"]),
        rng.standard_normal((h["units"], 1)) * h["scale"] / np.sqrt(h["units"]),
    ]
    speeds = [np.zeros_like(weight) for weight in weights]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(context.epochs):
            score = _update(weights, speeds, h, rng)
            yield {"loss": -score, "val_loss": -score}


def _update(weights, speeds, h, rng):
    """Play episodes, follow the policy's gradient, and return the mean number of steps."""
    inner, bias, outer = weights
    carts = _Carts(h["episodes"], rng, **VARIANTS[h["variant"]])
    states, rights, alive = [], [], []
    while carts.alive.any() and len(states) < STEPS:
        states.append(carts.seen())
        chance = _logistic(np.tanh(states[-1] @ inner + bias) @ outer)[:, 0]
        rights.append(rng.random(len(chance)) < chance)
        alive.append(carts.alive.copy())
        carts.push(rights[-1])
    going = np.array(alive, float)
    worth = np.zeros_like(going)
    later = np.zeros(going.shape[1])
    for step in reversed(range(len(going))):  # discounted steps to come
        later = going[step] * (1 + (1 - h["forgetting"]) * later)
        worth[step] = later
    if h["baseline"] == "mean":
        worth -= worth[going > 0].mean()
    elif h["baseline"] == "step":
        worth -= (worth * going).sum(axis=1, keepdims=True) / np.maximum(going.sum(axis=1, keepdims=True), 1)
    worth *= going / (np.sqrt((worth[going > 0] ** 2).mean()) + 1e-8)
    x = np.concatenate(states)
    hidden = np.tanh(x @ inner + bias)
    logit = (hidden @ outer)[:, 0]
    chance = _logistic(logit)
    upward = worth.ravel() * (np.concatenate(rights) - chance)
    upward -= h["entropy"] * going.ravel() * logit * chance * (1 - chance)
    upward = upward[:, None] / going.sum()
    back = (upward @ outer.T) * (1 - hidden**2)
    for weight, speed, gradient in zip(weights, speeds, (x.T @ back, back.sum(axis=0), hidden.T @ upward), strict=True):
        speed *= h["momentum"]
        speed += h["learning_rate"] * gradient
        weight += speed
    return float(going.sum(axis=0).mean())


def _logistic(values):
    return 0.5 * (1 + np.tanh(0.5 * values))
