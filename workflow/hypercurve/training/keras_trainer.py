"""Trainer for Keras networks: which steps a trial takes on which samples, and what it reports.

Everything about a trial follows from its configuration and seed: the initial weights, the order of samples, and the
state of dropout. Compiled steps come from :mod:`hypercurve.training.engine`; TensorFlow is imported when the first
trainer is made, so this module costs nothing to import.
"""

import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..config.hyperparameters import known, resolve
from ..config.learning_rates import learning_rates
from ..config.model import Trained, label
from ..curves.cost import step_at, total_steps
from ..runs.trial import Trial
from ..space.search_space import Value
from ..util.errors import UserError, in_a_line
from ..util.schema import hint
from ..util.seeding import generator
from .data import class_weights, load
from .trainer import Report, Session, Snapshot, Trainer, aligned

if TYPE_CHECKING:
    from .functional import Compiler, Network


LONGEST = 5.0
"""Seconds that pass at most between two safe moments, unless a single step takes longer."""
AFFORDABLE = 0.06
"""Examples that are evaluated before the end of a trial, over those trained on since the last time. One takes 0.5 to 1.6
times as long as training on it (`benchmarks/judging.py`), so this is about a tenth of the time, or less."""
LEAST = 1000
"""As many are evaluated at least, if there are so many: they are one call of the compiled step."""
FIRST = 16
"""Steps of the first chunk of a program, which tells how long a step takes."""


