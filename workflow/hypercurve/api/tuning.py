"""Tuning from Python: `hypercurve.tune` tries hyperparameters of a function, in a notebook or a script.

It is the workflow's search: the same searchers and stoppers, the same journals, the serial executor, and the trainer of
users' training loops. What the function decides is part of the journal, as a digest of its source.
"""

import functools
import hashlib
import inspect
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..config import code_files
from ..config.data import NO_DATA
from ..config.doubts import doubts
from ..config.experiment import Experiment
from ..config.files import EXPERIMENT_NAME, read_resolved
from ..config.model import LoopSpec
from ..config.setting import Setting
from ..execution.serial import execute
from ..runs import same_code
from ..runs.known import KnownTrainings
from ..runs.resuming import resumable
from ..runs.run import Run
from ..runs.telling import telling
from ..training.loop import Context, LoopTrainer
from ..training.saving import SavingTrainer, identity_of
from ..util.errors import UserError
from ..util.files import write_text
from ..util.schema import in_lines
from ..util.user_code import code_sum
from .results import Results, load

Function = Callable[..., Any]


def tune(
    function: Function,
    space: Mapping[str, Any],
    *,
    trials: int | None = None,
    seconds: float | None = None,
    search: str | Mapping[str, Any] = "random",
    stop: str | Mapping[str, Any] | None = None,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    slots: int = 1,
    objective: str | Mapping[str, str] = "loss",
    accumulation_points: int | Sequence[float] | None = None,
    repeats: int = 1,
    seed: int = 0,
    folder: str | Path | None = None,
    keep_code: bool = False,
    fail_fast: bool = True,
) -> Results:
    """Search the hyperparameters of a function.

    The function takes a dict of hyperparameters and, if it wants, a :class:`hypercurve.training.loop.Context`, whose
    ``seed`` all that is random should follow from. Either it returns its result; or it is a generator that yields once per
    epoch, ``epochs`` times, so that trials can be stopped early. A result is a loss, or a mapping of metrics with a
    ``loss``; the objective is reported as ``val_...``, and ``val_loss`` is the loss if nothing else is said. Trials going
    at once take turns in this process.

    A function that raises, or gives no number, fails its trial, not the search; but where the first trials all fail alike,
    or the objective is never reported, the search ends.

    Args:
        function: what is tried. A class is a training loop as docs/models.md describes them; its `train` yields what a
            generator does.
        space: domains and constants by name, as in an experiment file; for a generator, with ``epochs``.
        trials: how many are started; or
        seconds: after how many computing seconds no more reports are taken.
        search: a searcher, such as ``"random"``, ``"tpe"`` or ``{"grid": {"points": 4}}``.
        stop: a stopper, such as ``"lcm"`` or ``{"asha": {"reduction_factor": 4}}``; needs a generator.
        methods: several by name, each as in an experiment file, to compare; in place of `search`, `stop` and `slots`.
        slots: how many trials are going at once.
        objective: ``"loss"``, ``"accuracy"``, or ``{"metric": ..., "mode": "max"}``.
        accumulation_points: shares of training at which trials report, or their number; 10 by default.
        repeats: how often each method is run, with seeds of its own.
        seed: all that the search draws follows from it.
        folder: where to keep journals and results, for :func:`hypercurve.load` and the commands of ``hypercurve``; the same
            search there goes on where it was ended. None: in memory.
        keep_code: the function was changed, but trains as before: what `folder` holds of it counts from now on.
        fail_fast: whether the search ends when its first three trials (or `slots`, if more) fail alike, or when a trial
            ends without the objective.

    Returns:
        The results. They warn if no trial completed.

    Raises:
        UserError: something does not fit together, with the key and what is allowed; or `folder` holds something else; or
            all trials fail for one reason, which the message tells with its line.

    A function that returns its loss:

    >>> import hypercurve
    >>> found = hypercurve.tune(lambda h: (h["x"] - 0.3) ** 2, {"x": {"uniform": [0.0, 1.0]}}, trials=50, search="tpe")
    >>> round(found.chosen["x"].item(), 1)
    0.3

    A training loop, most of whose trials Learning Curve Matching stops early:

    >>> def train(hyperparameters, context):
    ...     loss = 2.3
    ...     for _ in range(context.epochs):
    ...         loss *= 1 - hyperparameters["rate"] * (1 - hyperparameters["rate"])
    ...         yield {"loss": loss}
    >>> found = hypercurve.tune(train, {"rate": {"uniform": [0.0, 1.0]}, "epochs": 20}, trials=40, stop="lcm")
    >>> found
    <train: 1 run of lcm; 40 trials>
    >>> bool((found.trials["status"] == "stopped").mean() > 0.5)
    True
    >>> found.curves.columns.tolist()
    ['method', 'repeat', 'trial', 'progress', 'loss', 'val_loss']
    """
    whole = not _yields(function)
    name = _name(function, folder)
    experiment = _experiment(
        {
            "model": {"loop": f"{_place(function)}:{_identifier(function)}"},
            "objective": {"metric": objective} if isinstance(objective, str) else dict(objective),
            "space": {**space, "epochs": 1} if whole and "epochs" not in space else dict(space),
            "budget": {
                key: value for key, value in {"trials": trials, "seconds": seconds}.items() if value is not None
            },
            "repeats": repeats,
            "seed": seed,
            "training": {
                "accumulation_points": (1 if whole else 10) if accumulation_points is None else accumulation_points
            },
            "methods": _methods(search, stop, slots, methods),
            "fail_fast": fail_fast,
        }
    )
    if any(
        method.population is not None or max(method.processes, method.workers or 1) > 1
        for method in experiment.methods.values()
    ):
        raise UserError(
            "methods: populations and methods with `tasks`, `ranks` or `workers` are carried out by the workflow: write an "
            "experiment"
        )
    for said in doubts(experiment):
        warnings.warn(said, stacklevel=2)
    key = experiment.objective.key
    target = _class(function, key) if inspect.isclass(function) else _loop(function, set(space), key)
    digest = _digest(function)
    if folder is not None:
        if keep_code:
            same_code.keep_code(Path(folder), digest, {})
        return _carry_out(experiment, name, Path(folder), target, digest)
    with tempfile.TemporaryDirectory(prefix="hypercurve-") as temporary:
        held = _carry_out(experiment, name, Path(temporary) / name, target, digest, minutes=None)
        return replace(held, folder=None, home=None)


