"""The report of an experiment: one HTML file that holds everything and needs neither network nor scripts.

Tables are those of :mod:`hypercurve.analysis.tables`, figures the files that were drawn before; here they are put together
with the question, the setting and what made them. Captions are the ones that Snakemake's own report shows.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from docutils.core import publish_parts  # type: ignore[import-untyped]
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ..config.experiment import Experiment
from ..config.figures import FIGURES
from ..config.hyperparameters import HYPERPARAMETERS, RECORDED
from ..config.model import counts_epochs, label
from ..results.data import data_facts
from ..util.errors import UserError
from ..util.files import write_text
from ..util.provenance import CAPTIONS
from . import cells, prose
from .figures import module_of
from .figures.style import looks, short
from .networks_section import networks_section
from .origins import digests, ran
from .schedules_section import schedule_section
from .sections import population_sections, traits_section
from .tables import Runs

LARGEST_SVG = 1_500_000
"""Bytes above which a report shows a figure's PNG file, for browsers take seconds for larger ones."""


def write(experiment: Experiment, name: str, runs: Runs, results: Path, output: Path) -> None:
    """Write an experiment's report.

    Args:
        experiment: the experiment.
        name: its name.
        runs: all its runs by method.
        results: its results. Of these are read `comparison.csv`, of replays also `replay.csv` and `costs.csv`, the first
            lines of journals, the configurations of trained networks, what was assumed of the data (in the manifest beside
            them), and the figures that are there, which are shown in the order of the list of all.
        output: the file.

    Raises:
        UserError: a table cannot be read.
    """
    table, played = comparison(results), replayed(experiment, results)
    data = data_facts(results.resolve(), experiment.data)
    text = template("report.html.j2").render(
        name=name,
        experiment=experiment,
        colours=colours(experiment),
        summary=list(cells.summary(experiment, table, played)),
        facts=_facts(experiment, runs),
        assumed=() if data is None else data.assumed,
        space=list(_space(experiment)),
        methods={
            method: {"rules": prose.rules(experiment, given) + _calibrated(runs, method), "source": prose.source(given)}
            for method, given in experiment.methods.items()
        },
        comparison=[cells.row(experiment, row) for row in table.to_dict("records")],
        nothing=cells.nothing(experiment, runs),
        reused=cells.reused(runs),
        metric=experiment.objective.metric,
        budgets=cells.budgets(experiment, runs),
        replayed=played,
        replayed_caption=caption("replay", name),
        figures=list(drawn(results / "figures")),
        traits=[] if played else traits_section(experiment, runs),
        traits_caption=caption("table", name, table="traits"),
        schedule=schedule_section(experiment, results / "schedule.csv"),
        schedule_caption=caption("table", name, table="schedule"),
        populations=population_sections(experiment, runs),
        chosen=cells.chosen(experiment, runs),
        networks=networks_section(experiment, runs, results, output),
        variables=cells.variables(experiment),
        most=cells.MOST,
        few=prose.few(experiment.repeats),
        failures=cells.failures(runs),
        failed=cells.failed(runs),
        made=[*ran(runs), *digests(experiment, runs)],
    )
    write_text(output, text)


def _calibrated(runs: Runs, method: str) -> list[str]:
    """A sentence on the stopping rate that a record gave, which is the same in all runs of a method."""
    rate = next((run.stopping_rate for run in runs[method] if run.stopping_rate is not None), None)
    return [] if rate is None else [f"From the record follows s = {prose.shares([rate])}."]


def comparison(results: Path) -> pd.DataFrame:
    """`comparison.csv` of an experiment, as :func:`hypercurve.analysis.tables.write` wrote it.

    Raises:
        UserError: it cannot be read.
    """
    path = results / "comparison.csv"
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def replayed(experiment: Experiment, results: Path) -> dict[str, Any] | None:
    """Cost and regret, if the experiment is a replay."""
    return cells.replayed(results) if experiment.model == RECORDED else None


