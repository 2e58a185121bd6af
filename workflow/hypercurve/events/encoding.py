"""What the lines of a journal look like in the file, and in messages: no other module knows their keys.

A line is a JSON object. What may differ between two equal runs stands under the key ``wall``.
"""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from .events import Action, Completed, Continue, Copy, Event, Failed, Pause, Reported, Resume, Start, Started, Stop
from .lines import NO_WALL, BatchHeader, Ended, EventLine, Header, Line, RunHeader, Tested, Wall

FORMAT = 1

SUM = "sum"
"""The key of a line's checksum in its ``wall`` part (:mod:`hypercurve.events.checksums`): it belongs to the file."""

RawLine = dict[str, Any]
"""A line as JSON has it."""


# From lines to JSON

# Lines are trees, so looking for circles would only take time.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False, check_circular=False).encode


def to_bytes(raw: RawLine) -> bytes:
    """A line as it stands in a file, newline included."""
    return _encode(raw).encode() + b"\n"


def encode_line(line: Line) -> RawLine:
    """A line as JSON has it."""
    raw: RawLine
    match line:
        case EventLine(event, _, time, actions):
            raw = _encode_event(event)
            if time is not None:
                raw["time"] = time
            if time is not None or actions:
                raw["then"] = [_encode_action(action) for action in actions]
        case Ended(reason, best, time, actions):
            then = [_encode_action(action) for action in actions]
            raw = {"event": "ended", "reason": reason, "best": best, "time": time, "then": then}
        case Tested(trial, metrics):
            raw = {"event": "tested", "trial": trial, "metrics": dict(metrics), "then": []}
        case RunHeader():
            raw = {"event": "run", "format": FORMAT, "experiment": line.experiment, "method": line.method}
            raw |= {"repeat": line.repeat, "setting": line.setting, "data": line.data, "samples": line.samples}
            named = {
                "model": line.model,
                "rules": line.rules,
                "record": line.record,
                "stopping_rate": line.stopping_rate,
            }
            named |= {"seed": line.seed, "training": line.training}
            raw |= {key: value for key, value in named.items() if value is not None}
            raw["then"] = [_encode_action(action) for action in line.actions]
        case BatchHeader():
            raw = {"event": "batch", "setting": line.setting, "repeat": line.repeat, "batch": line.batch}
            named = {"model": line.model, "seed": line.seed, "training": line.training}
            raw |= {key: value for key, value in named.items() if value is not None}
    if line.wall != NO_WALL:
        raw["wall"] = {key: value for key, value in zip(Wall._fields, line.wall, strict=True) if value is not None}
    return raw


def _encode_event(event: Event) -> RawLine:
    match event:
        case Reported(trial, progress, metrics):
            return {"event": "reported", "trial": trial, "progress": progress, "metrics": dict(metrics)}
        case Started(trial):
            return {"event": "started", "trial": trial}
        case Completed(trial, metrics):
            return {"event": "completed", "trial": trial, "metrics": dict(metrics)}
        case Failed(trial, progress, reason):
            return {"event": "failed", "trial": trial, "progress": progress, "reason": reason}


def _encode_action(action: Action) -> RawLine:
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


# From JSON to lines


def decode_line(raw: RawLine) -> Line:
    """The line that JSON holds.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it holds none.
    """
    found = raw.get("wall")
    wall = _decode_wall(found) if found else NO_WALL
    event: Event
    match raw["event"]:
        case "reported":
            event = Reported(_trial(raw["trial"]), _number(raw["progress"]), _metrics(raw["metrics"]))
        case "started":
            event = Started(_trial(raw["trial"]))
        case "completed":
            event = Completed(_trial(raw["trial"]), _metrics(raw["metrics"]))
        case "failed":
            event = Failed(_trial(raw["trial"]), _number(raw["progress"]), str(raw["reason"]))
        case "run":
            return _decode_run(raw, wall)
        case "batch":
            return BatchHeader(
                *(raw["setting"], raw["repeat"], raw["batch"]),
                raw.get("model"),
                raw.get("seed"),
                raw.get("training"),
                wall,
            )
        case "ended":
            best = None if raw["best"] is None else _trial(raw["best"])
            return Ended(raw["reason"], best, _number(raw["time"]), _decode_actions(raw), wall)
        case "tested":
            return Tested(_trial(raw["trial"]), _metrics(raw["metrics"]), wall)
        case kind:
            raise ValueError(f"unknown event {kind!r}")
    if "time" not in raw:
        return EventLine(event, wall, None, _decode_actions(raw))
    return EventLine(event, wall, _number(raw["time"]), _decode_actions(raw))