def _carry_out(
    experiment: Experiment, name: str, folder: Path, target: Function, digest: str, minutes: float | None = 5.0
) -> Results:
    described = folder / "experiment.json"
    if described.is_file() and read_resolved(described).model != experiment.model:
        raise UserError(f"{folder}: holds results of something else; give another folder")
    write_text(described, experiment.model_dump_json(indent=2) + "\n")
    assert isinstance(experiment.model, LoopSpec)
    digest = code_files.same_code(folder).get(digest, digest)
    for method in experiment.methods:
        setting = experiment.setting(name, method)
        trainer = LoopTrainer(experiment.model, None, threads=setting.training.threads, target=target)
        write_text(folder / "runs" / method / "setting.json", setting.model_dump_json(indent=2) + "\n")
        with trainer.limits:  # a notebook goes on with its own
            for repeat in range(experiment.repeats):
                output = folder / "runs" / method / str(repeat) / "journal.jsonl"
                _run(setting, repeat, output, trainer, digest, minutes, experiment.fail_fast)
    found = load(folder, whole=True)
    failed = found.trials["reason"].dropna()
    if len(failed) == len(found.trials):
        warnings.warn(f"all {len(failed)} trials failed; the first: {failed.iloc[0]}", stacklevel=4)
    return found


def _run(
    setting: Setting,
    repeat: int,
    output: Path,
    trainer: LoopTrainer,
    digest: str,
    minutes: float | None,
    fail_fast: bool,
) -> None:
    """Carry out a run; what is recorded of it, or of the same trainings, is not trained again.

    The states of its trials in flight are saved every so many minutes; None: nothing of it stays.
    """
    rules = code_files.rules_digest(setting)
    run = Run(setting, repeat, samples=0, data=NO_DATA, model=digest, rules=rules, fail_fast=fail_fast)
    told = None if minutes is None else output
    with (
        telling(run.failures, told, "`fail_fast=False` lets the search go on"),
        resumable(output, run.header) as journal,
    ):
        states, identity = output.with_name("journal.states"), identity_of(run.header.training)
        saving = SavingTrainer(trainer, states, minutes=minutes, identity=identity, runs=output.absolute().parents[2])
        execute(run, saving, journal, known=KnownTrainings(output, run.header))
        saving.clear()


