"""`hypercurve replay`: methods compared on recorded learning curves."""

import sys
from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_output, count, number, points, positive, share

HELP = "compare methods on recorded learning curves; nothing is trained"
EXAMPLE = "curves --method random --method lcm --repeats 20 -o replays"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("curves", type=Path, nargs="+", metavar="CURVES", help="as for `curves`, or what it wrote")
    parser.add_argument(
        "--experiment", type=Path, help="an experiment file with `model: recorded`, which says all else"
    )
    parser.add_argument(
        "--method",
        action="append",
        metavar="METHOD",
        help="a stopper or searcher by name; NAME={search: random, stop: ...}; or a YAML file with `methods`; may be "
        "repeated (default: random and lcm)",
    )
    parser.add_argument(
        "--repeats", type=positive, default=20, help="each draws its trials and their order (default: 20)"
    )
    parser.add_argument("--slots", type=positive, default=1, help="trials going at once (default: 1)")
    parser.add_argument("--trials", type=positive, help="trials of a repeat, at most (default: 100)")
    parser.add_argument(
        "--cost", type=number, help="end a run at this share of what training all its trials would cost"
    )
    parser.add_argument("--samples", type=number, help="in place of trials, end a run after so many samples")
    parser.add_argument("--points", type=points, help="number of accumulation points (default: those recorded)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the draws (default: 0)")
    parser.add_argument("--metric", help="of CSV files, the learning curve (default: the first that begins with val)")
    parser.add_argument("--in-order", action="store_true", help="take trials as they were recorded, without a draw")
    parser.add_argument(
        "--costs",
        type=share,
        nargs="+",
        default=(0.1, 0.15, 0.3),
        metavar="SHARE",
        help="shares of full training at which regrets are read off, for costs.csv (default: 0.1 0.15 0.3)",
    )
    parser.add_argument("--journals", action="store_true", help="keep the journals of all runs")
    parser.add_argument("--jobs", type=positive, default=1, help="processes (default: 1)")
    add_output(parser, "folder for the tables (replay.csv and others) and pareto.svg, .png", folder=True)


def run(given: Arguments) -> None:
    from ..api.replaying import Task, carry_out, experiment_for, methods_from
    from ..config.files import read_experiment, read_resolved
    from ..records.curve_files import read_curves

    output: Path = given.output
    if given.experiment is not None:
        if given.method or given.metric is not None:
            raise UserError("--experiment says which methods and which metric: leave out --method and --metric")
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
            shares = curves.points if given.points is None else [k / given.points for k in range(1, given.points + 1)]
            names = given.method or ["random", "lcm"]
            if given.method is None and len(shares) == 1:
                print(f"{path}: has one point, the end: lcm is left out, since it could stop nothing", file=sys.stderr)
                names = ["random"]
            methods = {
                name: {"slots": given.slots, **form} if isinstance(form, dict) else form
                for name, form in methods_from(names, shares).items()
            }
            experiment = experiment_for(
                curves,
                shares,
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
        from ..analysis.figures import draw_table, save

        save(draw_table("pareto", output), output / "pareto.svg", output / "pareto.png")