class SampleOrder:
    """The samples of every step of a trial: an endless stream of shuffled epochs, cut into batches.

    Batches run across the ends of epochs, so none is partial, and step s of a trial takes the same samples wherever and
    whenever it is trained: no state to save.

    Args:
        trial: whose order.
        samples: size of the training part.
        batch_size: samples per step.
    """

    def __init__(self, trial: Trial, samples: int, batch_size: int) -> None:
        self.trial, self.samples, self.batch_size = trial, samples, batch_size
        self._epochs: dict[int, npt.NDArray[np.int32]] = {}

    def _epoch(self, epoch: int) -> npt.NDArray[np.int32]:
        if epoch not in self._epochs:
            draw = generator(self.trial.seed, self.trial.repeat, "shuffle", self.trial.draws, epoch)
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}  # two epochs at most
            self._epochs[epoch] = draw.permutation(self.samples).astype(np.int32)
        return self._epochs[epoch]

    def steps(self, start: int, stop: int) -> npt.NDArray[np.int32]:
        """Sample numbers of the steps from `start` up to `stop`, one row per step."""
        first, last = start * self.batch_size, stop * self.batch_size
        pieces = [np.empty(0, np.int32)]
        for epoch in range(first // self.samples, -(-last // self.samples)):
            offset = epoch * self.samples
            pieces.append(self._epoch(epoch)[max(first - offset, 0) : last - offset])
        return np.concatenate(pieces).reshape(-1, self.batch_size)


class KerasTrainer(Trainer):
    """Trains Keras networks; see :class:`hypercurve.training.trainer.Trainer`.

    Args:
        model: the network.
        dataset: folder written by :func:`hypercurve.training.data.prepare`.
        points: shares of training in (0, 1] at which the reported loss starts anew. 1 need not be named.
        examples: how much of the validation part is evaluated before the end, whenever a session reports: ``end``: nothing;
            ``points``: all; a number of examples; ``auto``: as many as take less than a tenth of the time of training.
        shuffled: whether these are drawn from all of the part; else they are its first.
        threads: threads per trial.
        compiler: ``auto``, ``xla`` or ``graph``; see :class:`hypercurve.training.functional.Network`.
        objective: name of the metric that every network must measure at the end; None for any.
        parameters: whether every report holds the number of trainable parameters.
        balanced: whether all classes count alike in the training loss, however many examples they have.

    Raises:
        DataError: the folder holds no data that can be used.
        UserError: there is no such model; or classes are to count alike, but there are none.
    """

    def __init__(
        self,
        model: Trained,
        dataset: Path,
        *,
        points: tuple[float, ...] = (),
        examples: Literal["auto", "end", "points"] | int = "end",
        shuffled: bool = True,
        threads: int = 1,
        compiler: "Compiler" = "auto",
        objective: str | None = None,
        parameters: bool = False,
        balanced: bool = False,
    ) -> None:
        self.model = model
        self.data = load(dataset)
        self.points = tuple(sorted({*points, 1.0}))
        self.examples, self._shuffled = examples, shuffled
        self._gap = min(after - before for before, after in pairwise((0.0, *self.points)))
        self.objective, self.parameters = objective, parameters
        self._unread: set[str] = set()

        from . import runtime

        runtime.configure(threads)
        from .engine import Engine, as_tensor
        from .networks import builder

        builder(model)  # what cannot be found would fail every trial
        weights = class_weights(self.data.y_train, self.data.classes) if balanced else None
        self.engine = Engine(compiler, weights=weights)
        self.x, self.y = as_tensor(self.data.x_train), as_tensor(self.data.y_train)

    def open(self, trial: Trial) -> "KerasSession":
        """A session at the start of its training. Networks not met before are compiled here."""
        return KerasSession(self, trial)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        """Loss and metrics of a trained network on the test part, as `test_...`."""
        session = KerasSession(self, trial)
        session.restore(snapshot)
        measured = session.evaluate(self.data.x_test, self.data.y_test)
        return {f"test_{name}": value for name, value in measured.items()}

    def export(self, trial: Trial, snapshot: Snapshot, folder: Path) -> Path | None:
        """The network as a Keras model that stands alone: `best.keras`."""
        from . import keras_export
        from .buffers import unpack

        data, hyperparameters = self.data, resolve(self.model, trial.configuration)
        target = None if data.classes is not None else tuple(data.y_train.shape[1:])
        network = self.engine.network(self.model, hyperparameters, data.input_shape, data.outputs, target)
        try:
            values = unpack(_aligned_copy(snapshot.weights), network.values)
            arguments = (self.model, hyperparameters, values, data.input_shape, data.outputs, data.scale)
            return keras_export.export(*arguments, folder)
        except UserError:
            raise
        except Exception as error:
            print(
                f"warning: the network of trial {trial.number} is not kept: {in_a_line(error)}",
                file=sys.stderr,
                flush=True,
            )
            return None

    def validation(self, progress: float, epochs: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """What is evaluated of the validation part, inputs and labels: before the end, always the same examples.

        Args:
            progress: share of the training that is done.
            epochs: of the whole training.
        """
        x, y = self.data.x_validation, self.data.y_validation
        if progress == 1 or self.examples == "points":
            return x, y
        auto = self.examples == "auto"
        number = AFFORDABLE * epochs * self.data.samples * self._gap if auto else self.examples
        number = min(len(x), max(LEAST, int(number)) if auto else int(number))
        if not self._shuffled or number == len(x):
            return x[:number], y[:number]
        rows = np.sort(generator(0, 0, "validation").permutation(len(x))[:number])
        return x[rows], y[rows]

    def check(self, network: "Network", configuration: Mapping[str, Value]) -> None:
        """Stop where the objective is none that the network measures, and say once which hyperparameters nobody reads.

        Raises:
            UserError: the objective is not measured.
        """
        if self.objective is not None and self.objective not in (held := network.measures):
            targets = " (targets, not labels)" if network.target is not None else ""
            raise UserError(
                f"objective.metric = {self.objective}: model {label(self.model)} does not measure it on these data{targets}"
                f"{hint(self.objective, held)}"
            )
        if not network.own:  # what built-in models do not know is refused with the experiment
            return
        for name in sorted({*configuration} - network.used - self._unread):
            self._unread.add(name)
            said = f"warning: model {label(self.model)}: nothing reads the hyperparameter {name}"
            print(said, file=sys.stderr, flush=True)


def _aligned_copy(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    copy: npt.NDArray[np.float32] = aligned(1, len(vector))[0]
    copy[:] = vector
    return copy


class KerasSession(Session):
    """One trial in training; see :class:`hypercurve.training.trainer.Session`.

    Attributes:
        step: steps done.
        total: steps of the whole training.
    """

    def __init__(self, trainer: KerasTrainer, trial: Trial) -> None:
        start, compiled = time.perf_counter(), trainer.engine.compilations
        self.trainer, self.trial = trainer, trial
        data = trainer.data
        self.hyperparameters: dict[str, Any] = resolve(trainer.model, trial.configuration)
        self._given = frozenset(trial.configuration)
        self.program = trainer.engine.program(trainer.model, self.hyperparameters, trainer.x, trainer.y, data.outputs)
        self.network = self.program.network
        self.network.prepare(data.x_validation, data.y_validation)
        trainer.check(self.network, trial.configuration)
        ready = time.perf_counter()
        self._overhead = ready - start if trainer.engine.compilations > compiled else 0.0
        batch_size = self.program.batch_size
        self.total = total_steps(self.hyperparameters["epochs"], data.samples, batch_size)
        self.step, self.progress, self.anchor = 0, 0.0, 0
        self._updates = 0  # how many updates the slots have seen: not `step` where they were copied from an earlier one
        # Losses are averaged from the last of these steps on, whatever pieces the training is cut into.
        self._marks = sorted({0, *(self._step_at(point) for point in trainer.points)})
        self._order = SampleOrder(trial, data.samples, batch_size)
        values = self.network.set_knobs(self.network.initial(trial), self.hyperparameters)
        self._state = self.program.state(values)
        self._every: float | None = None
        self._between: Callable[[float], None] = lambda _: None
        self._seconds = time.perf_counter() - start - self._overhead

    def _step_at(self, progress: float) -> int:
        """The step at which a share of the training is done; at least one, so that every report has a loss."""
        return step_at(progress, self.total)

    def advance(self, progress: float) -> Report:
        """Train up to a share of the training and report.

        Returns:
            `loss`: mean training loss since the trainer's last point before `progress`; NaN once the training has
            diverged, from where on nothing is computed. `val_loss` and the metrics, as `val_...`, at the end, or always if
            the trainer evaluates at points, unless the training has diverged.

        Raises:
            ValueError: `progress` is not in (0, 1], or lies before what is done.
        """
        if not 0 < progress <= 1 or progress < self.progress:
            raise ValueError(f"cannot train from {self.progress} to {progress} of a training")
        start = time.perf_counter()
        target = max(self.step, self._step_at(progress))
        while self.step < target:
            self._train(min(target, next(mark for mark in (*self._marks, target) if mark > self.step)))
        self.progress = progress
        window = self.step - self._marks[bisect_left(self._marks, self.step) - 1]
        loss = float(self._state.loss) / window
        metrics = {"loss": loss if np.isfinite(loss) else float("nan")}
        if np.isfinite(loss) and (progress == 1 or self.trainer.examples != "end"):
            measured = self.evaluate(*self.trainer.validation(progress, self.hyperparameters["epochs"]))
            metrics |= {f"val_{name}": value for name, value in measured.items()}
        if self.trainer.parameters:
            metrics["parameters"] = float(self.network.parameters)
        seconds, overhead = time.perf_counter() - start + self._seconds, self._overhead
        self._seconds = self._overhead = 0.0
        return Report(progress, metrics, seconds, overhead, compiler=self._compiler)

    def _train(self, stop: int) -> None:
        """Train up to a step, not beyond the next mark."""
        trainer, hyperparameters = self.trainer, self.hyperparameters
        diverged = not np.isfinite(float(self._state.loss))
        if self.step in self._marks and not diverged:
            self._state.loss = self.program.zero
        while self.step < stop and not diverged:
            end = min(self.step + self._chunk, stop)
            began = time.perf_counter()
            rates = learning_rates(self._rated, self.step, end - self.step, anchor=self.anchor)
            if correct := self.program.optimizer.correct:
                rates = correct(hyperparameters, self._updates, rates)
            order = self._order.steps(self.step, end)
            self._state, done = self.program.run(
                self._state, trainer.x, trainer.y, trainer.data.scale, order, rates, hyperparameters
            )
            self.step += done
            self._updates += done
            diverged = not np.isfinite(float(self._state.loss))  # which is waited for
            self.program.step_seconds = (time.perf_counter() - began) / max(done, 1)
            if not diverged:
                self._between(self.step / self.total)
        self.step = stop

    @property
    def _chunk(self) -> int:
        """How many steps are trained in one call."""
        from .engine import CHUNK

        if self._every is None:
            return CHUNK
        longest, pace = min(self._every, LONGEST), self.program.step_seconds
        return FIRST if pace is None else max(1, min(CHUNK, int(max(longest, 0.1) / max(pace, 1e-9))))

    @property
    def _rated(self) -> Mapping[str, Any]:
        """The hyperparameters that learning rates follow from; an optimizer of the model's has a rate of its own."""
        own = self.program.optimizer.rate
        if own is None or "learning_rate" in self._given:
            return self.hyperparameters
        return {**self.hyperparameters, "learning_rate": own}

    @property
    def _compiler(self) -> str:
        """Who runs the network, where that is not who was to."""
        used = {self.program.mode, self.network.measured_in} - {self.network.mode}
        return "eager" if "eager" in used else next(iter(used), "")

    def evaluate(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> dict[str, float]:
        """Mean loss and metrics over a part of the data."""
        return self.network.evaluate(self._state.weights, self._state.others, x, y, self.trainer.data.scale)

    def snapshot(self, out: npt.NDArray[np.float32] | None = None) -> Snapshot:
        """The state now; see :meth:`hypercurve.training.trainer.Session.snapshot`.

        The number of updates and the sum of losses since the last point travel at the end of the slots.
        """
        from .buffers import host, pack, packed_size

        state, size = self._state, packed_size(self.network.values)
        into = (None, None) if out is None else (out[:size], out[size:])
        weights = pack([host(tensor) for tensor in (*state.weights, *state.others)], into[0])
        slots = [host(tensor) for tensor in (*state.slots, state.loss)]
        return Snapshot(self.progress, self.step, weights, pack([*slots, np.array(self._updates)], into[1]))

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of this or another session with the same structure; own hyperparameters stay.

        See :meth:`hypercurve.training.trainer.Session.restore`.

        Raises:
            ValueError: the snapshot is of another structure.
        """
        from .buffers import unpack

        # The copies become tensors without another one.
        values = unpack(_aligned_copy(snapshot.weights), self.network.values)
        tail = np.zeros((), np.float64), np.zeros((), np.int64)
        *slots, loss, updates = unpack(_aligned_copy(snapshot.slots), [*self.program.slots, *tail])
        values = self.network.set_knobs(values, self.hyperparameters)
        self._state = self.program.state(values, slots, float(loss))
        self.step, self.progress, self._updates = snapshot.step, snapshot.progress, int(updates)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(learning_rates(self._rated, self.step, 1, anchor=self.anchor)[0])

    def adjust(self, configuration: Mapping[str, Value], anchor: int | None = None) -> None:
        """Go on with other numeric hyperparameters: what a population does to its members.

        Args:
            configuration: the whole new configuration.
            anchor: the step at which its `learning_rate` holds undecayed; the next step if not given.

        Raises:
            ValueError: it differs in more than numeric hyperparameters, or in the length of training.
            UserError: it differs in what the user's builder reads.
        """
        new: dict[str, Any] = resolve(self.trainer.model, configuration)
        changed = {name for name in {*new, *self.hyperparameters} if new.get(name) != self.hyperparameters.get(name)}
        table = known(self.trainer.model)
        if shaping := sorted(changed & self.network.shaping):
            raise UserError(
                f"{', '.join(shaping)}: model {label(self.trainer.model)} reads this when it is built, so no "
                "population can change it"
            )
        if fixed := sorted(
            name
            for name in changed - self.network.knobs
            if (name not in table and not self.network.own) or (name in table and table[name].role != "numeric")
        ):
            raise ValueError(f"{', '.join(fixed)} cannot change during training")
        self.hyperparameters = new
        self.anchor = self.step if anchor is None else anchor
        self.program.set_knobs(self._state, new)

    def can_save(self) -> bool:
        """At every safe moment."""
        return True

    def watch(self, every: float | None, between: Callable[[float], None]) -> None:
        """Safe moments are between chunks of steps; see :meth:`hypercurve.training.trainer.Session.watch`."""
        self._every, self._between = every, between