def template(name: str) -> Template:
    """A page's template; what it shows is escaped."""
    environment = Environment(
        loader=PackageLoader("hypercurve.analysis", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def colours(experiment: Experiment) -> dict[str, str]:
    """The colour of each method, as in the figures."""
    return {method: look.colour for method, look in looks(experiment).items()}


def caption(which: str, experiment: str, **wildcards: str) -> Markup:
    """A caption of ``rules/captions`` as HTML; empty where the captions are not at hand.

    The text is what Snakemake renders in its report, with the same wildcards to fill in.
    """
    path = CAPTIONS / f"{which}.rst"
    if not path.exists():
        return Markup()
    job = SimpleNamespace(wildcards=SimpleNamespace(experiment=experiment, **wildcards))
    template = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return html(template.from_string(path.read_text(encoding="utf-8")).render(snakemake=job))


def html(text: str) -> Markup:
    """What a caption in reStructuredText looks like."""
    settings = {"raw_enabled": False, "file_insertion_enabled": False, "report_level": 5}
    return Markup(publish_parts(text, writer="html5", settings_overrides=settings)["body"])


def _facts(experiment: Experiment, runs: Runs) -> dict[str, str]:
    samples = next((run.samples for own in runs.values() for run in own if run.samples), None)
    points = experiment.training.accumulation_points
    better = "higher" if experiment.objective.mode == "max" else "lower"
    return {
        **_trained(experiment, samples),
        "Objective": f"validation {experiment.objective.metric}, the {better} the better",
        **({"Constraints": prose.constraints(experiment.constraints)} if experiment.constraints else {}),
        "Budget of a run": prose.budget(experiment.budget),
        "Repeats": f"{experiment.repeats}, each with seeds of its own, which the methods share",
        "Baseline": experiment.reference,
        **(
            {"Class weights": "balanced: in training, all classes count alike"}
            if experiment.training.class_weight
            else {}
        ),
        **({"Retrained": f"what each run chose, from {experiment.retrain} fresh seeds"} if experiment.retrain else {}),
        "Learning curves": f"{prose.curve(experiment)} at {len(points)} points of training"
        + (f", {prose.shares(points)}" if len(points) <= 10 else ""),
    }


def about(experiment: Experiment) -> str:
    """What is trained, on what, for how long and how often, in a line."""
    facts = _facts(experiment, {})
    what = [
        facts[term] for term in facts if term in ("Data", "Recorded curves", "Network", "Trained", "Budget of a run")
    ]
    return " · ".join([*what, f"{short(experiment.repeats)} repeat{'s' * (experiment.repeats > 1)}"])


def _trained(experiment: Experiment, samples: int | None) -> dict[str, str]:
    """What was trained, on what."""
    data, model = experiment.data, {"Network": label(experiment.model)}
    if counts_epochs(experiment.model):
        model = {"Trained": label(experiment.model)}
    if data is None:
        return model
    if data.curves:
        return {"Recorded curves": str(data.curves)}
    kept = (
        f"{data.validation:,}".replace(",", prose.NARROW)
        if isinstance(data.validation, int)
        else prose.shares([data.validation])
    )
    left = f", {short(samples)} left to train on" if samples else ""
    return {"Data": f"{data.label}; {kept} of the training part kept for validation{left}", **model}


def _space(experiment: Experiment) -> Iterator[dict[str, str]]:
    for name in experiment.space.names:
        known = None if counts_epochs(experiment.model) else HYPERPARAMETERS.get(name)
        domain = experiment.space[name]
        yield {
            "name": name,
            "domain": prose.domain(domain),
            "when": prose.condition(domain),
            "help": known.help if known else "",
        }


def drawn(folder: Path) -> Iterator[dict[str, Any]]:
    """The figures that are in a folder, in the order of reports: name, title, source, alternative text, caption."""
    for figure in FIGURES:
        path = folder / f"{figure}.svg"
        if path.exists():
            module = module_of(figure)
            said = html(module.CAPTION)
            alt = _alt(module.TITLE, said)
            yield {"name": figure, "title": module.TITLE, "source": image(path), "alt": alt, "caption": said}


def image(svg: Path) -> str:
    """A figure as a URI that holds it: the SVG file, or the PNG file beside it where the SVG is very large."""
    png = svg.with_suffix(".png")
    large = svg.stat().st_size > LARGEST_SVG and png.exists() and png.stat().st_size < svg.stat().st_size
    path, kind = (png, "png") if large else (svg, "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _alt(title: str, said: Markup) -> str:
    """What a figure shows, in a line for those who do not see it: the first sentence of its caption."""
    text = said.striptags()
    return f"{title}. {text.split('. ')[0].rstrip('.')}." if text else title
