"""A program that stays, for tests: gradient descent on a noisy parabola, with the fault that its argument names.

staying_program.py [FAULT]
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from hypercurve_program import Trial, serve

FAULT = sys.argv[1] if len(sys.argv) > 1 else "none"
ANSWERS = os.dup(1)


class Plain:
    """Without states."""

    def __init__(self, trial: Trial):
        self.trial, self.epoch = trial, 0
        self.x = np.random.default_rng(trial.seed).uniform(0.5, 2.0, 3)
        if trial.state is not None:
            self.epoch, *values = np.frombuffer(trial.state)[:4].tolist()
            self.x = np.array(values)

    def train(self) -> Mapping[str, float]:
        noise = np.random.default_rng((self.trial.seed, int(self.epoch))).standard_normal(3)
        self.x = self.x - self.trial.hyperparameters["learning_rate"] * (2 * self.x + 0.1 * noise)
        self.epoch += 1
        loss = float(self.x @ self.x)
        print("training", self.trial.trial, flush=True)
        return {"loss": loss, "val_loss": 1.1 * loss, "test_loss": 1.2 * loss, "since": self.trial.since}


class Whole(Plain):
    """With states."""

    def save(self) -> bytes:
        return np.array([self.epoch, *self.x]).tobytes()


class Faulty(Whole):
    """Trial 1 does something wrong in its second epoch; what is wrong with others is said by their names."""

    def train(self) -> Mapping[str, float]:
        found = super().train()
        if FAULT == "slow":
            time.sleep(0.2)
        if self.trial.trial != 1 or self.epoch < 2:
            return found
        match FAULT:
            case "exits":
                print("no more memory", file=sys.stderr)
                sys.exit(3)
            case "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "killed once" if not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                time.sleep(60)
            case "no loss":
                return {"val_loss": 1.0}
        return found

    def save(self) -> bytes:
        if FAULT == "cannot save":
            sys.exit(4)
        if FAULT == "saves half" and self.trial.trial == 1:
            os.write(ANSWERS, b'{"bytes": 99}\nhalf')
            sys.exit(5)
        if FAULT == "grows" and self.trial.trial == 1 and self.epoch > 1:
            return super().save() + bytes(100_000)
        return super().save()


if __name__ == "__main__":
    if FAULT == "rubbish":
        print("hello", flush=True)
    if FAULT == "error":
        print(json.dumps({"protocol": 2, "saves": True}), flush=True)
        sys.stdin.readline()
        print("no device found", file=sys.stderr, flush=True)
        print(json.dumps({"error": "there is no GPU"}), flush=True)
        sys.stdin.read()
    serve(Plain if FAULT == "plain" else Faulty)
    Path(f"ended-{os.getpid()}").touch()
