"""Tables of searchers and stoppers for the documentation, made from their classes; run as a program, this writes them."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hypercurve.search.registry import SEARCHERS
from hypercurve.stopping.registry import STOPPERS

ROOT = Path(__file__).parents[1]
PAGES = ("config/README.md", "docs/methods.md")
PART = re.compile(r"(?<=<!-- made by tests/rule_tables.py: )(\w[\w ]*)( -->\n)(.*?)(?=<!-- end -->)", re.S)


def rules(word: str, registry: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {word} | what it does |\n| --- | --- |"
    for kind, rule in registry.items():
        yield f"| `{kind}` | {rule.rule} |"


def searchers() -> Iterator[str]:
    yield "| searcher | what it does | independent | a random sample |\n| --- | --- | --- | --- |"
    for kind, rule in SEARCHERS.items():
        yield f"| `{kind}` | {rule.rule} | {'yes' if rule.independent else 'no'} | {'yes' if rule.sample else 'no'} |"


def options(word: str, registry: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {word} | option | meaning | default | allowed |\n| --- | --- | --- | --- | --- |"
    for kind, rule in registry.items():
        yield from _rows(f"`{kind}`", rule.Options)


def _rows(where: str, model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        part = schema["properties"][name]
        meaning = " ".join((field.description or "").split())
        inner = field.annotation if isinstance(field.annotation, type) else None
        nested = inner is not None and issubclass(inner, BaseModel)
        default = "—" if nested or field.default is None else f"`{json.dumps(part['default'])}`".replace('"', "")
        yield f"| {where} | `{name}` | {meaning} | {default} | {'see below' if nested else allowed(part, schema)} |"
        if nested and inner is not None:
            yield from _rows(f"`{name}` of {where}", inner)


def allowed(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a field takes, in words."""
    if "$ref" in part:
        keys = schema["$defs"][part["$ref"].rpartition("/")[2]]["properties"]
        return f"a mapping with the key {', '.join(f'`{key}`' for key in keys)}"
    if "anyOf" in part or "oneOf" in part:
        branches = [branch for branch in part.get("anyOf", part.get("oneOf")) if branch.get("type") != "null"]
        return ", or ".join(allowed(branch, schema) for branch in branches)
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if part.get("type") == "array":
        return f"a list: {allowed(part['items'], schema)}"
    if part.get("type") == "boolean":
        return "`true`, `false`"
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = ", ".join(f"{word} {part[key]}" for key, word in words.items() if key in part)
    return f"a {'whole ' if part['type'] == 'integer' else ''}number{f', {bounds}' if bounds else ''}"


def in_a_line(word: str, registry: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {word} | trials wait | rule in a line | source |\n| --- | --- | --- | --- |"
    for kind, rule in registry.items():
        waits = {rule.Options.model_validate(given).pauses for given in rule.examples}
        said = "in one form" if len(waits) > 1 else "yes" if True in waits else "no"
        yield f"| `{kind}` | {said} | {rule.rule} | {rule.source} |"


TABLES = {
    "searchers": searchers,
    "options of searchers": lambda: options("searcher", SEARCHERS),
    "stoppers": lambda: rules("stopper", STOPPERS),
    "options of stoppers": lambda: options("stopper", STOPPERS),
    "rules of stoppers": lambda: in_a_line("stopper", STOPPERS),
}


def up_to_date(text: str) -> str:
    """A page with its tables made anew."""
    return PART.sub(lambda found: f"{found[1]}{found[2]}\n" + "\n".join(TABLES[found[1]]()) + "\n\n", text)


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(up_to_date(path.read_text(encoding="utf-8")), encoding="utf-8")
