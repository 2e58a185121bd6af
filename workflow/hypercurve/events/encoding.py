"""What events and actions look like in the lines of a journal, and in messages."""

from .events import Action, Completed, Continue, Copy, Event, Failed, Pause, Reported, Resume, Start, Started, Stop
from .journal import Line


def encode_event(event: Event) -> Line:
    """An event's part of a journal line."""
    match event:
        case Reported(trial, progress, metrics):
            return {"event": "reported", "trial": trial, "progress": progress, "metrics": dict(metrics)}
        case Started(trial):
            return {"event": "started", "trial": trial}
        case Completed(trial, metrics):
            return {"event": "completed", "trial": trial, "metrics": dict(metrics)}
        case Failed(trial, progress, reason):
            return {"event": "failed", "trial": trial, "progress": progress, "reason": reason}


def decode_event(line: Line) -> Event:
    """The event in a journal line.

    Raises:
        ValueError, KeyError, TypeError: it holds none.
    """
    trial = line["trial"]
    if not isinstance(trial, int) or isinstance(trial, bool):
        raise TypeError(f"trial = {trial!r}")
    match line["event"]:
        case "started":
            return Started(trial)
        case "reported":
            return Reported(trial, float(line["progress"]), _metrics(line))
        case "completed":
            return Completed(trial, _metrics(line))
        case "failed":
            return Failed(trial, float(line["progress"]), str(line["reason"]))
        case kind:
            raise ValueError(f"unknown event {kind!r}")


def _metrics(line: Line) -> dict[str, float]:
    metrics = line["metrics"]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in metrics.values()):
        raise TypeError("a metric is not a number")
    return dict(metrics)


def encode_action(action: Action) -> Line:
    """An action's form in a journal line."""
    match action:
        case Continue(trial):
            return {"continue": trial}
        case Start(trial, configuration):
            return {"start": trial, "configuration": configuration}
        case Stop(trial):
            return {"stop": trial}
        case Pause(trial):
            return {"pause": trial}
        case Resume(trial):
            return {"resume": trial}
        case Copy(trial, source, progress, configuration):
            return {"copy": trial, "from": source, "at": progress, "configuration": configuration}
