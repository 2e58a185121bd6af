"""Comments are no code, and a user may say that changed code trains as before."""

import inspect
import json
import linecache
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hypercurve
from conftest import ROOT
from hypercurve.cli import main
from hypercurve.config.code_files import SAME_CODE, same_code
from hypercurve.util.errors import UserError
from hypercurve.util.user_code import code_sum

LOOP = """
def train(hyperparameters, context):
    with open("epochs", "a") as log:
        for epoch in range(context.epochs):
            log.write("x")
            loss = hyperparameters["rate"] / (epoch + 1)
            yield {"loss": loss, "val_loss": loss}
"""
EXPERIMENT = """
model: {loop: "mine:train"}
objective: {metric: loss}
space: {rate: {uniform: [0.0, 1.0]}, epochs: 2}
budget: {trials: 5}
training: {accumulation_points: 2}
methods: {random: {search: random}, lcm: {search: random, stop: {lcm: {check_points: [0.5]}}}}
"""


def test_comments_and_blank_lines_are_no_code_but_strings_are() -> None:
    plain = b'def f(x):\n    s = """a\n\n# b\n"""\n    return (x,\n            s)\n'
    noted = (
        b'# y\n\ndef f(x):  # what\n\n    # so\n    s = """a\n\n# b\n"""\n    return (x,  #\n\n            s)\n# end\n'
    )
    assert code_sum("f.py", plain) == code_sum("f.py", noted)
    assert code_sum("f.py", plain) != code_sum("f.py", plain.replace(b"\n\n# b", b"\n# b"))
    assert code_sum("f.py", plain) != code_sum("f.py", plain.replace(b"# b", b"# c"))
    assert code_sum("f.c", plain) != code_sum("f.c", noted)
    broken = b"def f(:\n    # a\n"
    assert code_sum("f.py", broken) != code_sum("f.py", broken + b"# b\n")


@given(st.sampled_from(sorted((ROOT / "workflow" / "hypercurve").rglob("*.py"))), st.data())
def test_a_comment_after_any_line_that_is_no_string_changes_nothing(path: Path, data: st.DataObject) -> None:
    source = path.read_bytes()
    with path.open("rb") as file:
        ends = [token.end[0] for token in tokenize.tokenize(file.readline) if token.type == tokenize.NEWLINE]
    if not ends:
        return
    lines = source.splitlines(keepends=True)
    row = data.draw(st.sampled_from(ends))
    lines[row - 1] = lines[row - 1].rstrip() + b"  # noted\n\n      # here, too\n"
    assert code_sum("f.py", b"".join(lines)) == code_sum("f.py", source)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("mine", None)
    Path("mine.py").write_text(LOOP)
    Path("mine.yaml").write_text(EXPERIMENT)
    yield tmp_path
    sys.modules.pop("mine", None)


def search(method: str = "random", *options: str) -> int:
    """Carry out a run as the workflow does; the number of epochs that it trained."""
    Path("epochs").write_text("")
    folder = Path("results/mine/runs") / method
    if not folder.exists():
        folder.mkdir(parents=True)
        assert main(["resolve", "mine.yaml", "--method", method, "-o", str(folder / "setting.json")]) == 0
    assert main(["search", str(folder / "setting.json"), "-o", str(folder / "0" / "journal.jsonl"), *options]) == 0
    return len(Path("epochs").read_text())


def test_a_changed_comment_trains_nothing_and_changed_code_all(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search() == 10
    Path("mine.py").write_text(LOOP + "# noted\n")
    assert search() == 0
    Path("mine.py").write_text(LOOP + "NOTED = True\n")
    capsys.readouterr()
    assert search() == 10
    said = capsys.readouterr().err
    assert "made with other model, training; kept as" in said
    assert "--keep-code" in said
    Path("mine.py").write_text(LOOP)
    assert search() == 0, "and what the code before has trained is taken again"


@pytest.mark.parametrize("how", ["check", "search"])
def test_what_was_recorded_counts_for_code_that_trains_as_before(
    home: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    assert search() == 10
    before = Path("results/mine/runs/random/0/journal.jsonl").read_bytes()
    Path("mine.py").write_text(LOOP.replace("epoch", "round"))
    if how == "check":
        assert main(["check", "mine.yaml", "--keep-code"]) == 0
        assert "counts for" in capsys.readouterr().out
        assert search() == 0
    else:
        assert search("random", "--keep-code") == 0
    assert Path("results/mine/runs/random/0/journal.jsonl").read_bytes() == before
    assert search("lcm") == 0, "and from now on, for all methods"
    Path("mine.py").write_text(LOOP + "NOTED = True\n")
    assert search() == 10, "but not for what comes later"


def test_what_was_kept_is_kept_over_several_changes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "mine.yaml", "--keep-code"]) == 0
    assert "nothing was recorded with other code" in capsys.readouterr().out
    assert search() == 10
    for number in range(3):
        Path("mine.py").write_text(LOOP + f"NOTED = {number}\n")
        assert main(["check", "mine.yaml", "--keep-code"]) == 0
        assert search() == 0
    assert len(set(same_code(Path("results/mine")).values())) == 1


def test_a_damaged_list_of_what_counts_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search() == 10
    for text in ("{", "[]", '{"a": 1}'):
        (home / "results" / "mine" / SAME_CODE).write_text(text)
        with pytest.raises(UserError, match=SAME_CODE):
            same_code(home / "results" / "mine")
        folder = "results/mine/runs/random"
        assert main(["search", f"{folder}/setting.json", "-o", f"{folder}/0/journal.jsonl"]) == 2
        assert SAME_CODE in capsys.readouterr().err


def test_from_python_a_comment_is_nothing_and_a_change_can_be_kept(tmp_path: Path) -> None:
    file, calls = tmp_path / "study.py", []

    def tune(source: str, **options: Any) -> int:
        file.write_text(source)
        names: dict[str, Any] = {"calls": calls}
        exec(compile(source, str(file), "exec"), names)  # a session of its own each time
        linecache.checkcache(str(file))
        assert inspect.getsource(names["f"]) in source
        calls.clear()
        hypercurve.tune(names["f"], {"x": {"uniform": [0.0, 1.0]}}, trials=6, folder=tmp_path / "study", **options)
        return len(calls)

    plain = "def f(h):\n    calls.append(1)\n    return h['x']\n"
    assert tune(plain) == 6
    assert tune("def f(h):\n    calls.append(1)  # counted\n\n    # given back\n    return h['x']\n") == 0
    other = "def f(h):\n    calls.append(1)\n    x = h['x']\n    return x\n"
    assert tune(other, keep_code=True) == 0
    assert tune(other) == 0
    assert tune(other.replace("return x", "return -x")) == 6
    assert json.loads((tmp_path / "study" / SAME_CODE).read_text())
