"""Making an archive of an experiment's results."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path

from .. import __version__
from ..config.code_files import SAME_CODE, code_files, model_digest, rule_files, rules_digest
from ..config.data import DataSpec
from ..config.experiment import Experiment
from ..config.model import label
from ..curves.record import PREPARED
from ..events import networks
from ..events.encoding import decode_line
from ..util.errors import UserError
from ..util.files import sha256
from ..util.provenance import PACKAGE, code_version, module_digests, source_digest
from ..util.user_code import below_here, code_sum, module_file
from .checking import Results, check, data_digest, function_file, table_files
from .contents import FORMAT, MANIFEST, Code, File, manifest_text
from .crate import CRATE, LOCK, WORKFLOW, crate
from .packing import ArchiveError, pack

README = "README.md"
DATA = "data/manifest.json"
USER_FILES = "code/user.json"
RULE_FILES = "code/user_rules.json"
LARGEST_SOURCE = 1 << 20
"""Bytes of a file of the user's code that is copied; of larger ones the sum is named."""
DESCRIPTIONS = {
    README: "What is in the archive, how to check it, how to make it again",
    MANIFEST: "Digests of all files, of the results and of the code",
    "experiment.json": "The experiment with all defaults filled in",
    "comparison.csv": "One row per method",
    "report.html": "Tables and figures in one file",
    DATA: "Shapes, sizes and sha256 sums of the data; not the data",
    USER_FILES: "What the user's own code consists of, with sha256 sums",
    RULE_FILES: "What the user's own searchers and stoppers consist of, with sha256 sums",
    LOCK: "The packages that the code is tested with",
}


def make(folder: Path, output: Path, data: Path | None = None, *, models: bool = False) -> str:
    """Archive an experiment's results: the same bytes from the same results and the same code.

    Args:
        folder: the results, as the workflow leaves them; its name is the experiment's.
        output: the file to write.
        data: folder of the prepared data; by default where the workflow puts it.
        models: whether the trained networks of the runs are part of it.

    Returns:
        The payload digest.

    Raises:
        ArchiveError: something is missing, damaged, or does not follow from the journals.
    """
    folder = folder.resolve()
    results = check(folder, folder.name)
    if results.problems or results.experiment is None or results.payload is None or results.data is None:
        problems = "\n  ".join(results.problems) or "no runs"
        raise ArchiveError(f"{folder}: these results cannot be archived\n  {problems}")
    experiment = results.experiment
    described = None
    if experiment.data is not None:
        described = (data or folder.parent / "data" / experiment.data.key) / "manifest.json"
        if data_digest(described) != results.data:
            raise ArchiveError(f"{described}: describes other data than the runs were trained on")
    files: dict[str, bytes | Path] = {name: folder / name for name in _own_files(folder, experiment)}
    if models:
        files |= _networks(folder, results)
    files |= _code_files() | _user_files(folder, experiment, results) | _rule_files(folder, experiment, results)
    if experiment.data is not None and described is not None:
        files[DATA] = described
        files |= _data_function(experiment.data, described)
    files[README] = _readme(folder.name, experiment, results).encode()
    commit = code_version(full=True)
    code = Code(
        version=__version__,
        commit=commit and commit.removesuffix("-dirty"),
        dirty=None if commit is None else commit.endswith("-dirty"),
        source=source_digest(),
        modules=module_digests(),
    )
    entries = {path: _entry(content) for path, content in files.items()}
    files[CRATE] = crate(folder.name, experiment, results.runs, entries, code, DESCRIPTIONS).encode()
    entries[CRATE] = _entry(files[CRATE])
    manifest = {
        "format": FORMAT,
        "experiment": folder.name,
        "payload": results.payload,
        "data": results.data,
        "code": code.model_dump(),
        "files": {path: entry.model_dump() for path, entry in entries.items()},
    }
    files[MANIFEST] = manifest_text(manifest).encode()
    pack({f"{folder.name}/{path}": content for path, content in files.items()}, output)
    return results.payload


def _own_files(folder: Path, experiment: Experiment) -> list[str]:
    """The results that are archived: all that the workflow makes but logs and recorded batches."""
    names = ["experiment.json", *table_files(experiment), *([SAME_CODE] if (folder / SAME_CODE).is_file() else [])]
    for method, options in experiment.methods.items():
        names.append(f"runs/{method}/setting.json")
        if options.record:
            names.append(f"runs/{method}/{PREPARED}")
        names += [f"runs/{method}/{repeat}/journal.jsonl" for repeat in range(experiment.repeats)]
    names += [path.relative_to(folder).as_posix() for path in sorted(folder.glob("figures/[!.]*.*")) if path.is_file()]
    if experiment.retrain:
        names += [
            path.relative_to(folder).as_posix()
            for path in sorted(folder.glob("schedules/*/*/[!.]*.*"))
            if path.is_file()
        ]
    return [*names, "report.html"] if (folder / "report.html").is_file() else names


def _networks(folder: Path, results: Results) -> dict[str, bytes | Path]:
    """The trained networks that runs have kept.

    Raises:
        ArchiveError: there are none, or one is not what its run wrote.
    """
    found: dict[str, bytes | Path] = {}
    for (method, repeat), lines in results.journals.items():
        own = f"runs/{method}/{repeat}"
        if said := networks.problem(folder / own, decode_line(lines[-1]).wall.network):
            raise ArchiveError(f"{folder}/{own}/{said}")
        if path := networks.find(folder / own):
            found[f"{own}/{path.name}"] = path
    if not found:
        raise ArchiveError(f"{folder}: no run has kept a trained network; archive it without --models")
    return found


