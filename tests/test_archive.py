"""Archives: equal results give equal bytes, damage is found, hostile files are refused, runs can be run again."""

import gzip
import hashlib
import importlib.util
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, changed, resealed, unsealed
from hypercurve.archive.contents import MANIFEST, manifest_text, payload_digest, read_manifest
from hypercurve.archive.making import make
from hypercurve.archive.packing import ArchiveError, Limits, pack, unpack
from hypercurve.archive.verifying import verify
from hypercurve.cli import main
from hypercurve.config.files import read_experiment, read_resolved
from hypercurve.events.journal import read_lines
from results_data import SMALL, call, in_a_process, make_results

pytestmark = pytest.mark.slow

ARCHIVED = SMALL + "figures: [best]\n"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("made"), ARCHIVED, figures=True)


@pytest.fixture(scope="module")
def archive(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "small.tar.gz"
    make(results, path)
    return path


@pytest.fixture
def opened(archive: Path, tmp_path: Path) -> Path:
    """The archive's folder, unpacked, to be damaged."""
    unpack(archive, tmp_path / "opened")
    return tmp_path / "opened" / "small"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def packed(folder: Path, output: Path) -> Path:
    """A folder as an archive, whatever is in it."""
    files = {f"{folder.name}/{p.relative_to(folder).as_posix()}": p for p in folder.rglob("*") if p.is_file()}
    pack(files, output)
    return output


def problems(archive: Path, folder: Path) -> list[str]:
    folder.mkdir()
    return verify(archive, folder).problems


# The same bytes


def test_copies_of_results_in_other_places_give_equal_archives(results: Path, archive: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "deep" / "results"
    shutil.copytree(results.parent, copy)  # copies times too
    for path in (copy / "small").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(stat.S_IRWXU)
    (copy / "small" / "logs").mkdir(exist_ok=True)
    (copy / "small" / "logs" / "search.log").write_text("no result")
    make(copy / "small", tmp_path / "other.tar.gz")
    assert sha256(tmp_path / "other.tar.gz") == sha256(archive)


@pytest.mark.slow
def test_bytes_do_not_hang_on_time_zone_locale_or_hashes(results: Path, archive: Path, tmp_path: Path) -> None:
    environment = os.environ | {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-m", "hypercurve", "archive", str(results), "-o", str(tmp_path / "a.tar.gz")]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert sha256(tmp_path / "a.tar.gz") == sha256(archive)


def test_members_are_sorted_and_say_nothing_of_who_packed_them_when(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0o644, 0, 0, "", "", 0)}


def test_the_wrapping_is_gzip_that_no_compressor_decided(archive: Path, tmp_path: Path) -> None:
    raw = archive.read_bytes()
    assert raw[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    content = gzip.decompress(raw)
    assert len(content) % 10240 == 0
    assert len(raw) == 10 + 8 + len(content) + 5 * (len(content) // 65535 + 1)
    if (tool := shutil.which("gzip")) is not None:
        assert subprocess.run([tool, "--test", str(archive)], check=False).returncode == 0


def test_an_archive_compressed_for_sending_opens_all_the_same(archive: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent.tar.gz"
    sent.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()), 9))
    assert sent.stat().st_size < archive.stat().st_size
    assert problems(sent, tmp_path / "opened") == []


@pytest.mark.slow
def test_two_independent_runs_have_equal_payload_digests(results: Path, archive: Path, tmp_path: Path) -> None:
    again = make_results(tmp_path, ARCHIVED)
    journal = Path("runs/lcm/1/journal.jsonl")
    assert (again / journal).read_bytes() != (results / journal).read_bytes(), "the clock went on"
    assert make(again, tmp_path / "again.tar.gz") == make(results, tmp_path / "small.tar.gz")


@pytest.mark.slow
def test_another_seed_has_another_payload_digest(results: Path, tmp_path: Path) -> None:
    other = make_results(tmp_path, ARCHIVED + "seed: 1\n")
    assert make(other, tmp_path / "other.tar.gz") != make(results, tmp_path / "small.tar.gz")


def test_payload_leaves_out_the_clock_and_nothing_else(results: Path) -> None:
    experiment = read_resolved(results / "experiment.json")
    journals = {
        (method, repeat): read_lines(results / "runs" / method / str(repeat) / "journal.jsonl")[0]
        for method in experiment.methods
        for repeat in range(experiment.repeats)
    }
    before = payload_digest(experiment, journals)
    journals["lcm", 0][3] = dict(reversed(journals["lcm", 0][3].items())) | {"wall": {"seconds": 1e9, "worker": 7}}
    assert payload_digest(experiment, journals) == before
    journals["lcm", 0][3]["time"] += 1e-12
    assert payload_digest(experiment, journals) != before


# What is in it


def test_archive_holds_what_the_results_are_and_how_to_make_them_again(opened: Path) -> None:
    there = {path.relative_to(opened).as_posix() for path in opened.rglob("*") if path.is_file()}
    assert {"experiment.json", "comparison.csv", "budgets.csv", "report.html", "README.md", MANIFEST} <= there
    assert {"figures/best.svg", "figures/best.png", "data/manifest.json", "ro-crate-metadata.json"} <= there
    assert {"runs/lcm/1/journal.jsonl", "runs/lcm/1/trials.csv", "runs/pbt/0/lineage.csv"} <= there
    assert {"code/Snakefile", "code/workflow/Snakefile", "code/envs/lock.txt", "code/rules/archive.smk"} <= there
    manifest = read_manifest(opened / MANIFEST)
    assert manifest.code.modules["runs/run.py"] == sha256(ROOT / "workflow" / "hypercurve" / "runs/run.py")
    assert set(manifest.files) == there - {MANIFEST}
    assert (opened / "code/envs/lock.txt").read_bytes() == (ROOT / "envs/lock.txt").read_bytes()


def test_journals_say_what_made_them(opened: Path) -> None:
    origin = read_lines(opened / "runs/lcm/0/journal.jsonl")[0][0]["wall"]["origin"]
    assert origin["source"] == read_manifest(opened / MANIFEST).code.source
    assert origin["versions"]["numpy"]
    assert origin["cores"] == os.cpu_count()


def test_the_experiment_in_an_archive_is_an_experiment_file(opened: Path, tmp_path: Path) -> None:
    copy = tmp_path / "small.yaml"
    shutil.copy(opened / "experiment.json", copy)
    again, before = read_experiment(copy), read_resolved(opened / "experiment.json")
    assert {again.setting("small", m).digest for m in again.methods} == {
        before.setting("small", m).digest for m in before.methods
    }


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "runs/lcm/0/journal.jsonl").unlink(), "runs/lcm/0/journal.jsonl"),
        (lambda folder: (folder / "comparison.csv").unlink(), "comparison.csv: is missing"),
        (lambda folder: edit(folder / "runs/lcm/0/trials.csv", "completed", "stopped"), "runs/lcm/0/trials.csv: row"),
        (lambda folder: edit(folder / "runs/lcm/setting.json", "0.3", "0.4"), "runs/lcm/setting.json: differs"),
        (lambda folder: shutil.rmtree(folder.parent / "data"), "manifest.json: cannot be read"),
    ],
)
def test_results_that_do_not_hold_together_are_not_archived(
    results: Path, tmp_path: Path, damage: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(results.parent, tmp_path / "results")
    damage(tmp_path / "results" / "small")
    assert main(["archive", str(tmp_path / "results" / "small"), "-o", str(tmp_path / "a.tar.gz")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "a.tar.gz").exists()


# Verifying


def test_an_archive_verifies(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(archive)]) == 0
    said = capsys.readouterr().out
    assert "6 runs are as they were archived" in said
    assert "payload digest" in said


def edit(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))
    reseal(path)


