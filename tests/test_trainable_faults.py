"""What loops and programs of users do wrong, and what becomes of it: failed trials with reasons, and nothing left behind."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT
from hypercurve.config.code_files import model_digest
from hypercurve.config.experiment import Experiment
from hypercurve.config.files import ConfigError, read_experiment
from hypercurve.config.model import CommandSpec, KerasSpec, LoopSpec, filled
from hypercurve.config.objective import TRAINING_LOSS
from hypercurve.config.setting import Setting
from hypercurve.events.events import Completed, Event, Failed
from hypercurve.execution.advance import ReportCheck, advance
from hypercurve.runs.trial import Trial
from hypercurve.training import make_trainer
from hypercurve.training.command import CommandTrainer
from hypercurve.training.loop import LoopTrainer
from hypercurve.training.program import LARGEST_LOG
from hypercurve.training.trainer import Session
from hypercurve.training.user_states import state_in, vector_of
from hypercurve.util.errors import UserError

pytestmark = pytest.mark.slow

FAULT = [sys.executable, "user_models.py", "{fault}", "{epochs}"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "tests" / "user_models.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    # With it, Python itself loses the rest of what a program that is paused was printing.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    return tmp_path


def setting(model: dict[str, Any], population: bool = False, **changes: Any) -> Setting:
    methods = {"a": {"population": {"every": 1, "members": 3}} if population else {"search": "random"}}
    given = {"model": model, "objective": {"metric": "loss"}, "space": {"epochs": 3}, "budget": {"trials": 3}}
    return Experiment.model_validate(given | {"methods": methods} | changes).setting("faults", "a")


def outcome(session: Session, given: Setting) -> Event:
    """What comes of a trial that is trained in thirds."""
    for point in (1 / 3, 2 / 3, 1.0):
        (event, *_), _ = advance(lambda: session, 0, point, ReportCheck.of(given), 0)
        if isinstance(event, Failed):
            break
    return event


@pytest.mark.parametrize(
    ("fault", "progress", "reason"),
    [
        ("none", 1.0, None),
        ("nothing", 1 / 3, "user_models:faulty gave NoneType, no generator: it must yield metrics"),
        ("raises", 2 / 3, "ValueError: as it is meant to"),
        ("exits", 2 / 3, "SystemExit: 3"),
        ("stops", 2 / 3, "yielded 1 times; epochs = 3"),
        ("too many", 1.0, "yielded more than epochs = 3 times"),
        ("no mapping", 2 / 3, "epoch 2: reported [1.0], which is no mapping of metrics"),
        ("no loss", 2 / 3, "epoch 2: reported no loss, only val_loss"),
        ("no number", 2 / 3, "epoch 2: loss = 'small' is no number"),
        ("bad name", 2 / 3, "epoch 2: reported 'val loss', which cannot be a metric's name"),
        ("diverges", 2 / 3, "diverged: loss is nan"),
        ("no objective", 1.0, "the trainer reported no val_loss, which is the objective; it reported loss"),
    ],
)
def test_faults_of_a_loop_fail_its_trial_with_a_reason(fault: str, progress: float, reason: str | None) -> None:
    given = setting({"loop": "user_models:faulty"}).model_copy(update={"curve": TRAINING_LOSS})
    trainer = make_trainer(given, None)
    opened: list[Session] = []

    def session() -> Session:
        if not opened:
            opened.append(trainer.open(Trial(0, {"epochs": 3, "fault": fault})))
        return opened[0]

    for point in (1 / 3, 2 / 3, 1.0):
        (event, *_), _ = advance(session, 0, point, ReportCheck.of(given), 0)
        if isinstance(event, Failed):
            break
    if reason is None:
        assert isinstance(event, Completed)
    else:
        assert event == Failed(0, progress, reason)


@pytest.mark.parametrize(
    ("fault", "progress", "reason"),
    [
        ("none", 1.0, None),
        ("rubbish", 2 / 3, "epoch 2: printed 'epoch 2: all is well', which is no JSON object"),
        ("list", 2 / 3, "epoch 2: printed '[1]', which is no JSON object"),
        ("exits", 2 / 3, "ended with exit code 3 after 1 of 3 epochs; see programs/0.log"),
        ("crashes", 2 / 3, "was ended by signal SIGSEGV after 1 of 3 epochs"),
        ("ends", 2 / 3, "ended with exit code 0 after 1 of 3 epochs"),
        ("long", 2 / 3, "printed a line of more than 1048576 bytes"),
        ("too many", 1.0, "printed more than 3 lines, one for each epoch"),
        ("late", 1.0, "ended with exit code 4 after its last line"),
        ("talks", 1.0, None),
        ("terminated", 1.0, None),
        ("terminated late", 1.0, None),
        ("killed once", 1.0, None),
        ("killed", 2 / 3, "was ended by signal SIGKILL after 1 of 3 epochs"),
    ],
)
def test_faults_of_a_program_fail_its_trial_with_a_reason(
    fault: str, progress: float, reason: str | None, home: Path
) -> None:
    given = setting({"command": [argument.replace("{fault}", fault) for argument in FAULT]})
    trainer = make_trainer(given, None, home / "programs")
    event = outcome(trainer.open(Trial(0, {"epochs": 3})), given)
    if reason is None:
        assert isinstance(event, Completed)
    else:
        assert event == Failed(0, progress, reason)
    log = home / "programs" / "0.log"
    if fault == "exits":
        assert log.read_text() == "no more memory\n"
    if fault == "talks":
        assert LARGEST_LOG <= log.stat().st_size < LARGEST_LOG + 100


def test_a_program_that_hangs_is_killed_with_all_that_it_started(home: Path) -> None:
    model = {
        "command": [argument.replace("{fault}", "stubborn") for argument in FAULT],
        "timeout": 2,
        "grace": 0.1,
    }
    given = setting(model)
    trainer = make_trainer(given, None, home / "programs")
    session = trainer.open(Trial(0, {"epochs": 3}))
    session.advance(1 / 3)
    group = session._program._process.pid  # type: ignore[attr-defined]
    event = outcome(session, given)
    assert event == Failed(0, 2 / 3, "printed nothing for 2 s (`timeout`)")
    del session
    assert gone(group)


def test_a_stopped_trials_program_ends_and_leaves_no_zombie() -> None:
    given = setting({"command": [argument.replace("{fault}", "none") for argument in FAULT]})
    trainer = make_trainer(given, None)
    groups = []
    for number in range(5):
        session = trainer.open(Trial(number, {"epochs": 3}))
        session.advance(1 / 3)
        groups.append(session._program._process.pid)  # type: ignore[attr-defined]
        assert eventually(lambda: state_of(groups[-1]) == "T"), "it is stopped while nobody waits for its next line"
        del session
    for group in groups[:-1]:
        assert gone(group)
    files = open_files()
    for number in range(5):
        trainer.open(Trial(number, {"epochs": 3})).advance(1.0)
    assert open_files() <= files


def test_a_child_that_keeps_the_output_open_is_not_waited_for() -> None:
    command = [argument.replace("{fault}", "heirs") for argument in FAULT]
    given = setting({"command": command, "grace": 0.2, "timeout": 600})
    session = make_trainer(given, None).open(Trial(0, {"epochs": 3}))
    start = time.monotonic()
    session.advance(1 / 3)
    group = session._program._process.pid  # type: ignore[attr-defined]
    assert isinstance(outcome(session, given), Completed)
    assert time.monotonic() - start < 60
    assert gone(group), "the child ends with its parent"


def test_what_a_program_prints_last_is_read_though_another_process_prints_it() -> None:
    line = '{"loss": 1.0, "val_loss": 1.0}'
    script = f"(sleep 0.5; for i in 1 2 3; do echo '{line.replace('{', '{{').replace('}', '}}')}'; done) & exit 0"
    given = setting({"command": ["sh", "-c", script]})
    assert isinstance(outcome(make_trainer(given, None).open(Trial(0, {"epochs": 3})), given), Completed)


def test_a_program_that_only_talks_times_out() -> None:
    given = setting({"command": ["sh", "-c", "yes >&2"], "timeout": 0.5, "grace": 0})
    event = outcome(make_trainer(given, None).open(Trial(0, {"epochs": 3})), given)
    assert isinstance(event, Failed)
    assert event.reason == "printed nothing for 0.5 s (`timeout`)"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="daemons are found in Linux's /proc")
def test_daemons_end_with_the_trial_that_started_them(home: Path) -> None:
    given = setting({"command": [argument.replace("{fault}", "daemon") for argument in FAULT], "grace": 0.1})
    trainer = make_trainer(given, None)
    started = []
    for _ in range(2):
        session = trainer.open(Trial(0, {"epochs": 3}))
        session.advance(2 / 3)
        note = home / f"daemon-{session._program._process.pid}"  # type: ignore[attr-defined]
        started.append(int(note.read_text()))
    assert state_of(started[1]) not in ("", "Z")
    assert eventually(lambda: state_of(started[0]) in ("", "Z")), "its trial was let go"
    assert state_of(started[1]) not in ("", "Z"), "that of another trial goes on"
    del session, trainer
    assert eventually(lambda: state_of(started[1]) in ("", "Z"))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_programs_end_when_we_are_killed(how: signal.Signals, home: Path) -> None:
    code = f"""
