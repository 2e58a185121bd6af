"""examples/hypercurve.h and the networks that are written with it, in C and C++."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import CC, ROOT
from hypercurve.cli import main
from hypercurve.config.model import CommandSpec
from hypercurve.events.encoding import without_wall
from hypercurve.events.journal import read_lines
from hypercurve.runs.trial import Trial
from hypercurve.training.staying import StayingTrainer

CXX = shutil.which("c++")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CC is None or CXX is None, reason="there is no compiler")]

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{ROOT / 'examples'}"]
PROBE = """
#include "hypercurve.h"

int main(int count, char **arguments) {
    hc_program p;
    char state[3];
    const char *name = "a \\"b\\" \\xc3\\xa9 \\xf0\\x9f\\x98\\x80";
    const char *names[] = {"x_train", "y_train", "x_test"};
    hc_open(&p, 0);
    printf("%s %s\\n", hc_option(count, arguments, "folder", "none"), hc_option(count, arguments, "fold", "none"));
    fflush(stdout);
    for (;;)
        switch (hc_next(&p)) {
        case HC_BEGIN:
            if (hc_number(&p, "load", 0))
                hc_load(&p, state, sizeof state);
            break;
        case HC_TRAIN: {
            double sum[3] = {0, 0, 0};
            for (int i = 0; p.data && i < 3; i++) {
                hc_array array = hc_read(p.data, names[i]);
                for (size_t j = 0; j < array.size; j++)
                    sum[i] += (double)(j % 7 + 1) * hc_at(&array, j);
                sum[i] += 1e6 * (double)array.shape[array.dimensions - 1];
            }
            hc_report(&p, "x", sum[0], "y", sum[1], "test", sum[2], "rate", hc_number(&p, "rate", -1), "flag",
                      hc_number(&p, "flag", -1), "named", (double)hc_is(&p, "name", name), "seed", (double)p.seed,
                      "bytes", (double)p.bytes, "scale", p.data ? hc_about(p.data, "scale", -1) : 0, NULL);
            break;
        }
        case HC_SAVE: hc_fail(&p, "no \\"state\\"");
        default: return 0;
        }
}
"""


@pytest.mark.parametrize(("compiler", "suffix"), [([CC, "-std=c99"], "c"), ([CXX, "-std=c++11"], "cpp")])
def test_the_header_reads_requests_and_arrays(compiler: list[str], suffix: str, prepared: Path, tmp_path: Path) -> None:
    source = tmp_path / f"probe.{suffix}"
    source.write_text(PROBE)
    subprocess.run([*compiler, *STRICT, "-o", str(tmp_path / "probe"), str(source)], check=True)
    given = {"a": 1, "rate": 1.5e-3, "flag": True, "name": 'a "b" é 😀', "z": {"rate": [7, "}"]}}
    folder = tmp_path / 'folder "é"'
    shutil.copytree(prepared, folder)
    begin = {
        "x": {"seed": 1},
        "do": "begin",
        "hyperparameters": given,
        "seed": 2**31 - 1,
        "data": str(folder),
        "bytes": 3,
    }
    requests = [
        json.dumps(begin).encode() + b"\n\n{}",  # a state that is not loaded is passed over
        b'{"do": "train"}\n',
        json.dumps({**begin, "hyperparameters": {"load": 1}, "data": None}).encode() + b"\nabc",
        b'{"do": "train"}\n{"do": "save"}\n',
    ]
    command = [str(tmp_path / "probe"), "--folder=here"]
    done = subprocess.run(command, input=b"".join(requests), capture_output=True, timeout=60)
    assert done.stdout.count(b"\n") == 4, done.stdout + done.stderr
    hello, first, second, error = [json.loads(line) for line in done.stdout.splitlines()]
    assert hello == {"protocol": 2, "saves": False}
    arrays = [np.load(folder / f"{name}.npy") for name in ("x_train", "y_train", "x_test")]
    sums = [(np.arange(one.size) % 7 + 1) @ one.reshape(-1).astype(float) + 1e6 * one.shape[-1] for one in arrays]
    assert np.allclose([first[name] for name in ("x", "y", "test")], sums, rtol=1e-12)
    scale = json.loads((folder / "manifest.json").read_text())["scale"]
    told = {"rate": 1.5e-3, "flag": 1, "named": 1, "seed": 2**31 - 1, "scale": scale}
    assert {name: first[name] for name in told} == told
    assert (second["rate"], second["bytes"]) == (-1, 0)
    assert error == {"error": 'no "state"'}
    assert done.returncode == 2
    assert done.stderr == b"here none\n", "what it prints goes to the log"


def test_the_program_in_the_documentation_compiles_and_trains(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").split("```c\n")[1].split("```")[0]
    own = """
