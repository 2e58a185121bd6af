"""What a Python program that stays needs to speak with hypercurve. One file, standard library only: copy it beside yours.

    from hypercurve_program import serve

    class Training:
        def __init__(self, trial): ...     # trial.hyperparameters, .seed, .epochs, .data, .state: see Trial
        def train(self): ...               # until the next report: {"loss": ..., "val_accuracy": ...}
        def save(self): ...                # the state, as bytes; leave it out if there is none

    serve(Training)

The experiment says `model: {command: [python, mine.py], stays: true}`. docs/models.md of hypercurve describes the protocol.
What the program prints goes to the trial's log.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True)
class Trial:
    """A trial as it begins, or goes on.

    Attributes:
        hyperparameters: by name; those of a member of a population may be others than when its state was saved.
        epochs: reports of the whole training.
        done: how many it has made.
        since: after how many its hyperparameters began to hold; schedules count from there.
        seed: at least 0 and below 2**31; all that is random should follow from it, and from `done`.
        trial, repeat: their numbers, from 0.
        threads: how many may be used.
        data: the folder of the prepared data; None without any.
        state: what `save` gave; None: from the start.
    """

    hyperparameters: Mapping[str, Any]
    epochs: int
    done: int
    since: int
    seed: int
    trial: int
    repeat: int
    threads: int
    data: str | None
    state: bytes | None


def serve(begin: Callable[[Trial], Any]) -> None:
    """Train as hypercurve asks, until it has no more to ask.

    Args:
        begin: gives what is trained: an object with `train`, and with `save` if its class has that.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed by whomever is no answer
    requests = sys.stdin.buffer
    _answer(answers, {"protocol": 2, "saves": hasattr(begin, "save")})
    training: Any = None
    while line := requests.readline():
        request = json.loads(line)
        match request.pop("do"):
            case "begin":
                count = request.pop("bytes")
                told = {name: request[name] for name in Trial.__annotations__ if name in request}
                training = begin(Trial(**told, state=requests.read(count) if count else None))
            case "train":
                _answer(answers, {name: float(value) for name, value in training.train().items()})
            case "save":
                state = training.save()
                _answer(answers, {"bytes": len(state)}, state)


def _answer(answers: BinaryIO, content: Mapping[str, Any], state: bytes = b"") -> None:
    answers.write(json.dumps(content).encode() + b"\n" + state)
    answers.flush()
