"""`hypercurve export`: finished runs for other programs."""

from pathlib import Path

from .arguments import Arguments, Parser, add_output

HELP = "write finished runs for TensorBoard (curves and the hparams table) or for Optuna (and optuna-dashboard)"
EXAMPLE = (
    "tensorboard results/demo -o events      # then: tensorboard --logdir events\n"
    "  hypercurve export optuna results/demo/runs/lcm/0 -o lcm.db    # then: optuna-dashboard sqlite:///lcm.db"
)


def add_arguments(parser: Parser) -> None:
    parser.add_argument("form", choices=("tensorboard", "optuna"), help="for which program")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run, or of several at any depth")
    text = "for tensorboard, a new folder; for optuna, an SQLite file (.db) or a journal storage (.log; faster)"
    add_output(parser, text, folder=None)


def run(given: Arguments) -> None:
    from ..export.runs import read_runs

    if given.form == "tensorboard":
        from ..export.event_files import write
    else:
        from ..export.study import write
    runs = list(read_runs(given.runs))
    print(f"{given.output}: {write(runs, given.output)} trials of {len(runs)} runs")
