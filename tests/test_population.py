"""Population Based Training without MPI: who copies whom, what is perturbed, who waits for what; snapshots on the disk."""

import doctest
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercurve.config.cost import CostModel, report_points
from hypercurve.config.experiment import Experiment
from hypercurve.config.methods import Exploit
from hypercurve.config.setting import Setting
from hypercurve.events.encoding import encode_line
from hypercurve.events.events import Action, Completed, Continue, Copy, Event, Failed, Reported, Start, Started
from hypercurve.events.journal import Journal
from hypercurve.events.lines import Wall
from hypercurve.execution.mpi.snapshots import Saver, Snapshots
from hypercurve.population import evolution
from hypercurve.population.evolution import donors, evolve, quartile, ranking
from hypercurve.population.scheduler import PopulationScheduler
from hypercurve.runs.run import Run
from hypercurve.space.search_space import Space
from hypercurve.util.errors import UserError

pytestmark = pytest.mark.slow

SAMPLES = 1600
EXPLOITS = ["quartile", {"quartile": {"fraction": 0.5}}, {"quartile": {"fraction": 0.1}}, "tournament"]
SPACE = {
    "learning_rate": {"log_uniform": [0.01, 1.0]},
    "momentum": {"uniform": [0.0, 0.9]},
    "decay_ratio": {"choice": [0.9, 0.95, 1.0], "ordered": True},
    "decay_every": 10,
    "epochs": 2,
}
EXPLORE = {
    "learning_rate": {"factors": [0.8, 1.2]},
    "momentum": {"uniform_factor": [0.5, 2.0], "resample": 0.25},
    "decay_ratio": {"factors": [0.9, 1.1]},
}


def setting(
    lag: int = 0, exploit: object = "quartile", members: int = 6, model: str = "mlp", **more: object
) -> Setting:
    population = {"every": 10, "exploit": exploit, "explore": EXPLORE, "lag": lag}
    content = {"data": {"name": "digits"}, "model": model, "space": SPACE, "budget": {"trials": members}, **more}
    content["methods"] = {"pbt": {"population": population}}
    return Experiment.model_validate(content).setting("population", "pbt")


fitnesses = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, math.nan, -math.inf]), min_size=2, max_size=12).map(
    lambda values: dict(enumerate(values))
)
exploits = st.sampled_from(EXPLOITS).map(Exploit.model_validate)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(evolution) == (0, doctest.testmod(evolution).attempted)
    assert doctest.testmod(evolution).attempted > 2


