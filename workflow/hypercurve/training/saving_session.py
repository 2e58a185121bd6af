"""A trial in training whose state is saved while it trains; :mod:`hypercurve.training.saving` says when."""

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..runs.trial import Trial
from ..space.search_space import Value
from ..util.errors import UserError, in_a_line
from ..util.files import drop_unfinished
from .saved_states import SavedState, read_state, write_state
from .saving_bounds import Bounds
from .trainer import Report, Session, Snapshot, Trainer


class SavingSession(Session):
    """One trial in training.

    Args:
        trainer: trains it.
        trial: the trial.
        path: the file of its state.
        identity: what its training depends on.
        bounds: of all sessions of this process.

    Attributes:
        size: bytes of its state; 0 before they are known.
        saved: whether the file holds what it has come to.
    """

    def __init__(self, trainer: Trainer, trial: Trial, path: Path, identity: str, bounds: Bounds) -> None:
        self._trainer, self._trial, self._path, self._identity, self._bounds = trainer, trial, path, identity, bounds
        bounds.trials += 1
        self._reports: dict[float, Report] = {}
        self._share = 0.0
        self._known = 0.0  # share up to which an earlier session has reported
        self._since = self._before = 0.0  # seconds trained since the last report; those of them by an earlier session
        self._saving = self._meanwhile = 0.0  # seconds of saving: in all, since the last report
        self._began = self._tried = time.perf_counter()  # the stretch that is not counted yet; the last save
        self._failed = False  # whether its state cannot be saved
        self._wrong = False  # whether it is in another state than its trial's training would be
        self.size, self.saved = 0, True
        self._inner: Session | None = None
        if bounds.every is not None:
            drop_unfinished(self._path)
        state = None if bounds.every is None else read_state(self._path, self._identity, trial.number)
        if state is None:
            self._open()
        else:
            self._reports = {report.progress: report for report in state.reports}
            self.progress = self._known = state.snapshot.progress
            self._share, self._since, self._before = state.share, state.seconds, state.seconds
            self.size = state.snapshot.weights.nbytes + state.snapshot.slots.nbytes
            print(f"trial {trial.number}: going on from {state.share:.0%} of its training", file=sys.stderr, flush=True)

    def advance(self, progress: float) -> Report:
        """Train up to a share of the training and report; what an earlier session has reported is given again.

        Raises:
            ValueError: the share lies before what is done, and was not reported.
        """
        if progress <= self._known:
            if progress not in self._reports:
                raise ValueError(f"trial {self._trial.number} has been trained beyond {progress}, with no report there")
            return self._reports[progress]
        bounds = self._bounds
        bounds.check()
        self._began = time.perf_counter()
        inner = self._woken()
        self._began = time.perf_counter()
        bounds.training = True
        try:
            report = inner.advance(progress)
        except Exception:
            bounds.awake.pop(self, None)
            raise
        finally:
            bounds.training = False
        self._count()
        if report.wall is None:
            spent = max(report.seconds - self._meanwhile, 0.0) + self._before
            report = replace(report, seconds=spent, overhead=report.overhead + self._meanwhile)
        self._since = self._before = 0.0
        self.progress, self._reports[progress], self.saved = progress, report, False
        if progress < 1:
            self._safe(progress)
            if bounds.memory is not None and self.size == 0:
                self._state()
            bounds.make_room(self)
        self._meanwhile = 0.0
        return report

    def _safe(self, share: float) -> None:
        """A moment at which the state may be saved."""
        self._share, self.saved = share, False
        self._count()
        self._bounds.check()
        if self._due():
            began = time.perf_counter()
            self.save()
            self._began = self._tried = time.perf_counter()
            cost = self._bounds.cost = self._began - began
            self._bounds.saving += cost
            self._saving += cost
            self._meanwhile += cost

    def _count(self) -> None:
        now = time.perf_counter()
        self._bounds.trained += now - self._began
        self._since += now - self._began
        self._began = now

    def _due(self) -> bool:
        bounds = self._bounds
        if self._failed or self._inner is None or not self._inner.can_save():
            return False
        return bounds.allows(time.perf_counter() - self._tried, self._saving)

    def save(self) -> bool:
        """Save the state; whether that was possible, or not needed."""
        if self.saved or (snapshot := self._state()) is None:
            return self.saved
        reports = tuple(self._reports.values())
        try:
            write_state(self._path, SavedState(self._identity, snapshot, self._share, self._since, reports))
            self.saved = True
        except UserError as error:
            self._bounds.warn("file", f"states of trials in flight cannot be saved: {error}")
        return self.saved

    def _state(self) -> Snapshot | None:
        """The whole state now; None if it cannot be had."""
        if self._inner is None or self._failed or self._wrong or not self._inner.can_save():
            return None
        try:
            snapshot = self._inner.snapshot()
        except Exception as error:  # a user's `save` may do anything
            self._failed = True
            self._bounds.warn(
                "save",
                f"trial {self._trial.number}: its state cannot be saved: {in_a_line(error)}; if the job ends, such trials "
                "begin anew",
            )
            return None
        self.size = snapshot.weights.nbytes + snapshot.slots.nbytes
        return snapshot

    def park(self) -> bool:
        """Leave memory, if the state can be saved."""
        if not self.saved and not self.save():
            return False
        self._inner = None
        self._bounds.awake.pop(self, None)
        return True

    def _open(self) -> Session:
        self._inner = self._trainer.open(self._trial)
        self._inner.watch(self._bounds.every, self._safe)
        self._bounds.awake[self] = None
        return self._inner

    def _woken(self) -> Session:
        """The session in memory. One whose state is lost is trained again to its last report."""
        if self._inner is not None:
            return self._inner
        self._bounds.make_room(self, self.size)
        inner, state = self._open(), read_state(self._path, self._identity, self._trial.number)
        if state is not None:
            try:
                inner.restore(state.snapshot)
                return inner
            except Exception as error:  # a user's `load` may do anything
                self._failed = True
                about = f"trial {self._trial.number}: its saved state cannot be loaded: {in_a_line(error)}"
                self._bounds.warn("load", f"{about}; such trials are trained again")
                inner = self._open()
        for point in sorted(self._reports):
            inner.advance(point)
        self._since = self._before = 0.0
        return inner

    def snapshot(self, out: npt.NDArray[np.float32] | None = None) -> Snapshot:
        """The state now; of what cannot be saved, what is known without that."""
        inner = self._woken()
        if out is None and (snapshot := self._state()) is not None:
            return snapshot
        inner.watch(None, self._safe)
        try:
            return inner.snapshot(out)
        finally:
            inner.watch(self._bounds.every, self._safe)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, which may be another session's: that is not this trial's training, nor saved as it."""
        self._woken().restore(snapshot)
        self.progress, self._known, self._wrong, self.saved = snapshot.progress, 0.0, True, False

    def adjust(self, configuration: Mapping[str, Value], anchor: int | None = None) -> None:
        """Go on with other hyperparameters: that is not this trial's training, nor saved as it."""
        self._woken().adjust(configuration, anchor)
        self._wrong, self.saved = True, False

    def rest(self) -> None:
        """Leave memory; the state at the end is saved, or an earlier one stays."""
        if self._due():
            self._share = self.progress
            self.save()
        self._end()

    def leave(self) -> None:
        """Leave memory; what was saved stays, for another process has the trial."""
        self._end()

    def close(self) -> None:
        """Delete what was saved."""
        self._end()
        self._path.unlink(missing_ok=True)

    def _end(self) -> None:
        if self._inner is not None:
            self._inner.close()
        self._inner = None
        self._bounds.awake.pop(self, None)