import os, time
from hypercurve.config.model import CommandSpec
from hypercurve.runs.trial import Trial
from hypercurve.training.command import CommandTrainer
trainer = CommandTrainer(CommandSpec(command={tuple(FAULT)!r}), None)
session = trainer.open(Trial(0, {{"epochs": 3, "fault": "none"}}))
session.advance(1 / 3)
print(session._program._process.pid, trainer.programs.folder, flush=True)
time.sleep(600)
"""
    ours = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=home)
    assert ours.stdout is not None
    group, folder = ours.stdout.readline().split()
    assert eventually(lambda: state_of(int(group)) == "T")
    ours.send_signal(how)
    ours.communicate(timeout=60)
    assert gone(int(group))
    assert eventually(lambda: not Path(folder).exists())


def state_of(process: int) -> str:
    """The state of a process as Linux tells it; empty if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(group: int) -> bool:
    """Whether nothing is left of a process group, soon."""

    def left() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, member, *_ = path.read_text().rpartition(")")[2].split()
            except (OSError, ValueError):
                continue
            if int(member) == group and state != "Z":
                found.append(state)
        return found

    return eventually(lambda: not left())


def eventually(true: Callable[[], bool]) -> bool:
    for _ in range(600):
        if true():
            return True
        time.sleep(0.1)
    return False


