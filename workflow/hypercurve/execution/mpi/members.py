"""The members of a population that one rank has: training them, keeping their states, taking over others'. Knows no MPI.

A member's state is one flat float32 vector: the network's variables, then the optimizer's slots. With ``lag: 1``, what a
member was like at an evolution step is copied at the next, so two vectors per member are kept, else one per donor; they are
used again and again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...curves.cost import step_at
from ...events import networks
from ...events.events import Copy, Failed
from ...events.lines import EventLine
from ...runs.run import Run
from ...runs.trial import Trial
from ...space.search_space import Configuration
from ...training.trainer import Session, Snapshot, Trainer, aligned
from ...util.errors import UserError
from ..advance import ReportCheck, advance

Vector: TypeAlias = npt.NDArray[np.float32]
Measured: TypeAlias = tuple[Mapping[str, float], Mapping[str, str] | None]
"""Metrics on the test set, and what the journal says of the network's file; None without one."""


@dataclass(slots=True)
class Member:
    """One member.

    Attributes:
        number: its trial's number.
        configuration: its hyperparameters.
        anchor: optimizer step from which they hold.
        session: None before it is opened, and once it has failed.
        origin: what a session that is opened anew goes on from; None: the start.
        report: what it reported last; None before.
        copied: the evolution step at which it last took over another's state.
    """

    number: int
    configuration: Configuration
    anchor: int
    session: Session | None = None
    origin: Snapshot | None = None
    report: EventLine | None = None
    copied: int = 0

    @property
    def failed(self) -> bool:
        """Whether it failed when it last reported."""
        return self.report is not None and isinstance(self.report.event, Failed)


class Members:
    """The members of one rank.

    Args:
        run: gives settings, points and costs; its trials have begun.
        trainer: opens sessions.
        rank: this worker's number.
        numbers: which members this rank has.

    Attributes:
        sizes: lengths of weights and slots; None until a session has said them, or all ranks have agreed.
        agreed: whether they have, after their first reports: no state is exchanged or saved before.
    """

    def __init__(self, run: Run, trainer: Trainer, rank: int, numbers: Iterable[int]):
        self._trainer, self._rank, self._points = trainer, rank, run.points
        self._seed, self._repeat, self._check = run.setting.seed, run.repeat, ReportCheck.of(run.setting)
        trials = [run.trials[number] for number in numbers]
        self._members = {trial.number: Member(trial.number, trial.configuration, trial.anchor) for trial in trials}
        assert run.setting.population is not None
        self._keeps = 1 + run.setting.population.lag  # states of a member
        self._steps = trials[0].cost_of.steps if trials else 0
        self._kept: dict[tuple[int, int], tuple[int, Vector]] = {}  # evolution step and state
        self.sizes: tuple[int, int] | None = None
        self.agreed = False

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __contains__(self, number: int) -> bool:
        return number in self._members

    def __getitem__(self, number: int) -> Member:
        return self._members[number]

    def empty(self, rows: int = 1) -> npt.NDArray[np.float32]:
        """Memory for states, one per row."""
        assert self.sizes is not None
        return aligned(rows, sum(self.sizes))

    def train(self, member: Member, step: int) -> None:
        """Train a member to an evolution step, counted from 1; its report says how that went."""
        progress = self._points[step - 1]
        member.report, member.session = advance(
            lambda: self._session(member), member.number, progress, self._check, self._rank
        )
        if not self.agreed and member.session is not None:
            weights, slots = member.session.sizes()
            self.sizes = max(weights, (self.sizes or (0, 0))[0]), slots

    def agree(self, sizes: tuple[int, int]) -> None:
        """All ranks have said how long their states may be: from now on, all are so long."""
        self.sizes, self.agreed = sizes, True
        for member in self:
            if member.session is not None:
                member.session.agree(sizes[0])

    def _session(self, member: Member) -> Session:
        if member.session is None:
            session = self._trainer.open(Trial(member.number, member.configuration, self._seed, self._repeat))
            if member.origin is not None:
                session.restore(member.origin)
                session.adjust(member.configuration, member.anchor)
            if self.agreed and self.sizes is not None:
                session.agree(self.sizes[0])
            member.session, member.origin = session, None
        return member.session

    def keep(self, member: Member, step: int) -> Vector:
        """The state of a member in good health that has trained to an evolution step.

        Kept until the member has trained on; with lag, until it has done so twice.
        """
        kept, vector = self._kept.get((member.number, step % self._keeps), (0, None))
        if kept == step and vector is not None:
            return vector
        if vector is None:
            vector = self.empty()[0]
        assert member.session is not None
        member.session.snapshot(vector)
        self._kept[member.number, step % self._keeps] = step, vector
        return vector

    def copy_state(self, member: Member, step: int, state: Vector, copy: Copy) -> None:
        """Go on as a copy at an evolution step: with another's state, and with its perturbed hyperparameters.

        The member keeps its place in the training: number of steps, order of samples.

        Args:
            member: the member that copies.
            step: the evolution step where it is.
            state: the other's; may change as soon as this returns.
            copy: says what the member goes on with; its schedule starts here.
        """
        member.configuration, member.copied = copy.configuration, step
        member.anchor = step_at(self._points[step - 1], self._steps)
        member.origin = self._placed(step, state)
        try:
            if member.session is None:
                self._session(member)
            else:
                member.session.restore(member.origin)
                member.session.adjust(copy.configuration, member.anchor)
                member.origin = None
        except UserError:
            raise
        except Exception:  # opened again at the next step, where what is wrong becomes its report
            member.session, member.origin = None, self._placed(step, state.copy())

    def _placed(self, step: int, state: Vector) -> Snapshot:
        assert self.sizes is not None
        weights = self.sizes[0]
        progress = self._points[step - 1]
        return Snapshot(progress, step_at(progress, self._steps), state[:weights], state[weights:])

    def saved(self, member: Member, step: int) -> npt.NDArray[np.float32]:
        """What a snapshot must hold of a member that is about to leave an evolution step, shape (1 or 2, n).

        The second row (lag 1) is what others may still copy: its state before it took over another's.
        """
        kept, vector = self._kept.get((member.number, step % self._keeps), (0, None))
        lent = vector if self._keeps == 2 and kept == step == member.copied else None
        rows = self.empty(1 if lent is None else 2)
        if lent is not None:
            rows[1] = lent
        if member.session is not None:
            member.session.snapshot(rows[0])
        else:
            assert member.origin is not None, "at an evolution step, a member without a session has just copied"
            rows[0] = np.concatenate((member.origin.weights, member.origin.slots))
        return rows

    def resume(self, member: Member, step: int, saved: npt.NDArray[np.float32]) -> None:
        """Go on from what :meth:`saved` gave."""
        member.origin = self._placed(step, saved[0])
        if self._keeps == 2:
            vector = self.empty()[0]
            vector[:] = saved[-1]
            self._kept[member.number, step % self._keeps] = step, vector

    def tested(self, number: int, folder: Path) -> Measured:
        """Measure a member that has trained to the end on the test set, and write its network to a file in a folder."""
        member = self._members[number]
        assert member.session is not None
        trial = Trial(number, member.configuration, self._seed, self._repeat)
        snapshot = member.session.snapshot()
        metrics, path = self._trainer.test(trial, snapshot), self._trainer.export(trial, snapshot, folder)
        return metrics, None if path is None else networks.described(path)
