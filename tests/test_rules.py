"""Searchers and stoppers of the user's own, as docs/your-rule.md has them; a new one of ours; tables made from the classes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rule_tables
from conftest import MPIEXEC, QUIET, ROOT, needs_mpi
from hypercurve.archive.making import make
from hypercurve.archive.packing import ArchiveError
from hypercurve.archive.verifying import command, verify
from hypercurve.cli import main
from hypercurve.config.files import ConfigError, read_experiment
from hypercurve.config.rules import Stop
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import read_lines
from hypercurve.runs.schedulers import make_searcher
from hypercurve.search.registry import SEARCHERS
from hypercurve.stopping.registry import STOPPERS
from hypercurve.stopping.stopper import Decision, Stopper
from hypercurve.testing.contract import CHECKS, cases
from results_data import call, make_results

PAGE = (ROOT / "docs" / "your-rule.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"This is `([^`]+)`:\n\n```\w+\n(.*?)```", PAGE, re.S))
EXPERIMENT = FILES["config/experiments/my-rule.yaml"]
SEARCHER = '''
from hypercurve.search.searcher import Searcher

class Halfway(Searcher):
    """Try a configuration between the best so far and a random one."""

    def __init__(self, options, context):
        super().__init__(options, context)
        self.best = None
        self.tried = {}

    def suggest(self, trial):
        from hypercurve.util.seeding import generator
        found = self.context.space.sample(generator(self.context.seed, self.context.repeat, "mine", trial))
        if self.best is not None:
            found["learning_rate"] = (found["learning_rate"] + self.best[1]["learning_rate"]) / 2
        self.tried[trial] = found
        return found

    def on_result(self, trial, progress, performance, completed):
        if completed and (self.best is None or performance > self.best[0]):
            self.best = performance, self.tried[trial]
'''


COUNTING = """
from hypercurve.search.searcher import Searcher, SearchOptions


class SlicesOptions(SearchOptions):
    @property
    def counts_trials(self):
        return True


class Slices(Searcher):
    \"\"\"One trial in the middle of each of as many slices as there are trials.\"\"\"

    Options = SlicesOptions
    independent = True

    def suggest(self, trial):
        return self.context.space.decode([(trial + 0.5) / self.context.trials] * len(self.context.space.variables))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the page's rule and a searcher beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "my_rules.py").write_text(FILES["my_rules.py"])
    (tmp_path / "my_searches.py").write_text(SEARCHER)
    yield tmp_path
    for name in ("my_rules", "my_searches"):
        sys.modules.pop(name, None)


