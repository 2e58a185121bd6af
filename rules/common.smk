# What all rules share: the experiments, checked before any job starts, and the one way that rules read them.
#
# Every cluster job parses this again, so nothing here imports TensorFlow, pandas or SciPy.

import os
import sys
from pathlib import Path

# The package comes from this checkout and the programs from the environment that runs Snakemake, whether it was activated
# or not; with `--software-deployment-method conda`, a rule's own environment goes before both.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(
        None, [str(Path(workflow.basedir) / "workflow"), os.environ.get("PYTHONPATH")]
    )
)
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from hypercurve.analysis.plan import applicable
from hypercurve.config import Experiment
from hypercurve.provenance import code_digest
from hypercurve.reading import ConfigError, read_experiment

RESULTS = config["results"]
CODE = {part: code_digest(part) for part in ("runs", "analysis")}


def read_experiments(folder):
    """All experiments of a folder by name; ends the program if a file has a problem."""
    found, problems = {}, []
    for path in sorted(Path(folder).glob("*.y*ml")):
        try:
            found[path.stem] = read_experiment(path)
        except ConfigError as error:
            problems.append(str(error))
    for name in config["experiments"]:
        if name not in found and not problems:
            problems.append(
                f"config/config.yaml: experiments: {folder} has no {name}.yaml"
            )
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(2)
    return found


EXPERIMENTS = read_experiments(config["folder"])


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    method="[A-Za-z0-9][A-Za-z0-9_-]*",
    repeat="[0-9]+",
    batch="[0-9]+",
    figure="[a-z]+",


def experiment_of(wildcards):
    return EXPERIMENTS[wildcards.experiment]


def setting_of(wildcards):
    """What the runs of a method depend on; the only way from an experiment file to a run's rule."""
    experiment = experiment_of(wildcards)
    if wildcards.method not in experiment.methods:
        raise ValueError(
            f"{wildcards.experiment} has no method {wildcards.method}: {', '.join(experiment.methods)}"
        )
    return experiment.setting(wildcards.experiment, wildcards.method)


def data_folder(wildcards):
    return f"{RESULTS}/data/{experiment_of(wildcards).data.key}"


def runs_of(name, file="journal.jsonl"):
    """A file of every run of an experiment."""
    experiment = EXPERIMENTS[name]
    return expand(
        f"{RESULTS}/{name}/runs/{{method}}/{{repeat}}/{file}",
        method=experiment.methods,
        repeat=range(experiment.repeats),
    )


def figures_of(name):
    experiment = EXPERIMENTS[name]
    return (
        list(experiment.figures)
        if experiment.figures is not None
        else applicable(experiment)
    )


# Resolved settings stand beside the results. They are written from the rules' own parameters, so what is recorded is what
# Snakemake compared when it decided what to run.
rule experiment:
    output:
        RESULTS + "/{experiment}/experiment.json",
    log:
        RESULTS + "/{experiment}/logs/experiment.log",
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        resolved=lambda w: experiment_of(w).model_dump_json(indent=2),
    shell:
        "printf '%s\\n' {params.resolved:q} > {output} 2> {log}"


rule setting:
    output:
        RESULTS + "/{experiment}/runs/{method}/setting.json",
    log:
        RESULTS + "/{experiment}/logs/{method}/setting.log",
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        resolved=lambda w: setting_of(w).model_dump_json(indent=2),
    shell:
        "printf '%s\\n' {params.resolved:q} > {output} 2> {log}"
