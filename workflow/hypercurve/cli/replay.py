"""The subcommands on recorded curves: curves, replay."""

import sys
from pathlib import Path

from ..util.errors import UserError
from .arguments import Add, Arguments, count, number, positive, share


def add_commands(add: Add) -> None:
    """Add the subcommands to the command line.

    Args:
        add: adds a subcommand: name, function, one line of help, example.
    """
    sub = add(
        "curves",
        _curves,
        "check recorded learning curves and store them as one table",
        "results/demo/runs/random -o curves",
    )
    sub.add_argument("curves", type=Path, help="a .csv or .csv.gz file, a journal.jsonl, or a folder of runs")
    sub.add_argument("--metric", help="of a CSV file, the learning curve (default: the first that begins with val)")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder to write")

    sub = add(
        "replay",
        _replay,
        "compare methods on recorded learning curves; nothing is trained",
        "curves --method random --method lcm --repeats 20 -o replays",
    )
    sub.add_argument("curves", type=Path, nargs="+", metavar="CURVES", help="as for `curves`, or what it wrote")
    sub.add_argument("--experiment", type=Path, help="an experiment file with `model: recorded`, which says all else")
    sub.add_argument(
        "--method",
        action="append",
        metavar="METHOD",
        help="a stopper or searcher by name; NAME={search: random, stop: ...}; or a YAML file with `methods`; may be "
        "repeated (default: random and lcm)",
    )
    sub.add_argument("--repeats", type=positive, default=20, help="each draws its trials and their order (default: 20)")
    sub.add_argument("--slots", type=positive, default=1, help="trials going at once (default: 1)")
    sub.add_argument("--trials", type=positive, help="trials of a repeat, at most (default: 100)")
    sub.add_argument("--cost", type=number, help="end a run at this share of what training all its trials would cost")
    sub.add_argument("--samples", type=number, help="in place of trials, end a run after so many samples")
    sub.add_argument("--points", type=positive, help="number of accumulation points (default: those recorded)")
    sub.add_argument("--seed", type=count, default=0, help="seed of the draws (default: 0)")
    sub.add_argument("--metric", help="of CSV files, the learning curve (default: the first that begins with val)")
    sub.add_argument("--in-order", action="store_true", help="take trials as they were recorded, without a draw")
    sub.add_argument(
        "--costs",
        type=share,
        nargs="+",
        default=(0.1, 0.15, 0.3),
        metavar="SHARE",
        help="shares of full training at which regrets are read off, for costs.csv (default: 0.1 0.15 0.3)",
    )
    sub.add_argument("--journals", action="store_true", help="keep the journals of all runs")
    sub.add_argument("--jobs", type=positive, default=1, help="processes (default: 1)")
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder for the tables (replay.csv and others) and pareto.svg, .png",
    )


def _curves(given: Arguments) -> None:
    from ..curves.prepared import write_curves
    from ..records.curve_files import read_curves

    curves = read_curves(given.curves, given.metric)
    write_curves(curves, given.output)
    print(
        f"{curves.name}: {len(curves.playable())} of {len(curves)} trainings can be played, {len(curves.points)} points"
    )


def _replay(given: Arguments) -> None:
    from ..api.replaying import Task, carry_out, experiment_for, methods_from
    from ..config.files import read_experiment, read_resolved
    from ..records.curve_files import read_curves

    output: Path = given.output
    if given.experiment is not None:
        read = read_resolved if given.experiment.suffix == ".json" else read_experiment
        experiment = read(given.experiment)
        if experiment.model != "recorded" or experiment.data is None or len(given.curves) != 1:
            raise UserError(f"{given.experiment}: is replayed on one recording, with `model: recorded`")
        tasks = [Task(output.name, read_curves(given.curves[0], experiment.data.metric), experiment, output)]
    else:
        tasks = []
        if given.samples is None:
            budget = {"trials": 100 if given.trials is None else given.trials, "cost": given.cost}
        elif given.trials is None and given.cost is None:
            budget = {"samples": given.samples}
        else:
            raise UserError("--samples is a budget of its own: leave out --trials and --cost")
        for path in given.curves:
            curves = read_curves(path, given.metric)
            if any(curves.name == task.curves.name for task in tasks):
                raise UserError(f"{path}: there is another task called {curves.name}")
            points = curves.points if given.points is None else [k / given.points for k in range(1, given.points + 1)]
            names = given.method or ["random", "lcm"]
            if given.method is None and len(points) == 1:
                print(f"{path}: has one point, the end: lcm is left out, since it could stop nothing", file=sys.stderr)
                names = ["random"]
            methods = {
                name: {"slots": given.slots, **form} if isinstance(form, dict) else form
                for name, form in methods_from(names, points).items()
            }
            experiment = experiment_for(
                curves,
                points,
                data={"curves": str(path), "metric": given.metric, "shuffle": not given.in_order},
                budget=budget,
                repeats=given.repeats,
                seed=given.seed,
                methods=methods,
            )
            folder = output if len(given.curves) == 1 else output / curves.name
            tasks.append(Task(curves.name, curves, experiment, folder))
    carry_out(tasks, output, processes=given.jobs, journals=given.journals, costs=given.costs)
    if given.experiment is None:
        from ..analysis import figures, replays

        figure = figures.TABLE_FIGURES["pareto"](replays.read(output / "replay.csv"))
        figures.save(figure, output / "pareto.svg", output / "pareto.png")
