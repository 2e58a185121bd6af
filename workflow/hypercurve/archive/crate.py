"""An archive described as a Workflow Run RO-Crate (profile Workflow Run Crate 0.5, on RO-Crate 1.1).

The main workflow is the Snakefile. The experiment's making is one action of it; every run is an action of its own, by this
package, with its setting as input, its journal as output, and the times that its journal has by the clock.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from ..config.experiment import Experiment
from ..results.runs import RunResult
from .contents import Code, File, Run

CRATE = "ro-crate-metadata.json"
WORKFLOW = "code/Snakefile"
LOCK = "code/envs/lock.txt"
PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
)
COMPLETED = "http://schema.org/CompletedActionStatus"
LICENCE = "Not stated; ask those who made the results. The code of hypercurve is under the MIT License."
TYPES = {
    "": "text/plain",
    ".smk": "text/plain",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".html": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


def crate(
    name: str,
    experiment: Experiment,
    runs: Mapping[Run, RunResult],
    files: Mapping[str, File],
    code: Code,
    descriptions: Mapping[str, str],
) -> str:
    """The text of `ro-crate-metadata.json`; the same for the same arguments.

    Args:
        name: the experiment's name.
        experiment: the resolved experiment.
        runs: all runs.
        files: every other file of the archive.
        code: what made the archive.
        descriptions: what some of the files are.
    """
    from rocrate.model.computerlanguage import ComputerLanguage
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.softwareapplication import SoftwareApplication
    from rocrate.rocrate import ROCrate

    made = ROCrate(version="1.1")
    spans = {run: _span(record) for run, record in runs.items()}
    whole = _span_of(list(spans.values()))
    made.name = f"{name}: results of hyperparameter optimisation"
    made.description = experiment.description or f"Results of the experiment {name}, made by hypercurve."
    made.root_dataset["datePublished"] = whole[1]
    made.root_dataset["license"] = LICENCE
    profiles = [
        made.add(ContextEntity(made, url, {"@type": "CreativeWork", "name": title, "version": version}))
        for url, title, version in PROFILES
    ]
    made.root_dataset["conformsTo"] = profiles
    language = made.add(
        ComputerLanguage(
            made,
            "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
            {
                "name": "Snakemake",
                "alternateName": "SMK",
                "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bty350"},
                "url": {"@id": "https://snakemake.readthedocs.io"},
            },
        )
    )
    licence = {"name": "MIT License", "@type": "CreativeWork", "identifier": "MIT"}
    mit = made.add(ContextEntity(made, "https://spdx.org/licenses/MIT", licence))
    entities = {}
    for path in sorted(files):
        properties = {"name": path.rpartition("/")[2], "contentSize": str(files[path].bytes)}
        suffix = PurePosixPath(path).suffix
        if suffix in TYPES:
            properties["encodingFormat"] = TYPES[suffix]
        if path in descriptions:
            properties["description"] = descriptions[path]
        if path == WORKFLOW:
            workflow = made.add_workflow(None, path, properties=properties, main=True, lang=language)
            workflow["name"], workflow["license"] = "hypercurve", mit
            workflow["version"] = code.version
            entities[path] = workflow
        else:
            entities[path] = made.add_file(None, path, properties=properties)
    software: dict[str, object] = {
        "name": "hypercurve",
        "softwareVersion": f"{code.version}, commit {code.commit}" if code.commit else f"{code.version}, {code.source}",
        "license": mit,
        "description": "Hyperparameter optimisation of neural networks on clusters, as a Snakemake workflow in Python",
    }
    if LOCK in entities:
        software["softwareRequirements"] = entities[LOCK]
    program = made.add(SoftwareApplication(made, "#hypercurve", properties=software))
    results = [entity for path, entity in entities.items() if not path.startswith(("code/", "data/"))]
    made.add_action(
        entities[WORKFLOW],
        identifier=f"#{name}",
        object=entities["experiment.json"],
        result=[entity for entity in results if entity is not entities["experiment.json"]],
        properties={
            "name": f"The experiment {name}",
            "description": "All runs of all methods, and the tables, figures and report made of them",
            "startTime": whole[0],
            "endTime": whole[1],
            "actionStatus": COMPLETED,
        },
    )
    for (method, repeat), (start, end) in spans.items():
        made.add_action(
            program,
            identifier=f"#{name}/{method}/{repeat}",
            object=entities[f"runs/{method}/setting.json"],
            result=entities[f"runs/{method}/{repeat}/journal.jsonl"],
            properties={
                "name": f"Run {method}/{repeat} of {name}",
                "description": f"Repeat {repeat} of the method {method}",
                "startTime": start,
                "endTime": end,
                "actionStatus": COMPLETED,
            },
        )
    made.root_dataset["mentions"] = [entity for entity in made.contextual_entities if entity.type == "CreateAction"]
    if "README.md" in entities:
        entities["README.md"]["about"] = made.root_dataset
    generated = made.metadata.generate()
    generated["@graph"].sort(key=lambda entity: entity["@id"])
    return json.dumps(generated, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _span(run: RunResult) -> tuple[str, str]:
    """When a run began and ended by the clock, as ISO 8601 in UTC."""
    began = [event.began for event in run.events if event.began is not None]
    ended = [event.at for event in run.events if event.at is not None]
    return _say(min(began, default=0.0)), _say(max(ended, default=0.0))


def _span_of(spans: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return min(start for start, _ in spans), max(end for _, end in spans)


def _say(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="milliseconds")