# Populations


TOLD = """\
import json, sys
from pathlib import Path
from user_models import Loop

class Told(Loop):
    def adjust(self, hyperparameters):
        assert self.context.since == 1

    def train(self):
        for report in super().train():
            yield {**report, "since": self.context.since}

if __name__ == "__main__":
    resume, until, since, snapshot, rate = sys.argv[1:]
    for _ in range(len(Path(resume).read_text()) if resume else 0, int(until)):
        print(json.dumps({"loss": 1, "val_loss": 1, "since": int(since)}), flush=True)
    Path(snapshot).write_text("x" * int(until))
"""


def test_loops_and_programs_are_told_since_when_their_hyperparameters_hold(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(home))
    (home / "told.py").write_text(TOLD)
    space = {"epochs": 3, "learning_rate": {"uniform": [0.1, 0.3]}}
    told = ["{resume}", "{until}", "{since}", "{snapshot}", "{learning_rate}"]
    for model in ({"loop": "told:Told"}, {"command": [sys.executable, "told.py", *told]}):
        trainer = make_trainer(setting(model, population=True, space=space), None)
        member = trainer.open(Trial(0, {"epochs": 3, "learning_rate": 0.1}))
        assert member.advance(1 / 3).metrics["since"] == 0
        member.restore(member.snapshot())
        member.adjust({"epochs": 3, "learning_rate": 0.2}, 1)
        assert member.advance(2 / 3).metrics["since"] == 1
        assert member.advance(1.0).metrics["since"] == 1


def test_states_of_different_sizes_are_an_error_with_the_reason(home: Path) -> None:
    given = setting({"loop": "user_models:Shapeless"}, population=True, space={"epochs": 3, "learning_rate": 0.1})
    trainer = make_trainer(given, None)
    one, two = (trainer.open(Trial(number, {"epochs": 3, "learning_rate": 0.1})) for number in (0, 1))
    one.advance(1 / 3)
    two.advance(1 / 3)
    out = np.empty(sum(map(len, (one.snapshot().weights, one.snapshot().slots))), np.float32)
    with pytest.raises(UserError, match="members of a population exchange states"):
        two.snapshot(out)