class TestExploit:
    @given(fitness=fitnesses, seed=st.integers(0, 99), fraction=st.floats(0.01, 0.5))
    def test_the_worst_quartile_copies_the_best(self, fitness: dict[int, float], seed: int, fraction: float) -> None:
        rng = np.random.default_rng(seed)
        rule = Exploit.model_validate({"quartile": {"fraction": fraction}})
        pairs = donors(fitness, rule, lambda _, count: int(rng.integers(count)))
        # Plainly: worst and best by a stable sort of (fitness, -number), the diverged below all.
        ascending = sorted(fitness, key=lambda m: (-1 if math.isnan(fitness[m]) else 1, fitness[m], -m))
        ascending.sort(key=lambda m: not math.isnan(fitness[m]))
        ill = {m for m in fitness if math.isnan(fitness[m])}
        size = next(
            k for k in range(len(fitness) + 1) if k >= fraction * len(fitness) - 1e-9 or 2 * (k + 1) > len(fitness)
        )
        if len(ill) == len(fitness):
            assert pairs == {}
            return
        healthy = [m for m in ascending if m not in ill]
        assert set(pairs) == set(sorted(ascending, key=lambda m: (m not in ill, fitness[m], -m))[:size]) | ill
        assert set(pairs.values()) <= set(healthy[-size:])
        assert not set(pairs) & set(pairs.values())
        assert list(pairs) == sorted(pairs)

    @given(fitness=fitnesses, seed=st.integers(0, 99))
    def test_in_a_tournament_members_copy_fitter_rivals(self, fitness: dict[int, float], seed: int) -> None:
        rng = np.random.default_rng(seed)
        drawn = {member: int(rng.integers(10**6)) for member in fitness}
        pairs = donors(fitness, Exploit.model_validate("tournament"), lambda member, count: drawn[member] % count)
        healthy = [m for m in fitness if not math.isnan(fitness[m])]
        for member, value in fitness.items():
            if math.isnan(value):
                assert (member in pairs) == bool(healthy)
            if member in pairs:
                assert pairs[member] in healthy
                assert math.isnan(value) or fitness[pairs[member]] > value

    @pytest.mark.slow
    def test_every_rival_and_every_donor_is_met_about_equally_often(self) -> None:
        met: dict[tuple[str, int], int] = {}
        for generation in range(2000):
            for kind in ("quartile", "tournament"):
                for move in moves({m: m / 8 for m in range(8)}, kind, generation):
                    if move.member == 0:
                        met[kind, move.donor] = met.get((kind, move.donor), 0) + 1
        assert met == {
            **{("quartile", donor): pytest.approx(1000, abs=120) for donor in (6, 7)},
            **{("tournament", donor): pytest.approx(2000 / 7, abs=80) for donor in range(1, 8)},
        }

    @pytest.mark.parametrize(
        ("fitness", "expected"),
        [
            ({0: 1.0, 1: 2.0}, {0: 1}),
            ({0: 1.0, 1: 1.0}, {1: 0}),
            ({0: 1.0, 1: 2.0, 2: 3.0}, {0: 2}),
            ({0: math.nan, 1: math.nan, 2: 3.0}, {0: 2, 1: 2}),
            ({0: math.nan, 1: math.nan}, {}),
            ({0: math.nan, 1: 0.0}, {0: 1}),
        ],
    )
    def test_small_and_sick_populations(self, fitness: dict[int, float], expected: dict[int, int]) -> None:
        assert donors(fitness, Exploit.model_validate("quartile"), lambda *_: 0) == expected

    @given(members=st.integers(2, 200))
    def test_the_size_of_a_quartile(self, members: int) -> None:
        assert quartile(members, 0.25) == min(-(-members // 4), members // 2)
        assert quartile(members, 0.5) == members // 2
        assert quartile(members * 10, 0.1) == members

    @given(fitness=fitnesses)
    def test_ranking_is_total(self, fitness: dict[int, float]) -> None:
        order = ranking(fitness)
        assert sorted(order) == sorted(fitness)
        for one, other in pairwise(order):
            a, b = fitness[one], fitness[other]
            assert a > b or (math.isnan(b) and not math.isnan(a)) or ((a == b or math.isnan(a)) and one < other)


def moves(fitness: dict[int, float], exploit: object, generation: int = 1) -> list[evolution.Move]:
    given = setting(exploit=exploit, members=len(fitness))
    configurations = {member: given.space.sample(np.random.default_rng(member)) for member in fitness}
    return evolve(
        fitness,
        configurations,
        exploit=Exploit.model_validate(exploit),
        explore=given.population.explore,  # type: ignore[union-attr]
        space=given.space,
        seed=3,
        repeat=1,
        generation=generation,
    )


class TestExplore:
    @given(fitness=fitnesses, exploit=st.sampled_from(EXPLOITS), generation=st.integers(1, 50))
    @settings(max_examples=40)
    def test_copies_lie_in_the_space_and_follow_from_the_seed(
        self, fitness: dict[int, float], exploit: object, generation: int
    ) -> None:
        given = setting()
        made = moves(fitness, exploit, generation)
        assert made == moves(dict(reversed(fitness.items())), exploit, generation)
        for move in made:
            given.space.validate_configuration(move.configuration)
            assert move.configuration["decay_every"] == 10

    @pytest.mark.parametrize(("decayed", "expected"), [(1e-9, 0.01), (0.5, 0.4), (9e9, 0.8)])
    def test_what_has_a_rule_is_clipped_and_the_rest_copied_as_it_is(self, decayed: float, expected: float) -> None:
        space = Space.model_validate({"learning_rate": {"uniform": [0.01, 1.0]}})
        ruled = setting().population.explore  # type: ignore[union-attr]
        only = {"learning_rate": type(ruled["learning_rate"]).model_validate({"factors": [0.8]})}
        one = evolution.explored({"learning_rate": decayed}, only, space, 0, 0, 1)
        assert one["learning_rate"] == pytest.approx(expected)
        assert evolution.explored({"learning_rate": decayed}, {}, space, 0, 0, 1) == {"learning_rate": decayed}

    def test_a_decaying_rate_that_is_not_searched_is_copied_as_well(self) -> None:
        space = Space.model_validate({"decay_ratio": {"uniform": [0.9, 1.0]}})
        copied = evolution.explored({"decay_ratio": 0.95, "learning_rate": 0.003}, {}, space, 0, 0, 1)
        assert copied == {"decay_ratio": 0.95, "learning_rate": 0.003}


def scheduler(given: Setting) -> PopulationScheduler:
    return PopulationScheduler(given, 0, CostModel(given.model, given.cost, SAMPLES))


def test_what_is_perturbed_is_what_a_members_own_schedule_has_made_of_it() -> None:
    given = {
        "model": {"loop": "mine:Loop"},
        "objective": {"metric": "loss"},
        "space": {"rate": {"uniform": [0.1, 1.0]}, "momentum": 0.5, "epochs": 4},
        "budget": {"trials": 2},
        "methods": {"pbt": {"population": {"every": 1, "explore": {"rate": {"factors": [0.5]}}}}},
    }
    one = scheduler(Experiment.model_validate(given).setting("", "pbt"))
    one.open()
    said = {"val_loss": 0.1, "now_rate": 0.4, "now_momentum": 0.25, "now_epochs": 3.0}
    one.on(Reported(0, 0.25, said))
    copy, *_ = [action for action in one.on(Reported(1, 0.25, {"val_loss": 0.2})) if isinstance(action, Copy)]
    assert copy == Copy(1, 0, 0.25, {"rate": 0.2, "momentum": 0.25, "epochs": 4})


class Driver:
    """Delivers reports in any order that is possible, and holds the actions to the contract."""

    def __init__(self, given: Setting, metrics: dict[tuple[int, int], float], data: st.DataObject | None = None):
        assert given.population is not None
        self.setting, self.metrics, self.data = given, metrics, data
        self.points = report_points(given, SAMPLES)
        self.scheduler = scheduler(given)
        self.events: list[Event] = []
        self.actions: dict[tuple[int, int], list[Action]] = {}  # by member and step: what it was told there
        self.step: dict[int, int] = {}
        self.going: set[int] = set()
        for action in self.scheduler.open():
            assert isinstance(action, Start)
            given.space.validate_configuration(action.configuration)
            self.step[action.trial] = -1
            self.going.add(action.trial)

    def take(self, event: Event, member: int) -> None:
        self.going.discard(member)
        self.step[member] += 1
        self.events.append(event)
        for action in self.scheduler.on(event):
            assert isinstance(action, Continue | Copy)
            assert action.trial not in self.going, "who is going is told nothing"
            self.actions.setdefault((action.trial, self.step[action.trial]), []).append(action)
            if isinstance(action, Continue):
                self.going.add(action.trial)

    def run(self) -> None:
        ended: set[int] = set()
        while self.going:
            order = sorted(self.going, key=lambda member: (self.step[member], member))  # the first: virtual order
            member = self.data.draw(st.sampled_from(order)) if self.data is not None else order[0]
            step = self.step[member] + 1
            value = self.metrics.get((member, step), 0.5)
            if step == 0:
                self.take(Started(member), member)
            elif step == len(self.points):
                ended.add(member)
                self.take(Completed(member, {"loss": 1.0, "val_accuracy": value}), member)
            elif math.isnan(value):
                self.take(Failed(member, self.points[step - 1], "diverged"), member)
            else:
                self.take(Reported(member, self.points[step - 1], {"val_accuracy": value}), member)
        assert len(ended) in (0, self.setting.members), "members end together, or diverged together"


def tables(members: int, steps: int, sick: float = 0.1) -> st.SearchStrategy[dict[tuple[int, int], float]]:
    def table(seed: int) -> dict[tuple[int, int], float]:
        rng = np.random.default_rng(seed)
        return {
            (member, step): math.nan if rng.random() < sick else float(rng.integers(0, 10) / 10)
            for member in range(members)
            for step in range(1, steps + 2)
        }

    return st.integers(0, 10**6).map(table)


@pytest.mark.parametrize("exploit", EXPLOITS[::3], ids=str)
@pytest.mark.parametrize("lag", [0, 1])
class TestScheduler:
    @settings(max_examples=25)
    @given(data=st.data(), metrics=tables(6, 11))
    def test_actions_do_not_depend_on_the_order_of_reports(
        self, lag: int, exploit: object, data: st.DataObject, metrics: dict[tuple[int, int], float]
    ) -> None:
        given = setting(lag, exploit)
        one, other = Driver(given, metrics), Driver(given, metrics, data)
        one.run()
        other.run()
        assert one.actions == other.actions
        again = scheduler(given)
        again.open()
        again_actions = [again.on(event) for event in other.events]
        repeated = scheduler(given)
        repeated.open()
        assert [repeated.on(event) for event in other.events] == again_actions

    @settings(max_examples=25)
    @given(data=st.data(), metrics=tables(5, 11))
    def test_it_evolves_as_a_plain_loop_over_a_table_does(
        self, lag: int, exploit: object, data: st.DataObject, metrics: dict[tuple[int, int], float]
    ) -> None:
        given = setting(lag, exploit, members=5)
        driver = Driver(given, metrics, data)
        driver.run()
        assert driver.actions == plain(given, metrics, lag)

    def test_nobody_waits_for_more_than_the_generation_that_is_ranked(self, lag: int, exploit: object) -> None:
        given = setting(lag, exploit)
        sched, points = scheduler(given), report_points(given, SAMPLES)
        sched.open()
        for member in range(given.members):
            sched.on(Started(member))
        for step in range(lag):
            for member in range(given.members):
                assert sched.on(Reported(member, points[step], {"val_accuracy": 0.1 * member}))[-1] == Continue(member)
        told = [sched.on(Reported(member, points[lag], {"val_accuracy": 0.1 * member})) for member in range(5)]
        assert all(bool(actions) == bool(lag) for actions in told), "without a straggler's report"

    @settings(max_examples=10)
    @given(metrics=tables(6, 11))
    def test_upcoming_copies_are_those_that_healthy_members_make(
        self, lag: int, exploit: object, metrics: dict[tuple[int, int], float]
    ) -> None:
        given = setting(lag, exploit)
        driver = Driver(given, metrics)
        expected: dict[int, Copy] = {}
        taken = driver.take

        def take(event: Event, member: int) -> None:
            first = member == 0 and driver.step[0] >= 0
            if first:
                expected.clear()
                expected.update({copy.trial: copy for copy in driver.scheduler.upcoming()})
            taken(event, member)
            if isinstance(event, Reported) and lag:
                copies = [a for a in driver.actions.get((member, driver.step[member]), []) if isinstance(a, Copy)]
                assert copies == ([expected[member]] if member in expected else [])
                assert all(copy.progress == driver.points[driver.step[member] - 2] for copy in copies)

        driver.take = take  # type: ignore[method-assign]
        driver.run()
        assert lag or not expected


def plain(given: Setting, metrics: dict[tuple[int, int], float], lag: int) -> dict[tuple[int, int], list[Action]]:
    """Population Based Training as a loop over generations: everything is known, nobody waits."""
    population = given.population
    assert population is not None
    members, points = range(given.members), report_points(given, SAMPLES)
    steps = [round(point * SAMPLES * 2 / 32) for point in points]
    configuration = {a.trial: a.configuration for a in scheduler(given).open() if isinstance(a, Start)}
    since = dict.fromkeys(members, 0)
    told: dict[tuple[int, int], list[Action]] = {(m, 0): [Continue(m)] for m in members}
    past: dict[int, tuple[dict[int, float], dict[int, dict[str, object]]]] = {}
    copied: dict[int, int] = {}
    for g in range(1, len(points)):
        fitness = {m: metrics.get((m, g), 0.5) for m in members}
        current = {}
        for m in members:
            current[m] = dict(configuration[m])
            ratio = float(current[m]["decay_ratio"])
            if ratio != 1:
                rate = float(current[m]["learning_rate"]) * ratio ** ((steps[g - 1] - since[m]) // 10)
                current[m]["learning_rate"] = float(np.float32(rate))
        past[g] = fitness, current
        if all(math.isnan(value) for value in fitness.values()):
            break
        for m in members:
            sick = math.isnan(fitness[m])
            r = g if sick else g - lag
            move = None
            if r >= 1 and copied.get(m, 0) < r:
                options = {"exploit": population.exploit, "explore": population.explore, "space": given.space}
                found = evolve(*past[r], **options, seed=given.seed, repeat=0, generation=r)  # type: ignore[arg-type]
                move = next((one for one in found if one.member == m), None)
            told[m, g] = [Continue(m)]
            if move is not None:
                told[m, g].insert(0, Copy(m, move.donor, points[r - 1], move.configuration))
                configuration[m], since[m], copied[m] = move.configuration, steps[g - 1], g
    return told


@settings(max_examples=15)
@given(metrics=tables(5, 11, sick=0.2), lag=st.sampled_from([0, 1]), exploit=st.sampled_from(EXPLOITS))
def test_folding_a_journal_reproduces_the_run(metrics: dict[tuple[int, int], float], lag: int, exploit: object) -> None:
    given = setting(lag, exploit, members=5)
    run = Run(given, 0, samples=SAMPLES, data="none")
    lines = [run.start()]
    while (due := run.due()) is not None:
        state = run.trials[due.trial]
        value = metrics.get((due.trial, state.reports + 1), 0.5)
        event: Event
        if due.progress == 0:
            event = Started(due.trial)
        elif math.isnan(value):
            event = Failed(due.trial, due.progress, "diverged")
        elif due.progress == 1:
            event = Completed(due.trial, {"loss": 1.0, "val_accuracy": value})
        else:
            event = Reported(due.trial, due.progress, {"loss": 1.0, "val_accuracy": value})
        lines.append(run.step(event, Wall(seconds=0.5)))
    lines.append(run.end("finished"))
    again = Run(given, 0, samples=SAMPLES, data="none")
    again.fold(map(encode_line, lines), "journal")
    assert again.trials == run.trials
    assert (again.best, again.ended) == (run.best, "finished")
    actions = [action for line in lines for action in line.actions]
    copies = [action for action in actions if isinstance(action, Copy)]
    starts = [action for action in actions if isinstance(action, Start)]
    assert len(starts) == 5
    for trial in run.trials.values():  # schedule and lineage are all in the journal
        last = [action.configuration for action in (*starts, *copies) if action.trial == trial.number][-1]
        assert trial.configuration == last


# --- snapshots on the disk --------------------------------------------------------------------------------------------

IDENTITY = {"setting": "0123", "repeat": 0}


def saved(folder: Path, step: int, journal: Journal, members: int = 3) -> list[np.ndarray]:
    """Write a snapshot as ranks do; what is in it."""
    saver = Saver(Snapshots(folder), IDENTITY, members, journal)
    rows = [np.random.default_rng((step, member)).random((1 + member % 2, 5), np.float32) for member in range(members)]
    for member in range(members):
        saver.save(step, member, rows[member])
    saver.reached(step, 10 * step)
    saver.wait()
    for member in range(members):
        assert not (folder / str(step) / "manifest.json").exists(), "not before the last file is heard of"
        written = saver.written(member)
        assert written is not None
        assert saver.written(member) is None
        saver.file_written(written[0], member, written[1], (3, 2))
    saver.wait()
    saver.close()
    return rows


def test_snapshots_come_back_and_the_last_two_are_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    with Journal(tmp_path / "journal.jsonl") as journal:
        rows = {step: saved(snapshots.folder, step, journal) for step in (10, 20, 30)}
    assert sorted(path.name for path in snapshots.folder.iterdir()) == ["20", "30"]
    found = snapshots.usable(IDENTITY, 1000)
    assert [(m.step, m.lines, m.sizes) for m in found] == [(30, 300, (3, 2)), (20, 200, (3, 2))]
    for manifest in found:
        for member in range(3):
            np.testing.assert_array_equal(snapshots.read(manifest, member), rows[manifest.step][member])
    assert [m.step for m in snapshots.usable(IDENTITY, 299)] == [20], "a snapshot ahead of the journal is of no use"
    assert snapshots.usable({**IDENTITY, "repeat": 1}, 1000) == []
    snapshots.clear()
    assert not snapshots.folder.exists()


@pytest.mark.parametrize("where", range(0, 1000, 37))
def test_no_damage_to_a_snapshot_goes_unnoticed(tmp_path: Path, where: int) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    with Journal(tmp_path / "journal.jsonl") as journal:
        saved(snapshots.folder, 10, journal)
    files = sorted(path for path in snapshots.folder.rglob("*") if path.is_file())
    victim = files[where % len(files)]
    content = bytearray(victim.read_bytes())
    content[where % len(content)] ^= 1 << where % 8
    victim.write_bytes(content)
    found = snapshots.usable(IDENTITY, 1000)
    assert not found or any(snapshots.read(found[0], member) is None for member in range(3))


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_text("in the way")
    with Journal(tmp_path / "journal.jsonl") as journal:
        saver = Saver(Snapshots(tmp_path / "snapshots"), IDENTITY, 1, journal)
        saver.save(10, 0, np.zeros((1, 5), np.float32))
        with pytest.raises(UserError, match=r"0\.f32: cannot be written"):
            saver.wait()
        saver.close()