def said(here: Path, text: str) -> str:
    (here / "my-rule.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_experiment(here / "my-rule.yaml")
    return str(caught.value).replace(f"{here}/", "")


def journal(path: Path) -> list[object]:
    return [without_wall(line) for line in read_lines(path)[0]]


def test_the_page_needs_less_than_forty_lines_of_code() -> None:
    assert set(FILES) == {"my_rules.py", "config/experiments/my-rule.yaml"}
    assert sum(len(text.splitlines()) for text in FILES.values()) < 40


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("factor: 1.2", "factr: 1.2", "my-rule.yaml:7: methods.ratio.stop.my_rules:Ratio.factr = 1.2: unknown key; allowed: factor; did you mean 'factor'?"),
        ("factor: 1.2", "factor: 0.5", "my-rule.yaml:7: methods.ratio.stop.my_rules:Ratio.factor = 0.5: must be above 1"),
        ("my_rules:Ratio", "my_rules:Ration", "my-rule.yaml:7: methods.ratio.stop.my_rules:Ration: module my_rules has no Ration; did you mean 'Ratio'?"),
        ("my_rules:Ratio", "my_rulez:Ratio", "my-rule.yaml:7: methods.ratio.stop.my_rulez:Ratio: there is no module my_rulez: neither my_rulez.py in "),
        ("my_rules:Ratio", "my_rules:RatioOptions", "methods.ratio.stop.my_rules:RatioOptions: is no Stopper: derive the class from hypercurve.stopping.stopper.Stopper"),
        ("my_rules:Ratio", "my_searches:Halfway", "is no Stopper"),
        ("my_rules:Ratio", "my rules:Ratio", "must be package.module:Class"),
        ('"my_rules:Ratio": {factor: 1.2}', "matching: {cost: 0.2}", 'methods.ratio.stop.matching: is called budget_halving now'),
        ('{"my_rules:Ratio": {factor: 1.2}}', "matching", 'my-rule.yaml:7: methods.ratio.stop = "matching": is called budget_halving now'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_of_ones_own_is_told_with_its_line(
    here: Path, old: str, new: str, message: str
) -> None:
    assert message in said(here, EXPERIMENT.replace(old, new))


def test_a_searcher_that_lacks_its_method_is_told_before_anything_runs(here: Path) -> None:
    (here / "my_searches.py").write_text(SEARCHER.replace("def suggest", "def sugest"))
    told = said(here, EXPERIMENT.replace("search: random, slots", 'search: "my_searches:Halfway", slots'))
    assert 'methods.ratio.search = "my_searches:Halfway": the class lacks suggest' in told


def test_a_searcher_may_depend_on_the_number_of_trials(here: Path) -> None:
    (here / "my_searches.py").write_text(COUNTING)
    given = EXPERIMENT.replace("search: random, slots", 'search: "my_searches:Slices", slots')
    (here / "my-rule.yaml").write_text(given)
    setting = read_experiment(here / "my-rule.yaml").setting("my-rule", "ratio")
    searcher = make_searcher(setting, 0)
    rates = [searcher.suggest(trial) for trial in range(20)]
    assert len({str(rate) for rate in rates}) == 20
    told = said(here, given.replace("{trials: 20}", "{seconds: 5}"))
    assert 'methods.ratio.search = "my_searches:Slices": needs a budget in trials, but it is in seconds' in told
    told = said(here, given.replace("{trials: 20}", "{trials: 20, at: [10]}"))
    assert "budget.at = [10]: ratio's configurations depend on the number of trials" in told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bad = loss", "bad = loss / 0", "my_rules:Ratio: on_report: ZeroDivisionError"),
        ("return Decision.STOP if bad else Decision.CONTINUE", "pass", "my_rules:Ratio: on_report returned None"),
        ("self.lowest = {}", "self.lowest = []", "my_rules.py:"),
    ],
)
def test_a_rule_that_fails_ends_the_run_with_its_own_error(
    here: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    (here / "my_rules.py").write_text(FILES["my_rules.py"].replace(old, new))
    (here / "my-rule.yaml").write_text(EXPERIMENT)
    call("resolve", "my-rule.yaml", "--method", "ratio", "-o", "setting.json")
    call("data", "digits", "--validation", 0.25, "-o", "data")
    assert main(["search", "setting.json", "--data", "data", "-o", "journal.jsonl"]) == 2
    assert message in capsys.readouterr().err


def test_rules_of_ones_own_hold_the_contract(here: Path) -> None:
    for kind in ("my_rules:Ratio", "my_searches:Halfway"):
        for number, setting in enumerate(cases(kind)):
            for check in CHECKS:
                check(setting, number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("self.lowest = {}", "self.lowest = globals().setdefault('kept', {})", "decisions"),
        ("else Decision.CONTINUE", "else Decision.PAUSE", "waiting"),
    ],
)  # fmt: skip
def test_the_contract_tells_what_a_rule_breaks(here: Path, old: str, new: str, check: str) -> None:
    (here / "my_rules.py").write_text(FILES["my_rules.py"].replace(old, new))
    done = subprocess.run(
        [sys.executable, "-m", "hypercurve.testing", "my_rules:Ratio"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert re.search(rf"BROKEN[^B]*{check}", done.stdout)


@pytest.mark.slow
class TestRuns:
    """One experiment with a searcher and a stopper of the user's own, through all that the package does with runs."""

    TEXT = EXPERIMENT + '  mine: {search: "my_searches:Halfway", slots: 2, stop: {"my_rules:Ratio": {}}}\n'

    def test_killed_anywhere_it_ends_as_if_it_had_not_been(self, here: Path) -> None:
        results = make_results(here, self.TEXT, "my-rule")
        data = next(path for path in (here / "results" / "data").iterdir() if path.is_dir())
        for method in ("ratio", "mine"):
            folder = results / "runs" / method
            whole, again = folder / "0" / "journal.jsonl", here / method / "journal.jsonl"
            assert "stopped" in (folder / "0" / "trials.csv").read_text()
            lines = whole.read_text().splitlines(keepends=True)
            again.parent.mkdir()
            for cut in (1, len(lines) // 2, len(lines) - 1):
                again.with_name("journal.partial.jsonl").write_text("".join(lines[:cut]))
                again.unlink(missing_ok=True)
                call("search", folder / "setting.json", "--data", data, "-o", again)
                assert journal(again) == journal(whole)

    def test_its_digest_stands_in_the_journal_and_another_file_begins_anew(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        results = make_results(here, self.TEXT, "my-rule")
        first = [json.loads((results / f"runs/{m}/0/journal.jsonl").open().readline()) for m in ("random", "ratio")]
        assert "rules" not in first[0], "journals without rules of one's own stay as they were"
        assert re.fullmatch("[0-9a-f]{16}", first[1]["rules"])
        (here / "my_rules.py").write_text(FILES["my_rules.py"] + "CHANGED = 1\n")
        run = results / "runs" / "ratio" / "0"
        (run / "journal.jsonl").rename(run / "journal.partial.jsonl")
        data = next(path for path in (here / "results" / "data").iterdir() if path.is_dir())
        call("search", run.parent / "setting.json", "--data", data, "-o", run / "journal.jsonl")
        assert "begun with other rules" in capsys.readouterr().err

    def test_archives_hold_it_and_strangers_code_is_not_imported(
        self, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        results = make_results(here, self.TEXT, "my-rule")
        make(results, here / "a.tar.gz")
        (here / "my_rules.py").write_text(FILES["my_rules.py"] + "CHANGED = 1\n")
        with pytest.raises(ArchiveError, match="rules were changed"):
            make(results, here / "b.tar.gz")
        (here / "my_rules.py").write_text(FILES["my_rules.py"])
        for name in ("my_rules", "my_searches"):
            sys.modules.pop(name)
            trap = f"open({str(here / 'imported')!r}, 'w')\n" + (here / f"{name}.py").read_text()
            (here / "elsewhere").mkdir(exist_ok=True)
            (here / "elsewhere" / f"{name}.py").write_text(trap)
        monkeypatch.chdir(here / "elsewhere")
        monkeypatch.setattr(sys, "path", [str(here / "elsewhere"), *sys.path[1:]])
        verdict = verify(here / "a.tar.gz", here / "opened")
        assert verdict.problems == []
        assert verdict.results.unchecked == {"my_rules:Ratio", "my_searches:Halfway"}
        command(here / "a.tar.gz")
        assert "my_rules:Ratio, my_searches:Halfway decided was not decided anew" in capsys.readouterr().err
        with pytest.raises(ArchiveError, match="my_rules:Ratio"):
            command(here / "a.tar.gz", "ratio/0")
        assert not (here / "imported").exists()
        with pytest.raises(ArchiveError, match="is not the code that decided"):
            command(here / "a.tar.gz", "ratio/0", trust=True)
        assert (here / "imported").exists()
        for name in ("my_rules", "my_searches"):
            sys.modules.pop(name)
        monkeypatch.chdir(here)
        monkeypatch.setattr(sys, "path", [str(here), *sys.path[1:]])
        command(here / "a.tar.gz", "mine/0", trust=True)
        assert "rerun           mine/0" in capsys.readouterr().out

    def test_recorded_curves_are_replayed_with_it(self, here: Path) -> None:
        results = make_results(here, self.TEXT, "my-rule")
        replayed = here / "replayed"
        for processes in (1, 2):
            method = 'ratio={search: random, stop: {"my_rules:Ratio": {factor: 1.2}}}'
            given = ("--method", method, "--repeats", 12, "--jobs", processes, "-o", replayed)
            call("replay", results / "runs" / "random", *given)
            assert "ratio" in (replayed / "replay.csv").read_text()

    @pytest.mark.slow
    @needs_mpi
    def test_over_mpi_the_journal_is_the_same(self, here: Path) -> None:
        results = make_results(here, self.TEXT, "my-rule")
        data = next(path for path in (here / "results" / "data").iterdir() if path.is_dir())
        for method in ("ratio", "mine"):
            folder = results / "runs" / method
            run = [sys.executable, "-m", "hypercurve", "search", str(folder / "setting.json"), "--data", str(data)]
            subprocess.run(
                [str(MPIEXEC), "--oversubscribe", "-n", "2", *run, "--tasks", "2", "-o", f"{method}.jsonl"],
                env=os.environ | QUIET | {"PYTHONPATH": str(ROOT / "workflow")},
                check=True,
                timeout=300,
            )
            assert journal(here / f"{method}.jsonl") == journal(folder / "0" / "journal.jsonl")


class EveryOther(Stopper):
    """Stop every other trial at the first point."""

    def on_report(self, trial: int, progress: float, loss: float) -> Decision:
        return Decision.STOP if trial % 2 and progress == self.context.points[0] else Decision.CONTINUE


def test_a_stopper_of_ours_is_one_class_and_one_line_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STOPPERS, "every_other", EveryOther)
    for setting in cases("every_other"):
        for check in CHECKS:
            check(setting, 1)
    text = EXPERIMENT.replace('{"my_rules:Ratio": {factor: 1.2}}', "every_other")
    trials = (make_results(tmp_path, text, "one") / "runs" / "ratio" / "0" / "trials.csv").read_text()
    assert trials.count("stopped") == 10
    assert "every_other" in json.dumps(Stop.model_json_schema())
    assert "| `every_other` | Stop every other trial at the first point. |" in rule_tables.TABLES["stoppers"]()


@pytest.mark.parametrize("page", rule_tables.PAGES)
def test_tables_of_rules_are_up_to_date(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text == rule_tables.up_to_date(text), f"{page} is out of date: run `make schema`"


@pytest.mark.parametrize("kind", [*SEARCHERS, *STOPPERS])
def test_the_page_of_methods_has_every_rule(kind: str) -> None:
    assert f"\n| `{kind}` |" in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8"), "it needs a row there"


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path: Path) -> None:
    for name in ("Snakefile", "rules", "workflow", "profiles", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "config" / "experiments").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "config" / "config.yaml").write_text(
        "experiments: [my-rule]\nfolder: config/experiments\nresults: results\n"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "workflow")}
    [commands] = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    for line in commands.splitlines():
        done = subprocess.run(line.split(), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    assert "ratio" in (tmp_path / "results" / "my-rule" / "comparison.csv").read_text()
    planned = ["snakemake", "--cores", "1", "--dry-run", "results/my-rule/comparison.csv"]
    (tmp_path / "my_rules.py").write_text(FILES["my_rules.py"] + "CHANGED = 1\n")
    done = subprocess.run(planned, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert "results/my-rule/runs/ratio/0/journal.jsonl" in done.stdout
    assert "results/my-rule/runs/random/0/journal.jsonl" not in re.sub(r"input:.*", "", done.stdout)