def test_a_loop_without_a_state_is_no_population() -> None:
    given = setting({"loop": "user_models:function"}, population=True)
    with pytest.raises(UserError, match="has no save, load, adjust: members of a population exchange states"):
        make_trainer(given, None)


def test_states_come_back_from_vectors_bit_for_bit() -> None:
    arrays = {
        "weights": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        "step": np.int64(2**62 + 1),
        "names": np.array(["a", "bc"]),
        "empty": np.empty((0, 3)),
    }
    back = state_in(vector_of(arrays))
    assert isinstance(back, dict)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == np.asarray(array).dtype
        assert back[name].shape == np.shape(array)
    content = bytes(range(256)) * 3
    assert state_in(vector_of(content)) == content
    longer = np.concatenate([vector_of(content), np.ones(100, np.float32)])
    assert state_in(longer) == content, "what stands behind it is passed over"
    with pytest.raises(TypeError, match="no array of numbers"):
        vector_of({"model": object()})
    with pytest.raises(TypeError, match="bytes or a dict"):
        vector_of([1.0])  # type: ignore[arg-type]


# The experiment file


def problems(text: str, home: Path) -> str:
    path = home / "experiment.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as found:
        read_experiment(path)
    return str(found.value).replace(f"{path}:", "")


LOOP = """\
model: {loop: user_models:Loop}
space: {learning_rate: {uniform: [0.0, 1.0]}, epochs: 3}
budget: {trials: 5}
methods: {a: {search: random}}
"""
COMMAND = LOOP.replace(
    "{loop: user_models:Loop}", "{command: [./logistic, '--rate={learning_rate}', '--epochs={epochs}']}"
)


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (LOOP, "user_models:Loop", "user_models", "1: model.loop"),
        (LOOP, "loop:", "lop:", "1: model.lop"),
        (LOOP, "user_models:Loop}", "user_models:Loop, timeout: 3}", "unknown option of loop 'timeout'"),
        (
            LOOP,
            "{loop: user_models:Loop}",
            "{loop: 'a:b', command: [c]}",
            "expected one kind of model, got loop and command",
        ),
        (LOOP, ", epochs: 3", "", "space.epochs: is required"),
        (LOOP, "epochs: 3", "epochs: 3, cost: 1", "2: space.cost = 1: is the name of a column"),
        (LOOP, "epochs: 3", "epochs: 2.5", "2: space.epochs"),
        (LOOP, "{trials: 5}", "{samples: 1000}", "3: budget.samples = 1000: are not known of a loop or program"),
        (LOOP, "{trials: 5}", "{trials: 5}\ncost: {step: 0}", "4: cost.step = 0: must be above 0"),
        (LOOP, "{trials: 5}", "{trials: 5}\nobjective: {metric: recall}", "4: objective: needs `mode`"),
        (LOOP, "{trials: 5}", "{trials: 5}\nobjective: {metric: val_f1, mode: max}", "write the name without val_"),
        (LOOP, "{trials: 5}", "{trials: 5}\nconstraints: {size: {}}", "4: constraints.size: needs `min` or `max`"),
        (LOOP, "{trials: 5}", "{trials: 5}\nconstraints: {size: {max: big}}", "4: constraints.size.max"),
        (LOOP, "{trials: 5}", "{trials: 5}\nconstraints: {test_loss: {max: 1}}", "takes no part in a search"),
        (COMMAND, "{epochs}", "{epoch}", "unknown placeholder {epoch}; did you mean 'epochs'?"),
        (COMMAND, "--epochs={epochs}", "{", "a single brace"),
        (COMMAND, "--rate={learning_rate}", "--rate=1", "is not told learning_rate, which varies"),
        (COMMAND, "--epochs={epochs}", "{data}", "{data} is given nothing: the experiment has no `data`"),
        (COMMAND, "--epochs={epochs}", "{until}", "lacks {resume} and {snapshot}"),
        (COMMAND, "./logistic", "'{epochs}'", "the program itself cannot hold placeholders"),
        (COMMAND, "[./logistic, '--rate={learning_rate}', '--epochs={epochs}']", "[]", "1: model.command"),
        (COMMAND, "{search: random}", "{population: {every: 1}}", "must have {resume}, {snapshot} and {until}"),
        (LOOP, "epochs: 3", "epochs: 3, kind: {choice: [a, b]}", None),
    ],
)
def test_what_is_wrong_with_an_experiment_is_told(text: str, old: str, new: str, said: str | None, home: Path) -> None:
    assert text.count(old) == 1
    if said is None:
        (home / "experiment.yaml").write_text(text.replace(old, new))
        read_experiment(home / "experiment.yaml")
    else:
        assert said in problems(text.replace(old, new), home)


