"""Checking an archive, which may come from a stranger: nothing in it is run or imported, nothing is unpickled."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..config.code_files import rule_modules, same_code
from ..events import networks
from ..events.encoding import decode_line
from ..util.errors import UserError
from ..util.files import sha256
from ..util.provenance import module_digests
from ..util.user_code import code_sum, digest_of, without_imports
from .checking import Results, check, data_digest, function_file
from .contents import MANIFEST, Manifest, read_manifest
from .making import DATA, LARGEST_SOURCE, README, RULE_FILES, USER_FILES
from .packing import LIMITS, ArchiveError, Limits, unpack

_HTML = re.compile(rb"<[a-zA-Z/!?]")


@dataclass(frozen=True)
class Verdict:
    """What is known of an archive after checking it.

    Attributes:
        manifest: what it says of itself.
        results: what its results say.
        problems: what is missing, changed, or does not follow; empty if all is well.
        differing: modules that this installation has otherwise than the archive's.
    """

    manifest: Manifest
    results: Results
    problems: list[str]
    differing: list[str]


def verify(archive: Path, folder: Path, limits: Limits = LIMITS, trust: bool = False) -> Verdict:
    """Unpack an archive and check everything in it.

    Args:
        archive: the file.
        folder: an empty folder to unpack to.
        trust: whether searchers and stoppers of the user's own may be imported, to check what they decided.

    Returns:
        The verdict.

    Raises:
        ArchiveError: it is not safe to open, or no archive of results.
    """
    names = unpack(archive, folder, limits)
    tops = {name.partition("/")[0] for name in names}
    if len(tops) != 1:
        raise ArchiveError(f"{archive}: must hold one folder, but holds {len(tops)}")
    (top,) = tops
    root = folder / top
    try:
        manifest = read_manifest(root / MANIFEST)
    except ArchiveError as error:
        raise ArchiveError(f"{archive}: {top}/{error}") from None
    problems = list(_files(root, manifest, {name.removeprefix(f"{top}/") for name in names}))
    if manifest.experiment != top:
        problems.append(f"{MANIFEST}: is of the experiment {manifest.experiment!r}, but the folder is {top!r}")
    with without_imports(not trust):
        results = check(root, top)
    problems += results.problems
    problems += _manifest(root, manifest, results)
    mine = module_digests()
    theirs = manifest.code.modules
    differing = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
    return Verdict(manifest, results, list(dict.fromkeys(problems)), differing)


def _files(root: Path, manifest: Manifest, names: set[str]) -> Iterator[str]:
    """Files that are missing, changed, or not in the manifest."""
    for name, entry in manifest.files.items():
        if name not in names:
            yield f"{name[:200]}: is missing"
        elif (size := (root / name).stat().st_size) != entry.bytes:
            yield f"{name}: was changed: has {size} bytes in place of {entry.bytes}"
        elif sha256(root / name) != entry.sha256:
            yield f"{name}: was changed: does not have the sha256 sum that {MANIFEST} names"
    if (root / README).is_file() and _HTML.search((root / README).read_bytes()):
        yield f"{README}: holds HTML, which ours never does: a browser that shows it would act on it"
    for name in sorted(names - {*manifest.files, MANIFEST}):
        yield f"{name}: was added: {MANIFEST} does not know it"


def _manifest(root: Path, manifest: Manifest, results: Results) -> Iterator[str]:
    """What the manifest says of the results, held to them."""
    if results.payload is not None and manifest.payload != results.payload:
        yield f"{MANIFEST}: names the payload digest {manifest.payload}, but that of the results is {results.payload}"
    if results.data is not None and manifest.data != results.data:
        yield f"{MANIFEST}: names the data {manifest.data}, but the runs were trained on {results.data}"
    for (method, repeat), lines in results.journals.items():
        own = f"runs/{method}/{repeat}"
        if found := networks.problem(root / own, decode_line(lines[-1]).wall.network):
            yield f"{own}/{found}"
    yield from _user_code(root, manifest, results)
    if results.experiment is not None and results.experiment.data is None:
        return
    try:
        described = data_digest(root / DATA)
    except UserError as error:
        yield str(error).replace(f"{root}/", "")
    else:
        if results.data is not None and described != results.data:
            yield f"{DATA}: describes the data {described}, but the runs were trained on {results.data}"
        yield from _data_function(root, manifest, results)


def _user_code(root: Path, manifest: Manifest, results: Results) -> Iterator[str]:
    """What the archive says of the user's own code, held to its copies and to what journals say."""
    if results.experiment is None:
        return
    try:
        kept = same_code(root)
    except UserError as error:
        yield str(error).replace(f"{root}/", "")
        return
    methods = results.experiment.methods
    own = {name: rule_modules(method) for name, method in methods.items()}
    for key, file, wanted in (
        ("model", USER_FILES, not isinstance(results.experiment.model, str)),
        ("rules", RULE_FILES, any(own.values())),
    ):
        if not wanted:
            continue
        try:
            listed = json.loads((root / file).read_text(encoding="utf-8"))
            sums = {str(name): str(entry.get("code", entry["sha256"])) for name, entry in listed.items()}
            copies = {f"code/user/{entry['path']}": entry for entry in listed.values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield f"{file}: is missing or damaged, so nothing tells what was trained"
            continue
        for name, entry in manifest.files.items():
            if name in copies and not _is_copy(root / name, entry.sha256, copies[name]):
                yield f"{name}: is not what {file} says of it"
        for (method, repeat), run in results.runs.items():
            some = sums if key == "model" else {name: sums[name] for name in own[method] if name in sums}
            digest = digest_of(some) if some else None
            if getattr(run, key) != (digest and kept.get(digest, digest)):
                yield f"runs/{method}/{repeat}/journal.jsonl: was made with other code than {file} lists"


def _is_copy(path: Path, digest: str, listed: Mapping[str, str]) -> bool:
    """Whether a copy of a user's file, with this sha256 sum, is what the list says of it."""
    if digest != listed["sha256"]:
        return False
    return not path.is_file() or listed.get("code") in (None, code_sum(path.name, path.read_bytes()))


def _data_function(root: Path, manifest: Manifest, results: Results) -> Iterator[str]:
    """What the archive holds of the function that gave the data, held to what was noted when it gave them."""
    spec = None if results.experiment is None else results.experiment.data
    if spec is None or spec.function is None:
        return
    made = function_file(root / DATA)
    if made is None:
        yield f"{DATA}: does not say which file of code gave the data"
    elif made.bytes <= LARGEST_SOURCE and made.sha256 not in {
        entry.sha256 for name, entry in manifest.files.items() if name.startswith("code/user/")
    }:
        yield f"code/user: holds no copy of the file with {spec.function} that gave the data"


def command(archive: Path, rerun: str | None = None, data: Path | None = None, trust: bool = False) -> None:
    """Check an archive and say what came out; with a run's name, train that run again and compare.

    Args:
        archive: the file.
        rerun: METHOD/REPEAT.
        data: folder of prepared data for the rerun; by default they are prepared anew.
        trust: whether code that the archive names may be run: its own searchers and stoppers, and what is rerun.

    Raises:
        ArchiveError: something is wrong; the message lists all of it.
    """
    with TemporaryDirectory(prefix="hypercurve-") as temporary:
        folder = Path(temporary) / "archive"
        folder.mkdir()
        verdict = verify(archive, folder, trust=trust)
        if verdict.problems:
            shown = verdict.problems[:100]
            rest = len(verdict.problems) - len(shown)
            lines = "\n  ".join(_printable(text) for text in [*shown, *([f"and {rest} more"] if rest else [])])
            raise ArchiveError(f"{archive}: does not verify\n  {lines}")
        manifest, results = verdict.manifest, verdict.results
        print(f"{archive}: all {len(manifest.files)} files and {len(results.runs)} runs are as they were archived")
        print(f"payload digest  {manifest.payload}")
        print(f"content digest  {manifest.digest}")
        tree = {True: ", with changed files", False: "", None: ""}[manifest.code.dirty]
        code = f"hypercurve {manifest.code.version}, commit {manifest.code.commit or 'unknown'}{tree}"
        print(f"made by         {_printable(code)}")
        if results.unchecked:
            rules = ", ".join(sorted(results.unchecked))
            said = f"what {rules} decided was not decided anew: look at code/user, copy it here, then add --trust"
            print(f"not checked     {_printable(said)}", file=sys.stderr)
        if verdict.differing:
            print(f"this code       differs from it in {len(verdict.differing)} modules", file=sys.stderr)
        if rerun is not None:
            from .rerunning import compared_seconds
            from .rerunning import rerun as again

            events, seconds = again(manifest, results, rerun, Path(temporary), data, trust)
            print(f"rerun           {rerun}: all {events} events came out equal")
            method, _, repeat = rerun.partition("/")
            said = compared_seconds(results.runs[method, int(repeat)].seconds, seconds)
            print(f"seconds         {said}")


def _printable(text: str) -> str:
    """Text without characters that a terminal would act on."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
