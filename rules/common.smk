# What all rules share: the experiments, checked before any job starts, and the one way that rules read them.
#
# Every cluster job parses this again, so nothing here imports TensorFlow, pandas or SciPy.

import sys
import time
from functools import cache
from math import ceil
from pathlib import Path
from shlex import quote

# Snakemake has put the folder of workflow/Snakefile on Python's path, and so the package that lies in it. Of a workflow that is
# imported from a Git host there is no such folder: there, it is the installed package.
from hypercurve.config.figures import applicable
from hypercurve.config.jobs import batches
from hypercurve.config.sharing import lenders
from hypercurve.util.errors import UserError
from hypercurve.workflow_support.failures import tell_failures
from hypercurve.workflow_support.launching import into_container, set_environment
from hypercurve.workflow_support.ordering import wait_for_trainings
from hypercurve.workflow_support.recovery import recover
from hypercurve.util.provenance import CAPTIONS, analysis_digest
from hypercurve.config.files import ConfigError, read_experiment, read_workflow
from hypercurve.config.code_files import model_digest, rules_digest
from hypercurve.util.user_code import function_digest

set_environment(workflow.basedir)

# Who imports this workflow has a config file of another name, or none.
CONFIG = ", ".join(map(str, workflow.configfiles)) or "config"
try:
    WORKFLOW = read_workflow(config, CONFIG)
    WITHIN = into_container(WORKFLOW.container, workflow.deployment_settings)
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
RESULTS = WORKFLOW.results
BEGAN = time.time()
RUN = f"{RESULTS}/{{experiment}}/runs/{{method}}/{{repeat}}"
LOG = f"{RESULTS}/{{experiment}}/logs/{{method}}/{{repeat}}"
ANALYSIS = analysis_digest()


def read_experiments(folder):
    """All experiments of a folder by name; ends the program if a file has a problem."""
    found, problems = {}, []
    for path in sorted(Path(folder).glob("[!.]*.y*ml")):
        if path.stem in found:
            problems.append(f"{path}: there is another file of this name")
        try:
            found[path.stem] = read_experiment(path)
        except ConfigError as error:
            problems.append(str(error))
    for name in WORKFLOW.experiments:
        if name not in found and not problems:
            problems.append(f"{CONFIG}: experiments: {folder} has no {name}.yaml")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(2)
    return found


EXPERIMENTS = read_experiments(WORKFLOW.folder)


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    method="[A-Za-z0-9][A-Za-z0-9_-]*",
    repeat="[0-9]+",
    batch="[0-9]+",
    worker="[0-9]+",
    figure="[a-z]+",


def only(condition):
    """A constraint for the wildcard `experiment` of a run's path, so that a rule makes the runs of some methods only.

    It looks ahead at the method, which follows in the path.
    """
    pairs = [
        f"{name}/runs/{method}"
        for name, experiment in EXPERIMENTS.items()
        for method, options in experiment.methods.items()
        if experiment.model != "recorded" and condition(options)
    ]
    return f"(?=(?:{'|'.join(pairs)})/)[A-Za-z0-9_-]+" if pairs else "(?!)"


def experiment_of(wildcards):
    return EXPERIMENTS[wildcards.experiment]


def setting_of(wildcards):
    """What the runs of a method depend on; the only way from an experiment file to a run's rule."""
    experiment = experiment_of(wildcards)
    if wildcards.method not in experiment.methods:
        raise ValueError(f"{wildcards.experiment} has no method {wildcards.method}: {', '.join(experiment.methods)}")
    return experiment.setting(wildcards.experiment, wildcards.method)


def data_folder(wildcards):
    """The prepared data, of an experiment that has any."""
    data = experiment_of(wildcards).data
    return f"{RESULTS}/data/{data.key}" if data is not None else []


def training_data(wildcards, input):
    """The option that names an experiment's data."""
    return f"--data {quote(str(input.data))}" if input.data else ""


def own_code(wildcards):
    """What changes with the user's own code that decides a run; of this project's code, nothing does."""
    return own_code_in(wildcards.experiment, wildcards.get("method"))


@cache
def own_code_in(experiment, method=None):
    """The same by names, of all methods without one; ends the program where the code is missing."""
    methods = EXPERIMENTS[experiment].methods
    chosen = methods.values() if method is None else [methods[method]]
    try:
        results = Path(RESULTS) / experiment
        own = [model_digest(EXPERIMENTS[experiment].model, results)]
        own += [rules_digest(method, results) for method in chosen]
    except UserError as error:
        print(f"{WORKFLOW.folder}/{experiment}.yaml: {error}", file=sys.stderr)
        sys.exit(2)
    return " ".join(digest for digest in own if digest is not None)


def data_meaning(spec):
    """The options that hand on what the user has said of data."""
    given = {"task": spec.task, "scale": spec.scale, "test": spec.test}
    return " ".join(f"--{key} {value}" for key, value in given.items() if value is not None)


def data_code(spec):
    """What changes with a user's function that makes data; ends the program where that is missing."""
    if spec.function is None:
        return ""
    try:
        return function_digest(spec.function, "data.function")
    except UserError as error:
        names = [name for name, experiment in EXPERIMENTS.items() if experiment.data == spec]
        print(f"{WORKFLOW.folder}/{names[0]}.yaml: {error}", file=sys.stderr)
        sys.exit(2)