def test_all_mistakes_around_a_command_are_told_at_once(home: Path) -> None:
    text = COMMAND.replace("{trials: 5}", "{trials: 5, samples: 4}\nconstraints: {size: {mx: 3}}").replace(
        "epochs}", "epoch}"
    )
    said = problems(text, home)
    assert "unknown placeholder {epoch}" in said
    assert "budget: needs exactly one of trials, seconds, samples" in said
    assert "constraints.size.mx = 3: unknown key; allowed: min, max" in said
    assert "data: is required" not in said


def test_texts_cannot_differ_in_a_population(home: Path) -> None:
    text = LOOP.replace("epochs: 3", "epochs: 3, kind: {choice: [a, b]}").replace(
        "{search: random}", "{population: {every: 1}}"
    )
    assert "kind must be a constant" in problems(text, home)


def test_arguments_are_filled_and_left_out_where_a_value_is_missing() -> None:
    values = {"rate": "0.1", "resume": ""}
    assert filled("--rate={rate}", values) == "--rate=0.1"
    assert filled("{resume}", values) == ""
    assert filled("{{{rate}}}", values) == "{0.1}"
    assert filled("--momentum={momentum}", values) is None


def test_a_model_is_known_by_its_files_without_importing_them(home: Path) -> None:
    (home / "mine").mkdir()
    module, helper = home / "mine" / "model.py", home / "helper.py"
    module.write_text("raise RuntimeError('imported')")
    helper.write_text("")
    spec = LoopSpec(loop="mine.model:train", files=("helper.py",))
    before = model_digest(spec)
    assert before == model_digest(spec)
    helper.write_text("changed = 1")
    between = model_digest(spec)
    helper.write_text("# why\n\nchanged = 1  # what\n")
    assert between == model_digest(spec)
    module.write_text("")
    assert len({before, between, model_digest(spec)}) == 3
    with pytest.raises(UserError, match=r"there is no module 'mine\.modle'"):
        model_digest(LoopSpec(loop="mine.modle:train"))
    with pytest.raises(UserError, match="there is no program 'no-such-program'"):
        CommandTrainer(CommandSpec(command=("no-such-program",)), None)
    module.write_text("raise RuntimeError('imported')")
    with pytest.raises(UserError, match=r"mine\.model cannot be imported: RuntimeError: imported"):
        LoopTrainer(spec, None)


def test_a_report_beyond_what_a_snapshot_holds_fails_its_trial(home: Path) -> None:
    (home / "talkative.py").write_text(
        "def train(hyperparameters, context):\n"
        "    for _ in range(context.epochs):\n"
        "        yield {'loss': 1.0, 'val_loss': 1.0} | {f'recall_of_class_{n:04}': 0.5 for n in range(1000)}\n"
    )
    given = setting({"loop": "talkative:train"})
    event = outcome(make_trainer(given, None).open(Trial(0, {"epochs": 3})), given)
    assert isinstance(event, Failed)
    assert "bytes is more than" in event.reason


def test_a_program_that_prints_blank_lines_for_ever_times_out() -> None:
    given = setting({"command": ["sh", "-c", "yes ''"], "timeout": 0.5})
    event = outcome(make_trainer(given, None).open(Trial(0, {"epochs": 3})), given)
    assert isinstance(event, Failed)
    assert event.reason.startswith("printed nothing for 0.5 s")


def test_losses_and_metrics_of_users_are_part_of_the_code(home: Path) -> None:
    (home / "losses.py").write_text("def focal(y, p): ...\n")
    spec = KerasSpec(keras="user_models:network", loss="losses:focal")
    before = model_digest(spec)
    (home / "losses.py").write_text("def focal(y, p): return 0\n")
    assert model_digest(spec) != before
    with pytest.raises(UserError, match=r"model\.metrics: there is no module 'nowhere'"):
        model_digest(KerasSpec(keras="user_models:network", metrics=("nowhere:f1",)))