static void initialise(double *w, uint64_t seed) { w[0] = 1 + (double)(seed % 100) / 100; }
static double train(double *w, double rate) { w[0] -= rate * 2 * w[0]; return w[0] * w[0]; }
static double validate(const double *w) { return 1.1 * w[0] * w[0]; }
"""
    include = '#include "hypercurve.h"\n'
    assert text.startswith(include)
    (tmp_path / "solver.c").write_text(text.replace(include, include + own))
    command = [str(CC), "-std=c99", *STRICT, "-o", str(tmp_path / "solver"), str(tmp_path / "solver.c")]
    subprocess.run(command, check=True)
    trainer = StayingTrainer(CommandSpec(command=(str(tmp_path / "solver"),), stays=True), None)
    sessions = [trainer.open(Trial(number, {"rate": 0.1, "epochs": 2}, seed=number)) for number in (0, 1)]
    first = [session.advance(0.5).metrics["loss"] for session in sessions]
    second = [session.advance(1.0).metrics["loss"] for session in sessions]
    assert np.allclose(second, 0.64 * np.array(first))
    assert first[0] != first[1]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both networks, built, and their experiments on less data."""
    (tmp_path / "examples").mkdir()
    for name in ("mlp.c", "mlp.cpp", "hypercurve.h", "mlp.yaml", "mlp-cpp.yaml"):
        shutil.copy(ROOT / "examples" / name, tmp_path / "examples")
    for compiler in (
        [CC, "-std=c99", "-o", "mlp", "mlp.c"],
        [CXX, "-fopenmp", "-std=c++17", "-o", "mlp-cpp", "mlp.cpp"],
    ):
        command = [str(compiler[0]), "-O2", *STRICT, *map(str, compiler[1:]), "-lm"]
        subprocess.run(command, cwd=tmp_path / "examples", check=True)
    changes = {"name: mnist, validation: 10000": "name: digits", "epochs: 78": "epochs: 10", "tions: 120": "tions: 60"}
    for path in (tmp_path / "examples").glob("*.yaml"):
        text = path.read_text()
        for old, new in (changes | {"[0.0001, 0.2]": "[0.5, 2.0]", "  random: {search: random}\n": ""}).items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def look_at(pbt: Path, lcm: Path) -> None:
    """Both have trained well, and what was perturbed is the rate that the donor had come to."""
    for path in (lcm, pbt):
        lines = [without_wall(line) for line in read_lines(path)[0]]
        assert not [line for line in lines if line["event"] == "failed"]
        assert lines[-1]["metrics"]["test_accuracy"] > 0.8
    rates = {
        (line["trial"], line["progress"]): line["metrics"]["now_learning_rate"]
        for line in lines
        if line["event"] == "reported"
    }
    copies = [action for line in lines for action in line["then"] if "copy" in action]
    assert copies
    for copy in copies:
        present = max(rates[copy["from"], copy["at"]], 0.5)
        allowed = [min(max(factor * present, 0.5), 2.0) for factor in (0.8, 1.2)]
        assert any(np.isclose(copy["configuration"]["learning_rate"], one, rtol=1e-6) for one in allowed)


def test_the_network_in_c_comes_through_the_workflow(small: Path) -> None:
    command = [str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["--directory", str(small), "--configfile", str(ROOT / "config/config.yaml")]
    command += ["--config", "folder=examples", "experiments=[]", "--", "results/mlp/comparison.csv"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    runs = small / "results" / "mlp" / "runs"
    look_at(runs / "pbt" / "0" / "journal.jsonl", runs / "lcm" / "0" / "journal.jsonl")


def test_the_network_in_c_plus_plus_is_tuned(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "digits", "-o", "digits"]) == 0
    for method in ("lcm", "pbt"):
        assert main(["resolve", "examples/mlp-cpp.yaml", "--method", method, "-o", f"{method}.json"]) == 0
        command = ["search", f"{method}.json", "--data", "digits", "-o", f"{method}/journal.jsonl"]
        assert main(command) == 0, capsys.readouterr().err
    look_at(small / "pbt" / "journal.jsonl", small / "lcm" / "journal.jsonl")
