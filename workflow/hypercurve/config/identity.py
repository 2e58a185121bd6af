"""What a training is, apart from its configuration and its seeds."""

import hashlib
import json

from .objective import COST
from .setting import Setting

ARITHMETIC = 1
"""Version of our training arithmetic. Raise it where the same training would give other numbers than before."""


def training_digest(setting: Setting, data: str, model: str | None) -> str:
    """Sixteen hexadecimal digits of all that decides a training's reports, but for its configuration and its seeds.

    Args:
        setting: of the method.
        data: digest of the prepared data.
        model: digest of the user's own code, where there is any.
    """
    fields = {"model", "objective", "constraints", "training", "schedule", "ranks"}
    if COST in setting.constraints:
        fields.add("cost")
    parts = {"arithmetic": ARITHMETIC, "data": data, "code": model} | setting.model_dump(mode="json", include=fields)
    if (
        setting.population is not None
    ):  # whose members report at other points, and are judged on a part of the validation
        parts["members"] = [setting.population.every, setting.population.fitness_samples]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
