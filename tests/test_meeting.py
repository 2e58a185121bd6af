"""Where workers meet: turns, states, signs of life."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from hypercurve.config.experiment import Experiment
from hypercurve.config.files import ConfigError
from hypercurve.runs import meeting
from hypercurve.runs.meeting import Gone, Lost, Meeting, State, dissolve


@pytest.fixture
def joining(tmp_path: Path) -> Callable[[], Meeting]:
    """Gives workers of one run, whose journal is empty."""
    journal = tmp_path / "journal.partial.jsonl"
    journal.touch()
    return lambda: Meeting(tmp_path / "journal.workers-0", journal, 60.0, {"heartbeat": 60.0})


def added(place: Meeting, line: bytes, **more: object) -> None:
    """A turn in which a line is added."""
    state = place.take()
    start = state or State("r", place.journal.stat().st_ino, 0)
    place.give(state, replace(start, lines=start.lines + line, **more))


@pytest.mark.parametrize("held", [0, 40, 1 << 14])
def test_no_line_is_lost_or_written_twice_by_workers_at_once(
    joining: Callable[[], Meeting], held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "HELD", held)
    places = [joining() for _ in range(4)]

    def work(number: int) -> None:
        for turn in range(5):
            added(places[number], b"%d %d\n" % (number, turn))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    _, state = places[0].look()
    assert state is not None
    lines = places[0].read(state, 0)
    assert sorted(lines.splitlines()) == sorted(b"%d %d" % (n, turn) for n in range(4) for turn in range(5))
    for number in range(4):
        own = [line for line in lines.splitlines() if line.startswith(b"%d " % number)]
        assert own == sorted(own), "a worker's turns are in its order"
    assert all(place.read(state, at) == lines[at:] for place in places for at in (3, state.start, state.end))
    assert places[0].journal.read_bytes() == lines
    assert len(list((places[0].folder / "turn").iterdir())) == 2, "the turn, and the state that holds"


def test_who_was_suspended_in_its_turn_publishes_nothing(joining: Callable[[], Meeting]) -> None:
    dead, other, third = joining(), joining(), joining()
    added(other, b"first\n")
    state = dead.take()
    assert state is not None
    dead.signs.leave()  # as good as no sign for long
    added(other, b"second\n")
    added(third, b"third\n")
    with pytest.raises(Lost):
        dead.give(state, replace(state, lines=state.lines + b"lost\n"))
    dead.settle(state, sync=True)
    _, now = third.look()
    assert now is not None
    assert now.lines == third.journal.read_bytes() == b"first\nsecond\nthird\n"


def test_a_worker_is_silent_when_its_sign_stays_the_same(joining: Callable[[], Meeting], tmp_path: Path) -> None:
    seen, quiet = joining(), tmp_path / "journal.workers-0" / "alive" / "quiet"
    quiet.write_text("7\n")
    other = Meeting(seen.folder, seen.journal, 0.1, {})
    assert not other.signs.silent("quiet")
    while not other.signs.silent("quiet"):
        pass
    assert not seen.signs.silent("quiet"), "who has more patience waits"
    quiet.write_text("left\n")
    third = joining()
    assert third.signs.silent("quiet"), "who says that it leaves is not waited for"


def test_the_turn_of_one_that_died_goes_on(joining: Callable[[], Meeting], tmp_path: Path) -> None:
    dead = joining()
    added(dead, b"line\n", claims={3: dead.name})
    dead.take()
    dead.signs.leave()
    other = joining()
    state = other.take()
    assert state is not None
    assert state.claims == {3: dead.name}
    assert state.lines == b"line\n"


def test_a_meeting_that_is_over_is_told_from_one_that_never_was(joining: Callable[[], Meeting]) -> None:
    one, other = joining(), joining()
    added(one, b"line\n")
    one.close()
    for act in (other.take, other.look):
        with pytest.raises(Gone):
            act()


def test_nobody_writes_to_another_file_of_the_journals_name(joining: Callable[[], Meeting]) -> None:
    one = joining()
    added(one, b"line\n")
    _, state = one.look()
    assert state is not None
    again = one.journal.with_name("again")
    again.write_bytes(b"other\n")
    again.replace(one.journal)
    one.settle(state)
    assert one.journal.read_bytes() == b"other\n"


def test_what_dead_workers_published_is_in_the_journal_when_their_meeting_is_dissolved(
    joining: Callable[[], Meeting], tmp_path: Path
) -> None:
    dead = joining()
    added(dead, b"line\n")
    dead.journal.write_bytes(b"")  # it died before it wrote what it had published
    dead.signs.leave()
    dissolve(tmp_path / "journal.jsonl", dead.journal)
    assert dead.journal.read_bytes() == b"line\n"
    assert not list(tmp_path.glob("*workers*"))


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ({"population": {"every": 5}, "workers": 2}, "a population has no `workers`"),
        ({"search": "random", "tasks": 2, "workers": 2}, "takes the place of `tasks`"),
        ({"search": "random", "order": "virtual", "workers": 2}, "is `arrival` with `workers`"),
        ({"search": "random", "heartbeat": 5}, "has an effect only with `workers`"),
    ],
)
def test_what_does_not_go_with_workers_is_refused(method: dict[str, object], said: str) -> None:
    with pytest.raises((ValidationError, ConfigError), match=said):
        experiment(method)


def test_a_method_with_workers_takes_reports_as_they_arrive_and_has_a_slot_for_each() -> None:
    setting = experiment({"search": "random", "workers": 5}).setting("e", "m")
    assert (setting.order, setting.slots) == ("arrival", 5)
    assert experiment({"search": "random", "workers": 5, "slots": 9}).setting("e", "m").slots == 9
    assert experiment({"search": "random", "workers": 5}).independent_trials("m") == 0, "no batches"


def experiment(method: dict[str, object]) -> Experiment:
    content = {"model": {"loop": "a:b"}, "objective": {"metric": "loss"}, "budget": {"trials": 9}}
    space = {"rate": {"uniform": [0.0, 1.0]}, "epochs": 4}
    return Experiment.model_validate({**content, "space": space, "methods": {"m": method}})