def runs_of(name, file="journal.jsonl", folder="runs"):
    """A file of every run of an experiment; of replays, which are all made by one job, the table that appears last."""
    experiment = EXPERIMENTS[name]
    if experiment.model == "recorded":
        return [f"{RESULTS}/{name}/replay.csv"]
    return expand(
        f"{RESULTS}/{name}/{folder}/{{method}}/{{repeat}}/{file}",
        method=experiment.methods,
        repeat=range(experiment.repeats),
    )


def retrained_of(name):
    """The retrainings of all runs of an experiment; none without `retrain`."""
    return runs_of(name, "retrained.jsonl", "schedules") if EXPERIMENTS[name].retrain else []


def recorded_in(path):
    """What must be there before curves can be read: a file, or the runs of another experiment of this workflow."""
    inside = Path(path).relative_to(RESULTS).parts if Path(path).is_relative_to(RESULTS) else ()
    name = inside[0] if inside else ""
    if name not in EXPERIMENTS:
        return local(path)
    within = str(Path(path)) + "/"
    runs = runs_of(name)
    if EXPERIMENTS[name].model != "recorded":
        populations = [key for key, method in EXPERIMENTS[name].methods.items() if method.population is not None]
        runs = [run for run in runs if run.startswith(within) and Path(run).parts[-3] not in populations]
    return runs + sorted({str(Path(run).parents[1] / "setting.json") for run in runs if run.endswith(".jsonl")})


def members_of(name):
    """The tables of an experiment's populations."""
    experiment = EXPERIMENTS[name]
    populations = [method for method, options in experiment.methods.items() if options.population is not None]
    return expand(
        f"{RESULTS}/{name}/runs/{{method}}/{{repeat}}/members.csv",
        method=populations,
        repeat=range(experiment.repeats),
    )


def tables_of(name):
    """The tables that compare an experiment's methods."""
    experiment = EXPERIMENTS[name]
    wanted = {
        "comparison": True,
        "budgets": experiment.budget.at,
        "traits": "traits" in figures_of(name),
        "schedule": experiment.retrain,
    }
    return [f"{RESULTS}/{name}/{table}.csv" for table in wanted if wanted[table]]


def figures_of(name):
    experiment = EXPERIMENTS[name]
    return list(experiment.figures) if experiment.figures is not None else applicable(experiment)


@cache
def batches_in(experiment, method):
    return batches(EXPERIMENTS[experiment], method)


def batches_of(wildcards):
    return batches_in(wildcards.experiment, wildcards.method)


def lenders_in(experiment, method):
    """The methods whose trainings are all that a method needs; none for runs of other workflows."""
    known = experiment in EXPERIMENTS and method in EXPERIMENTS[experiment].methods
    return lenders(EXPERIMENTS[experiment], method) if known else ()


def recorded(wildcards):
    """The batches of a run; empty for a run in one job."""
    return expand(
        f"{RUN}/batches/{{batch}}.jsonl",
        batch=range(batches_of(wildcards)),
        allow_missing=True,
    )


def keeping(wildcards):
    """Options that say which recorded trainings are used, and when trials in flight are saved."""
    experiment = experiment_of(wildcards)
    places = experiment.reuse if isinstance(experiment.reuse, tuple) else ()
    options = [f"--reuse {quote(place)}" for place in places] + ["--no-reuse"] * (experiment.reuse is False)
    options += ["--no-fail-fast"] * (not experiment.fail_fast)
    gpus = experiment.methods[wildcards.method].gpus
    options += [] if gpus is None else [f"--gpus {gpus:g}"]
    return " ".join(
        [*options, f"--snapshot-minutes {experiment.snapshot.minutes:g} --memory {experiment.snapshot.memory:g}"]
    )


def record_of(wildcards):
    """The prepared record of a method that has one."""
    found = experiment_of(wildcards).methods[wildcards.method].record
    return f"{RESULTS}/{wildcards.experiment}/runs/{wildcards.method}/record.json" if found else []


def recording(wildcards, input):
    """The option that names a run's record."""
    return f"--record {quote(input.record)}" if input.get("record") else ""


def tasks_of(wildcards):
    """How many MPI processes carry out a run; one is no MPI job, which Slurm's plugin would refuse."""
    return experiment_of(wildcards).methods[wildcards.method].processes


def gpus_of(wildcards):
    """How many GPUs a job of a method has in all: those of all its processes, rounded up."""
    method = experiment_of(wildcards).methods[wildcards.method]
    alone = batches_of(wildcards) > 0  # a batch has one process
    return ceil((method.gpus or 0) * (1 if alone else method.processes))


def started(wildcards):
    """How many of them the launcher starts: a program's ranks are started by whoever trains it."""
    return experiment_of(wildcards).started(wildcards.method)


def joined(wildcards):
    """What the workers of a run leave when they end."""
    return expand(
        f"{RUN}/joined/{{worker}}",
        worker=range(experiment_of(wildcards).methods[wildcards.method].workers),
        allow_missing=True,
    )


def heartbeat(wildcards):
    """The option that says after how long a worker counts as dead, where the experiment says it."""
    seconds = experiment_of(wildcards).methods[wildcards.method].heartbeat
    return "" if seconds is None else f"--heartbeat {seconds:g}"