def _decode_run(raw: RawLine, wall: Wall) -> RunHeader:
    return RunHeader(
        str(raw["experiment"]),
        str(raw["method"]),
        int(raw["repeat"]),
        str(raw["setting"]),
        str(raw["data"]),
        raw.get("samples"),
        raw.get("model"),
        raw.get("rules"),
        raw.get("record"),
        raw.get("stopping_rate"),
        raw.get("seed"),
        raw.get("training"),
        _decode_actions(raw),
        wall,
    )


def _decode_wall(found: Mapping[str, Any]) -> Wall:
    wall = Wall(*map(found.get, Wall._fields))
    for value in (wall.seconds, wall.overhead, wall.at):
        if value is not None and (type(value) is not float or not isfinite(value)):
            _number(value)
    return wall if wall.test is None else wall._replace(test=_metrics(wall.test))


def _decode_actions(raw: RawLine) -> Sequence[Action]:
    return [_decode_action(action) for action in raw.get("then", ())]


def _decode_action(raw: RawLine) -> Action:
    if "continue" in raw:  # first, and without a pattern, being the most frequent
        return Continue(_trial(raw["continue"]))
    match raw:
        case {"start": trial, "configuration": configuration}:
            return Start(_trial(trial), _configuration(configuration))
        case {"stop": trial}:
            return Stop(_trial(trial))
        case {"pause": trial}:
            return Pause(_trial(trial))
        case {"resume": trial}:
            return Resume(_trial(trial))
        case {"copy": trial, "from": source, "at": at, "configuration": configuration}:
            return Copy(_trial(trial), _trial(source), _number(at), _configuration(configuration))
    raise ValueError(f"unknown action {raw!r}")


def _configuration(values: Any) -> dict[str, Any]:
    for value in values.values():
        if type(value) is float:
            _number(value)
    return dict(values)


def _trial(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no trial's number")
    return value


def _number(value: Any) -> float:
    if (type(value) is not float and type(value) is not int) or not isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _metrics(metrics: Any) -> Mapping[str, float]:
    for value in metrics.values():
        if type(value) is not float or not isfinite(value):
            return {name: _number(value) for name, value in metrics.items()}
    found: Mapping[str, float] = metrics
    return found


# What need not be a whole line


def without_wall(raw: RawLine) -> RawLine:
    """The part of a line that equal runs share."""
    return {key: value for key, value in raw.items() if key != "wall"}


def holds_sum(raw: RawLine) -> bool:
    """Whether a line says a checksum."""
    wall = raw.get("wall")
    return isinstance(wall, dict) and SUM in wall


def event_of(raw: RawLine) -> Any:
    """What kind of line it says it is."""
    return raw.get("event")


def differences_of_headers(expected: Header, raw: RawLine) -> list[str]:
    """By which keys a journal's first line is of another run or batch; keys that are missing from it do not count."""
    told = ("event", "setting", "repeat", "data", "model", "rules", "record", "batch", "seed", "training")
    wanted = encode_line(expected)
    return [key for key in told if key in wanted and raw.get(key, wanted[key]) != wanted[key]]


def network_of(raw: RawLine) -> Mapping[str, str] | None:
    """What a line says of the trained network."""
    wall = raw.get("wall")
    return wall.get("network") if isinstance(wall, dict) else None


def is_last(raw: RawLine) -> bool:
    """Whether a line is the last of a complete run."""
    return event_of(raw) == "tested" or (event_of(raw) == "ended" and raw.get("best") is None)
