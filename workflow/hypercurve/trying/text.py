"""What `hypercurve try` prints: plain words, at most 100 columns wide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap

from ..config.experiment import Experiment
from ..config.model import LoopSpec, counts_epochs
from ..runs.failures import explained
from ..space.search_space import Value
from .estimate import MethodEstimate, by_the_clock
from .measure import Tried

WIDTH = 100
LABEL = 15
NOTHING = 0.1
"""Seconds that are not worth a word."""


def duration(seconds: float) -> str:
    """A time, with two digits or so.

    >>> [duration(value) for value in (0.0123, 4.56, 78.9, 4000.0, 400000.0)]
    ['12 ms', '4.6 s', '79 s', '67 min', '111 h']
    """
    if seconds < 10:
        return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def size(number: float) -> str:
    """A number of bytes, with two digits or so.

    >>> [size(value) for value in (140, 42_000, 3_500_000, 2.5e9)]
    ['140 B', '42 kB', '3.5 MB', '2.5 GB']
    """
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def entry(label: str, text: str) -> str:
    """A line with a label, and more where the text is long."""
    lines = wrap(text, WIDTH - LABEL - 2, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(f"  {label if not row else '':{LABEL}}{line}" for row, line in enumerate(lines))


def values(configuration: Mapping[str, Value]) -> str:
    """A configuration, rounded."""
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in configuration.items())


def seen(experiment: Experiment, methods: Sequence[str], tried: Tried) -> Iterator[str]:
    """What was seen of a training, line by line."""
    many = f" ({len(methods)} methods train alike: tried once)" if len(methods) > 1 else ""
    yield entry_of(f"{', '.join(methods)}{many}")
    yield entry("trial", f"{tried.trial.number}: {values(tried.trial.configuration)}")
    for reason in tried.results:
        yield entry("", f"(the one before: {reason})")
    ranks = experiment.methods[methods[0]].ranks
    if ranks > 1 and isinstance(experiment.model, LoopSpec):
        yield entry("ranks", f"tried on one, in place of {ranks}: what they say to each other is not seen")
    if tried.failure is not None:
        reason, lines = explained(tried.failure)
        yield entry("FAILED", reason)
        yield from (f"  {'':{LABEL}}{line}"[:WIDTH] for line in lines)
        return
    if tried.problem is not None:
        yield entry("FAILED", tried.problem)
        return
    yield entry("metrics", _metrics(tried))
    yield entry("judged", _judged(experiment, methods, tried))
    for name, point, seconds in zip(("first point", "second point"), tried.points, tried.seconds, strict=False):
        yield entry(name, f"at {100 * point:.3g} % of the training, after {duration(seconds)}{_first(name, tried)}")
    if others := [one for one in tried.others if len(one.points) > 1]:
        times = ", ".join(f"{duration(one.seconds[1])} (trial {one.trial.number})" for one in others)
        yield entry("others", f"from the first point to the second {times}")
    own = f"; its processes {size(tried.programs)}" if tried.programs else ""
    yield entry("memory", f"{size(tried.memory)} in this process{own}")
    yield entry("snapshot", _snapshot(experiment, tried))
    yield entry(
        "repeat", "not known" if tried.repeated is None else tried.repeated or "equal digits from the same seed"
    )
    last = "second" if len(tried.points) > 1 else "first"
    yield entry("stop", tried.stop or f"not tried: the training is over at its {last} point")


def _first(name: str, tried: Tried) -> str:
    if name != "first point" or not tried.again < tried.seconds[0] - NOTHING:
        return ""
    return f" with its start ({duration(tried.again)} when trained again)"


def _metrics(tried: Tried) -> str:
    metrics = ", ".join(f"{name} {value:.3g}" for name, value in tried.metrics.items())
    test = f"; of the test part {', '.join(tried.test)}" if tried.test else ""
    return f"{metrics}{test}{' (at the end)' if tried.ended else ''}"


def _judged(experiment: Experiment, methods: Sequence[str], tried: Tried) -> str:
    objective, judged = experiment.objective, experiment.judged
    text = f"{objective.key}, {_better(objective.mode)} is better"
    if objective.key not in tried.metrics and not counts_epochs(experiment.model):
        text += ", measured at the end"
    if any(experiment.methods[name].stop is not None for name in methods) and judged.metric != objective.key:
        return f"{text}; trials are stopped by {judged.metric}, {_better(judged.mode)} is better"
    return text


def _better(mode: str) -> str:
    return "higher" if mode == "max" else "lower"


def _snapshot(experiment: Experiment, tried: Tried) -> str:
    if tried.state is None:
        return f"none: {cannot_save(experiment)}"
    if tried.resumed is None:
        return size(tried.state)
    went = f"with other digits: {tried.resumed}" if tried.resumed else "to equal digits"
    return f"{size(tried.state)}; a training goes on from it {went}"


def cannot_save(experiment: Experiment) -> str:
    """Why a training cannot be saved."""
    if isinstance(experiment.model, LoopSpec):
        return "the loop is no class with save and load"
    if counts_epochs(experiment.model):
        return "the command has no {resume}, {snapshot} and {until}"
    return "the model cannot be saved"


def table(experiment: Experiment, found: Mapping[str, MethodEstimate], cores: int, states: float) -> Iterator[str]:
    """The estimate of the whole experiment, line by line.

    Args:
        experiment: the experiment.
        found: what each method would take.
        cores: that there are.
        states: bytes of a saved state, at most.
    """
    stopped = any(one.bounded for one in found.values())
    yield "The whole experiment: an estimate" + ("; an upper bound, as stoppers stop trials" if stopped else "")
    rows = [("method", "trials", "each", "computing", "jobs that train")]
    for method, one in found.items():
        many = "?" if one.trials is None else f"{one.trials:g}"
        trials = f"{experiment.repeats} x {many}" if experiment.repeats > 1 else many
        jobs = f"{one.jobs}" + (f" of {one.width} cores" if one.width > 1 else "")
        computing = f"trained by {one.source}" if one.source else f"{'up to ' * one.bounded}{duration(one.training)}"
        rows.append((method, trials, duration(one.trial), computing, jobs))
    rows.append(("in all", "", "", duration(sum(one.training for one in found.values())), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield ("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
    on = f"{cores} core{'s' * (cores != 1)}"
    longest = max(one.job for one in found.values())
    text = f"about {duration(by_the_clock(found, cores))} on {on}, besides tables and figures"
    yield entry("time", f"{text}; the longest job {duration(longest)}")
    text = f"about {size(sum(one.disk for one in found.values()))} of journals"
    if states:
        text += f"; besides {size(states)} for each trial in flight and each best one"
        if most := max(one.waiting for one in found.values()):
            text += f", of which {most:.0f} may wait"
    yield entry("disk", text)


def entry_of(text: str) -> str:
    """A heading."""
    return "\n".join(wrap(text, WIDTH))


def faults(found: Iterable[str]) -> Iterator[str]:
    """The list at the end."""
    listed = list(dict.fromkeys(found))
    if not listed:
        yield "Nothing is wrong, as far as can be seen from two points."
        return
    yield "What is wrong, or will be"
    for text in listed:
        first, *more = wrap(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
        yield "\n".join([f"  - {first}", *(f"    {line}" for line in more)])