def _code_files() -> dict[str, bytes | Path]:
    """The workflow, and the lock: what tells how the package was called, where this is a checkout.

    Without one, a workflow in words stands in its place, since a Workflow Run Crate has one.
    """
    root = PACKAGE.parents[1]
    if not (root / "Snakefile").is_file():
        return {WORKFLOW: b"# hypercurve was installed without its workflow when this archive was made.\n"}
    found: dict[str, bytes | Path] = {
        WORKFLOW: root / "Snakefile",
        "code/workflow/Snakefile": root / "workflow" / "Snakefile",
    }
    found |= {f"code/rules/{path.name}": path for path in sorted((root / "rules").glob("[!.]*.smk"))}
    if (lock := root / "envs" / "lock.txt").is_file():
        found[LOCK] = lock
    return found


def _user_files(folder: Path, experiment: Experiment, results: Results) -> dict[str, bytes | Path]:
    """The user's own code: a list of its files with their sums, and copies of those that are not large.

    Raises:
        ArchiveError: it is not what the runs were made with.
    """
    if isinstance(experiment.model, str):
        return {}
    made = {run.model for run in results.runs.values()}
    try:
        sources, digest = code_files(experiment.model), model_digest(experiment.model, folder)
    except UserError as error:
        raise ArchiveError(f"the code that the runs trained is to be archived with them: {error}") from None
    if made != {digest}:
        raise ArchiveError(f"{label(experiment.model)}: was changed after the runs were made; run the workflow again")
    return _copies(USER_FILES, sources)


def _rule_files(folder: Path, experiment: Experiment, results: Results) -> dict[str, bytes | Path]:
    """The same for searchers and stoppers of the user's own.

    Raises:
        ArchiveError: they are not what decided the runs.
    """
    sources: dict[str, Path] = {}
    for name, method in experiment.methods.items():
        sources |= rule_files(method)
        made = {run.rules for (of, _), run in results.runs.items() if of == name}
        if made != {rules_digest(method, folder)}:
            raise ArchiveError(
                f"methods.{name}: its rules were changed after the runs were made; run the workflow again"
            )
    return _copies(RULE_FILES, sources) if sources else {}


def _copies(name: str, sources: Mapping[str, Path]) -> dict[str, bytes | Path]:
    """A list of files with their sums, that of their code too, and copies of those that are not large."""
    listed = {
        name: _entry(path).model_dump() | {"path": below_here(path), "code": code_sum(path.name, path.read_bytes())}
        for name, path in sources.items()
    }
    found: dict[str, bytes | Path] = {name: (json.dumps(listed, indent=1, sort_keys=True) + "\n").encode()}
    small = [path for path in sources.values() if path.stat().st_size <= LARGEST_SOURCE]
    return found | {f"code/user/{below_here(path)}": path for path in small}


def _data_function(spec: DataSpec, described: Path) -> dict[str, bytes | Path]:
    """A copy of the file whose function gave the data, if it is not large.

    Raises:
        ArchiveError: it is not what the data were made with.
    """
    if spec.function is None:
        return {}
    try:
        path = module_file(spec.function.partition(":")[0], "data.function")
    except UserError as error:
        raise ArchiveError(f"the code that made the data is to be archived with them: {error}") from None
    made = function_file(described)
    if made is None or made.sha256 != sha256(path):
        raise ArchiveError(f"{spec.function}: was changed after the data were made; run the workflow again")
    return {f"code/user/{below_here(path)}": path} if made.bytes <= LARGEST_SOURCE else {}


def _entry(content: bytes | Path) -> File:
    if isinstance(content, Path):
        return File(bytes=content.stat().st_size, sha256=sha256(content))
    return File(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _readme(name: str, experiment: Experiment, results: Results) -> str:
    """What a person finds first. Only what follows from the results and the code stands in it."""
    runs = ", ".join(f"{method}/0" for method in experiment.methods)
    if experiment.repeats > 1:
        runs += f" and so on to {experiment.repeats - 1}"
    origins = {json.dumps(run.begun.origin, sort_keys=True) for run in results.runs.values()}
    source = _source(experiment.data, results)
    brought = not isinstance(experiment.model, str) or (experiment.data is not None and experiment.data.function)
    brought = brought or any(map(rule_files, experiment.methods.values()))
    own = f"\n    cp -r {shlex.quote(name)}/code/user/. ." if brought else ""
    first = f"{next(iter(experiment.methods))}/0"
    return f"""\
# {name}

{escape(experiment.description, quote=False) or "Results of an experiment with hypercurve."}

Runs: {runs}. The runs were made by {len(origins)} installation(s); the first line of each journal says by what.

Payload digest, equal for every run of this experiment: `{results.payload}`

## Check

    hypercurve verify {name}.tar.gz                    # every digest; journals decided anew; tables made again
    hypercurve verify {name}.tar.gz --rerun {first}    # trains a run again, compares event for event

## Make again

In a checkout of the commit that `manifest.json` names under `code`, with the packages of `code/envs/lock.txt`
(`make env`); `experiment.json` is an experiment file as it is, since JSON is YAML:

    cp {shlex.quote(name)}/experiment.json config/experiments/{name}.yaml{own}
    snakemake results/{name}.tar.gz

{source}
"""


def _source(data: DataSpec | None, results: Results) -> str:
    if data is None:
        return "Data: what the model brings itself."
    given = (
        f"the file `{escape(data.path, quote=False)}` must be there."
        if data.path
        else f"`{data.name or data.function}`, by name."
    )
    return f"Data: {given} Its digest is `{results.data}`; `data/manifest.json` has the sums of its parts."