def lines_of(path: Path, change: Callable[[list[str]], object]) -> None:
    lines = path.read_text().splitlines(keepends=True)
    change(lines)
    path.write_text("".join(lines))
    reseal(path)


def reseal(path: Path) -> None:
    """Whoever forges a journal makes its checksums fit."""
    if path.suffix == ".jsonl":
        path.write_bytes(resealed(path.read_bytes().splitlines()))


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def sign(folder: Path) -> None:
    """Make the manifest fit the files again: what a forger would do."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    (folder / MANIFEST).write_text(manifest_text(manifest))


JOURNAL = "runs/lcm/1/journal.jsonl"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of a journal": (lambda f: flip(f / JOURNAL), f"{JOURNAL}: was changed"),
    "a journal cut short": (lambda f: lines_of(f / JOURNAL, lambda ls: ls.pop()), f"{JOURNAL}: was changed: has"),
    "a journal missing": (lambda f: (f / JOURNAL).unlink(), "runs/lcm/1/journal.jsonl: is missing"),
    "the clock in a journal": (lambda f: edit(f / JOURNAL, '"worker":0', '"worker":1'), f"{JOURNAL}: was changed"),
    "a setting": (lambda f: edit(f / "runs/lcm/setting.json", '"slots": 2', '"slots": 3'), "lcm/setting.json: differs"),
    "a setting missing": (lambda f: (f / "runs/lcm/setting.json").unlink(), "lcm/setting.json: is missing"),
    "the experiment": (lambda f: edit(f / "experiment.json", "a small", "a large"), "experiment.json: was changed"),
    "the experiment missing": (lambda f: (f / "experiment.json").unlink(), "experiment.json: is missing"),
    "a table": (lambda f: flip(f / "runs/lcm/0/trials.csv"), "runs/lcm/0/trials.csv: was changed"),
    "a table missing": (lambda f: (f / "comparison.csv").unlink(), "comparison.csv: is missing"),
    "a figure": (lambda f: flip(f / "figures/best.svg"), "figures/best.svg: was changed"),
    "a figure missing": (lambda f: (f / "figures/best.png").unlink(), "figures/best.png: is missing"),
    "the report": (lambda f: flip(f / "report.html"), "report.html: was changed"),
    "the report emptied": (lambda f: (f / "report.html").write_text(""), "report.html: was changed: has 0 bytes"),
    "the lock": (lambda f: edit(f / "code/envs/lock.txt", "numpy==", "numpy=="[::-1]), "code/envs/lock.txt: was"),
    "the workflow": (lambda f: flip(f / "code/Snakefile"), "code/Snakefile: was changed"),
    "the readme": (lambda f: flip(f / "README.md"), "README.md: was changed"),
    "the crate": (lambda f: flip(f / "ro-crate-metadata.json"), "ro-crate-metadata.json: was changed"),
    "the data's sums": (lambda f: flip(f / "data/manifest.json"), "data/manifest.json: was changed"),
    "a file added": (lambda f: (f / "runs/lcm/2.txt").write_text("x"), "runs/lcm/2.txt: was added"),
    "a pickle added": (lambda f: (f / "weights.pkl").write_bytes(b"\x80\x04."), "weights.pkl: was added"),
    "two files swapped": (lambda f: swap(f / "runs/lcm/0/trials.csv", f / "runs/lcm/1/trials.csv"), "was changed"),
}


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(opened: Path, tmp_path: Path, kind: str) -> None:
    damage, said = DAMAGE[kind]
    damage(opened)
    found = problems(packed(opened, tmp_path / "damaged.tar.gz"), tmp_path / "again")
    assert any(said in text for text in found), found


def fewer_seconds(folder: Path) -> None:
    edit_json_line(folder / JOURNAL, -3, lambda line: line["wall"].update(seconds=1e6))


def edit_json_line(path: Path, index: int, change: Callable[[dict[str, Any]], object]) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines[index])
    path.write_bytes(resealed(lines))


def stop_instead(folder: Path) -> None:
    """The first decision to go on after a report, made a decision to stop."""
    lines = [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]
    line = next(line for line in lines if line["event"] == "reported" and "continue" in line["then"][0])
    line["then"][0] = {"stop": line["trial"]}
    (folder / JOURNAL).write_bytes(resealed(lines))


FORGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (lambda f: flip(f / JOURNAL), "damaged line"),
    "a decision": (stop_instead, f"{JOURNAL}:"),
    "a configuration": (lambda f: edit(f / JOURNAL, '"momentum":0.', '"momentum":0.0'), f"{JOURNAL}:"),
    "an event left out": (lambda f: lines_of(f / JOURNAL, lambda ls: ls.pop(4)), f"{JOURNAL}:"),
    "two events swapped": (lambda f: lines_of(f / JOURNAL, lambda ls: ls.insert(4, ls.pop(6))), f"{JOURNAL}:"),
    "an event twice": (lambda f: lines_of(f / JOURNAL, lambda ls: ls.insert(4, ls[4])), f"{JOURNAL}:"),
    "the end left out": (lambda f: lines_of(f / JOURNAL, lambda ls: ls.pop()), f"{JOURNAL}: its run has not ended"),
    "half a last line": (lambda f: (f / JOURNAL).write_text((f / JOURNAL).read_text()[:-9]), "is cut short"),
    "another repeat's journal": (lambda f: shutil.copy(f / "runs/lcm/0/journal.jsonl", f / JOURNAL), f"{JOURNAL}:1: says"),
    "another method's journal": (lambda f: shutil.copy(f / "runs/random/1/journal.jsonl", f / JOURNAL), f"{JOURNAL}:1"),
    "another chosen trial": (lambda f: edit(f / JOURNAL, '"finished","best":', '"finished","best":1'), f"{JOURNAL}:"),
    "a performance": (lambda f: edit_json_line(f / JOURNAL, -3, lambda d: d["metrics"].update(loss=0.5)), "payload digest"),
    "seconds of training": (fewer_seconds, "runs/lcm/1/trials.csv: row"),
    "a cell of a table": (lambda f: edit(f / "comparison.csv", "random,2,", "random,3,"), "comparison.csv: row 2 says '3'"),
    "a row of a table": (lambda f: lines_of(f / "runs/pbt/0/schedule.csv", lambda ls: ls.pop()), "has fewer rows"),
    "a column of a table": (lambda f: edit(f / "budgets.csv", ",budget", ",budget,x"), "budgets.csv: row 1 has"),
    "a run missing": (lambda f: shutil.rmtree(f / "runs/lcm/1"), f"{JOURNAL}: cannot be read"),
    "a million empty lines": (lambda f: (f / JOURNAL).write_text("{}\n" * 1_000_000), f"{JOURNAL}:1: must be the run"),
    "all lines of a journal": (lambda f: (f / JOURNAL).write_text(""), f"{JOURNAL}: is empty"),
    "a journal of nonsense": (lambda f: (f / JOURNAL).write_text('{"event":"run","samples":1e999}\n'), f"{JOURNAL}:1"),
    "numbers beyond all bounds": (
        lambda f: edit_json_line(f / JOURNAL, -1, lambda d: d["metrics"].update(test_loss=10**400)), JOURNAL),
    "another setting": (lambda f: edit(f / "runs/lcm/setting.json", '"slots": 2', '"slots": 3'), "setting.json: differs"),
    "more repeats": (lambda f: edit(f / "experiment.json", '"repeats": 2', '"repeats": 3'), "runs/lcm/2/journal.jsonl"),
    "another seed": (lambda f: edit(f / "experiment.json", '"seed": 0,', '"seed": 1,', 3), "experiment.json says"),
    "a grid without end": (
        lambda f: edit(f / "experiment.json", '"random": {}', '"grid": {"points": 10000}'),
        "experiment.json"),
    "other data": (
        lambda f: edit_json(f / "data/manifest.json", lambda d: d["files"]["x_test"].update(sha256="0" * 64)),
        "data/manifest.json: describes the data"),
    "no data": (lambda f: (f / "data/manifest.json").write_text("[]"), "data/manifest.json: is no manifest"),
    "another payload": (
        lambda f: edit_json(f / MANIFEST, lambda d: d.update(payload="0" * 64)), "names the payload digest 0000"),
    "another experiment's name": (
        lambda f: edit_json(f / MANIFEST, lambda d: d.update(experiment="other")), "is of the experiment 'other'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
def test_forged_results_are_found_though_all_digests_fit(opened: Path, tmp_path: Path, kind: str) -> None:
    forge, said = FORGED[kind]
    forge(opened)
    sign(opened)
    found = problems(packed(opened, tmp_path / "forged.tar.gz"), tmp_path / "again")
    assert any(said in text for text in found), found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["code"].update(dirty=None, commit=None), "was changed"),
        (lambda d: d["code"]["modules"].update({"runs/run.py": "0" * 64}), "was changed"),
        (lambda d: d.update(format=2), "is of format 2"),
        (lambda d: d.update(extra=1), "is damaged: 'extra'"),
        (lambda d: d.pop("files"), "is damaged: 'files'"),
        (lambda d: d["files"].update({"../../x": {"bytes": 1, "sha256": "0" * 64}}), "was changed"),
    ],
)
def test_a_changed_manifest_is_found(opened: Path, tmp_path: Path, change: Callable[[Any], object], said: str) -> None:
    edit_json(opened / MANIFEST, change)
    with pytest.raises(ArchiveError, match=said):
        problems(packed(opened, tmp_path / "a.tar.gz"), tmp_path / "again")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "[" * 100_000, '{"format": 1}', '{"format": ' + "9" * 5000 + "}", "\x00"]
)
def test_a_manifest_that_is_none_is_refused(opened: Path, tmp_path: Path, text: str) -> None:
    (opened / MANIFEST).write_text(text)
    with pytest.raises(ArchiveError, match=MANIFEST):
        problems(packed(opened, tmp_path / "a.tar.gz"), tmp_path / "again")


def test_a_path_in_the_manifest_that_leaves_the_folder_is_only_missing(opened: Path, tmp_path: Path) -> None:
    manifest = json.loads((opened / MANIFEST).read_text())
    manifest["files"]["../../../etc/passwd"] = {"bytes": 1, "sha256": "0" * 64}
    (opened / MANIFEST).write_text(manifest_text(manifest))
    found = problems(packed(opened, tmp_path / "a.tar.gz"), tmp_path / "again")
    assert found == ["../../../etc/passwd: is missing"]


def test_whole_archives_that_are_damaged_are_refused(archive: Path, tmp_path: Path) -> None:
    raw = archive.read_bytes()
    tar = gzip.decompress(raw)
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 4
    header = bytearray(tar)
    header[150] ^= 1  # the checksum of the first header
    cases = {
        "cut short": raw[: len(raw) // 2],
        "is damaged": bytes(flipped),
        "no gzip": b"PK\x03\x04" + raw,
        "something follows its end": gzip.compress(tar + b"x"),
        "something follows": raw + gzip.compress(bytes(30_000)),
        "no header": gzip.compress(bytes(header)),
        "is cut short": gzip.compress(tar[:-12000]),
    }
    for said, content in cases.items():
        path = tmp_path / "damaged.tar.gz"
        path.write_bytes(content)
        folder = tmp_path / hashlib.sha256(content).hexdigest()[:9]
        with pytest.raises(ArchiveError, match=said):
            problems(path, folder)


# Archives from strangers


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, **fields: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content) if kind == tarfile.REGTYPE else 0
    for key, value in fields.items():
        setattr(info, key, value)
    header = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    return header + content + bytes(-len(content) % 512) if kind == tarfile.REGTYPE else header


def old_tar(name: str, target: str, kind: bytes) -> bytes:
    return member(name, kind=kind, linkname=target)


def pax() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("e/" + "long" * 80)
        tar.addfile(info)
    return stream.getvalue()[:-10240].rstrip(b"\0") or stream.getvalue()


HOSTILE: dict[str, bytes] = {
    "an absolute path": member("/etc/cron.d/x"),
    "a path upward": member("e/../../x"),
    "a path upward only": member(".."),
    "the folder itself": member("e/."),
    "an empty name": member(""),
    "an empty part": member("e//x"),
    "a hidden file": member("e/.bashrc"),
    "a folder's name": member("e/x/"),
    "a backslash": member("e\\..\\x"),
    "a drive": member("C:x"),
    "an escape sequence": member("e/\x1b[2Jx"),
    "a line feed": member("e/a\nb"),
    "a space": member("e/a b"),
    "letters that turn round": member("e/\u202egpj.exe"),
    "an option": member("-rf"),
    "a deep path": member("/".join("abcdefghijklmnop")),
    "a symbolic link": old_tar("e/x", "/etc/passwd", tarfile.SYMTYPE),
    "a hard link": old_tar("e/x", "/etc/passwd", tarfile.LNKTYPE),
    "a regular file that links": member("e/x", linkname="/etc/passwd"),
    "a character device": member("e/x", kind=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a block device": member("e/x", kind=tarfile.BLKTYPE),
    "a pipe": member("e/x", kind=tarfile.FIFOTYPE),
    "a folder": member("e/x", kind=tarfile.DIRTYPE),
    "a sparse file": member("e/x", kind=tarfile.GNUTYPE_SPARSE),
    "a long name": member("e/" + "long" * 80),
    "extended headers": pax(),
    "the same file twice": member("e/x") + member("e/x", b"y"),
    "the same file twice, apart": member("e/x") + member("e/y") + member("e/x", b"y"),
    "a file as a folder": member("e/x") + member("e/x/y"),
    "a folder as a file": member("e/x/y") + member("e/x"),
    "a file of eight terabytes": member("e/x", size=8 << 40),
    "a file of less than nothing": member("e/x", size=-512),
    "a name that says less than it is": member("e/x", content=b"x" * 600, size=100),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_and_nothing_is_written_elsewhere(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.tar.gz"
    path.write_bytes(gzip.compress(HOSTILE[kind] + bytes(10240)))
    inner = tmp_path / "here" / "inner"
    inner.mkdir(parents=True)
    with pytest.raises(ArchiveError, match=r"hostile\.tar\.gz: ") as caught:
        unpack(path, inner)
    assert str(caught.value).isprintable()
    assert {p.name for p in tmp_path.iterdir()} == {"hostile.tar.gz", "here"}
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["inner"]
    assert not any(p.is_symlink() for p in inner.rglob("*"))


@pytest.mark.parametrize(
    ("limits", "content"),
    [
        (Limits(files=3), b"".join(member(f"e/x{n}") for n in range(5))),
        (Limits(file=1000), member("e/x", bytes(2000))),
        (Limits(total=3000), b"".join(member(f"e/x{n}", bytes(900)) for n in range(5))),
    ],
)
def test_more_than_the_limits_is_not_unpacked(tmp_path: Path, limits: Limits, content: bytes) -> None:
    path = tmp_path / "large.tar.gz"
    path.write_bytes(gzip.compress(content + bytes(10240)))
    with pytest.raises(ArchiveError, match="more than is unpacked"):
        unpack(path, tmp_path / "inner", limits)


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(member("e/x", size=2 << 30))
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="more than is unpacked"):
        unpack(path, tmp_path / "inner")
    assert not (tmp_path / "inner" / "e" / "x").exists()


def test_zeros_without_end_after_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tail.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(member("e/x"))
        for _ in range(64):
            file.write(bytes(1 << 20))
    with pytest.raises(ArchiveError, match="something follows its end"):
        unpack(path, tmp_path / "inner")


def test_verify_says_what_is_wrong_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.tar.gz"
    for content in (b"", gzip.compress(bytes(10240)), gzip.compress(member("e/x") + member("f/x") + bytes(10240))):
        path.write_bytes(content)
        assert main(["verify", str(path)]) == 2
        assert "hypercurve verify: " in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "none.tar.gz")]) == 2


@pytest.mark.slow
def test_verifying_imports_nothing_that_trains(archive: Path) -> None:
    program = (
        "import sys; from hypercurve.cli import main; code = main(['verify', sys.argv[1]])\n"
        "print([name for name in ('tensorflow', 'keras', 'pickle5', 'mpi4py.MPI') if name in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(archive)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_names_that_no_archive_takes_are_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot stand in an archive"):
        pack({"e/../x": b""}, tmp_path / "a.tar.gz")
    with pytest.raises(ArchiveError, match="too long"):
        pack({"/".join(["n" * 90] * 4): b""}, tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


# Running again


@pytest.mark.parametrize("run", ["random/0", "lcm/1"])
def test_a_run_from_an_archive_comes_out_equal_when_run_again(
    archive: Path, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(archive), "--rerun", run]) == 0
    assert f"{run}: all " in capsys.readouterr().out


@pytest.mark.slow
def test_a_population_from_an_archive_comes_out_equal_when_run_again(archive: Path) -> None:
    in_a_process("verify", archive, "--rerun", "pbt/0")


def test_a_run_that_is_not_there_is_said_to_be(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(archive), "--rerun", "lmc/1"]) == 2
    assert "no run 'lmc/1'; did you mean 'lcm/1'?" in capsys.readouterr().err


def test_a_consistent_forgery_is_found_by_running_again(results: Path, tmp_path: Path) -> None:
    """A loss that decides nothing, made better; tables and digests made to fit."""
    shutil.copytree(results.parent, tmp_path / "results")
    forged = tmp_path / "results" / "small"
    run = forged / "runs/random/1"
    edit_json_line(run / "journal.jsonl", 2, lambda line: line["metrics"].update(loss=1e-3))
    call("trials", run.parent / "setting.json", run / "journal.jsonl", "-o", run / "trials.csv")
    make(forged, tmp_path / "forged.tar.gz")
    assert main(["verify", str(tmp_path / "forged.tar.gz")]) == 0
    assert main(["verify", str(tmp_path / "forged.tar.gz"), "--rerun", "random/0"]) == 0
    assert main(["verify", str(tmp_path / "forged.tar.gz"), "--rerun", "random/1"]) == 2


def test_seconds_that_were_made_up_are_told_by_running_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(results.parent, tmp_path / "results")
    forged = tmp_path / "results" / "small"
    run = forged / "runs/random/0"
    lines = [unsealed(line) for line in (run / "journal.jsonl").read_bytes().splitlines()]
    for line in lines:
        if "seconds" in line.get("wall", {}):
            line["wall"]["seconds"] += 100.0
    (run / "journal.jsonl").write_bytes(resealed(lines))
    call("trials", run.parent / "setting.json", run / "journal.jsonl", "-o", run / "trials.csv")
    call("compare", forged, "-o", forged / "comparison.csv")
    make(forged, tmp_path / "forged.tar.gz")
    capsys.readouterr()
    call("verify", tmp_path / "forged.tar.gz", "--rerun", "random/0")
    assert "times as many, so look twice at its speedups; seconds can be made up" in capsys.readouterr().out
    call("verify", tmp_path / "forged.tar.gz", "--rerun", "lcm/0")
    assert "look twice" not in capsys.readouterr().out


def test_a_readme_holds_no_html(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(results.parent, tmp_path / "results")
    path = tmp_path / "results" / "small" / "experiment.json"
    path.write_text(path.read_text().replace("a small experiment", "<script>alert(1)</script> & more"))
    make(path.parent, tmp_path / "small.tar.gz")
    files = {name: tmp_path / "opened" / name for name in unpack(tmp_path / "small.tar.gz", tmp_path / "opened")}
    readme = files["small/README.md"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in readme.read_text()
    readme.write_text("<script>alert(1)</script>")
    pack(files, tmp_path / "hostile.tar.gz")
    assert main(["verify", str(tmp_path / "hostile.tar.gz")]) == 2
    assert "README.md: holds HTML" in capsys.readouterr().err


TRAINED = changed(
    SMALL.partition("  pbt:")[0], ("model: synthetic", "model: softmax"), ("repeats: 2", "repeats: 1"),
    ("budget: {trials: 12, at: [6]}", "budget: {samples: 40000}"), ("configurations: 12", "configurations: 8"),
)  # fmt: skip


@pytest.mark.slow
def test_networks_trained_twice_have_equal_payloads_and_train_again_from_the_archive(tmp_path: Path) -> None:
    payloads = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        payloads.append(make(make_results(folder, TRAINED), folder / "small.tar.gz"))
    assert payloads[0] == payloads[1]
    in_a_process("verify", tmp_path / "one" / "small.tar.gz", "--rerun", "lcm/0")


@pytest.mark.slow
def test_a_run_that_ended_by_the_clock_can_be_run_again(tmp_path: Path) -> None:
    text = changed(TRAINED, ("budget: {samples: 40000}", "budget: {seconds: 0.4}"))
    make(make_results(tmp_path, text), tmp_path / "small.tar.gz")
    in_a_process("verify", tmp_path / "small.tar.gz", "--rerun", "random/0")


# The crate


def test_the_crate_names_every_file_of_the_archive(opened: Path) -> None:
    graph = {entity["@id"]: entity for entity in json.loads((opened / "ro-crate-metadata.json").read_text())["@graph"]}
    files = {name for name, entity in graph.items() if "File" in entity["@type"]}
    assert files == set(read_manifest(opened / MANIFEST).files) - {"ro-crate-metadata.json"}
    assert graph["#small/lcm/1"]["result"] == {"@id": "runs/lcm/1/journal.jsonl"}
    assert graph["#small/lcm/1"]["startTime"] <= graph["#small/lcm/1"]["endTime"]


VALIDATOR = os.environ.get("ROCRATE_VALIDATOR_PYTHON") or (
    sys.executable if importlib.util.find_spec("rocrate_validator") else None
)
"""A Python whose environment has roc-validator; `make crate` sets one up."""


@pytest.mark.skipif(VALIDATOR is None, reason="no roc-validator: `make crate` sets one up")
def test_the_public_validator_accepts_the_crate(opened: Path) -> None:
    context = Path(str(importlib.util.find_spec("rocrate").submodule_search_locations[0])) / "data/ro-crate.jsonld"  # type: ignore
    program = ROOT / "tests" / "crate_program.py"
    done = subprocess.run([str(VALIDATOR), str(program), str(opened), str(context)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.strip() == ""