def _experiment(given: dict[str, Any]) -> Experiment:
    try:
        return Experiment.model_validate(given)
    except ValidationError as error:
        raise UserError(in_lines(error)) from None


def _methods(
    search: str | Mapping[str, Any],
    stop: str | Mapping[str, Any] | None,
    slots: int,
    methods: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    if methods is not None:
        return {name: dict(method) for name, method in methods.items()}
    kind = search if stop is None else stop
    name = kind if isinstance(kind, str) else next(iter(kind), "search")
    return {name: {"search": search, "slots": slots} | ({} if stop is None else {"stop": stop})}


def _loop(function: Function, names: set[str], objective: str) -> Function:
    """A training loop of what a user wrote, told the hyperparameters that the user named and nothing else."""
    told = _arguments(function) > 1

    def train(hyperparameters: dict[str, Any], context: Context) -> Iterator[dict[str, Any]]:
        given = {name: value for name, value in hyperparameters.items() if name in names}
        made = function(given, context) if told else function(given)
        if isinstance(made, Iterator):
            yield from (_metrics(one, objective) for one in made)
        else:
            yield _metrics(made, objective)

    return train


def _class(function: type, objective: str) -> type:
    """The same of a class, told the context if it takes it."""
    try:
        inspect.signature(function).bind(None, None)
        told = True
    except (TypeError, ValueError) as error:
        told = isinstance(error, ValueError)  # something built in

    class Told(function):  # type: ignore[misc]
        def __init__(self, hyperparameters: dict[str, Any], context: Context) -> None:
            super().__init__(*((hyperparameters, context) if told else (hyperparameters,)))

        def train(self) -> Any:
            made = super().train()
            return (_metrics(one, objective) for one in made) if isinstance(made, Iterator) else made

    return Told if callable(getattr(function, "train", None)) else function


def _metrics(given: Any, objective: str) -> Any:
    """A report, in which the loss is the objective if nothing else is told; what makes no sense is judged later."""
    if not isinstance(given, Mapping):
        try:
            given = {"loss": float(given)}
        except (TypeError, ValueError):
            return given
    told = objective != "val_loss" or objective in given or "loss" not in given
    return given if told else {**given, objective: given["loss"]}


def _yields(function: Function) -> bool:
    return inspect.isclass(function) or any(
        inspect.isgeneratorfunction(part)
        for part in (function, getattr(function, "__call__", None))  # noqa: B004
    )


def _arguments(function: Function) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # something built in
        return 1
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in places and one.default is one.empty for one in parameters)


def _identifier(function: Function) -> str:
    """A name that an experiment takes, for whatever can be called."""
    name = str(getattr(function, "__name__", type(function).__name__))
    return name if name.isidentifier() and name.isascii() else "function"


def _place(function: Function) -> str:
    module = str(getattr(function, "__module__", None) or "__main__")
    return module if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", module, re.ASCII) else "__main__"


def _name(function: Function, folder: str | Path | None) -> str:
    name = _identifier(function) if folder is None else Path(folder).resolve().name
    if not EXPERIMENT_NAME.fullmatch(name):
        if folder is not None:
            raise UserError(f"{folder}: the folder's name may hold letters, digits, '-' and '_' only")
        name = "search"
    return name


def _digest(function: Function) -> str:
    """Sixteen hexadecimal digits that change with a function's source, or with its code where there is no source.

    Plain values that it closes over, or that `functools.partial` gives it, count as well; what they refer to does not.
    """
    if isinstance(function, functools.partial):
        keywords = [(name, _plain([value])) for name, value in sorted(function.keywords.items())]
        whole = repr((_digest(function.func), _plain(function.args), keywords))
        return hashlib.sha256(whole.encode()).hexdigest()[:16]
    if not hasattr(function, "__code__") and not inspect.isclass(function):
        function = type(function)  # an object that can be called
    held = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    try:
        source = code_sum("function.py", inspect.getsource(function).encode())
    except (OSError, TypeError):  # typed at a prompt
        code = getattr(function, "__code__", None)
        source = (
            repr(function) if code is None else repr((code.co_code, code.co_names, code.co_varnames, _constants(code)))
        )
    if plain := _plain(held):
        source += repr(plain)
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, bool | int | float | str | None)]


def _constants(code: Any) -> list[Any]:
    """What a function's code holds, that of inner functions as such: their own form names places in memory."""
    return [(one.co_code, one.co_names, _constants(one)) if inspect.iscode(one) else one for one in code.co_consts]
