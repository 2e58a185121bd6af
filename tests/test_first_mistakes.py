"""docs/first-mistakes.md is true: its files are written, its commands run, and what they print is what it shows."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

import hypercurve
from conftest import ROOT

PAGE = (ROOT / "docs/first-mistakes.md").read_text(encoding="utf-8")
SECTIONS = {title: text for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[1:])}
SECONDS = 300
"""Of a machine that is busy with other tests; alone, each answer comes in a few seconds."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a newcomer has: the workflow, the shipped settings, and no results."""
    for name in ("Snakefile", "workflow", "rules", "profiles", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The kind and the content of what is between fences."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def printed(command: str, folder: Path) -> list[str]:
    """The lines that a command prints, standard error last; places are told from the folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        command.split(), cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=SECONDS
    )
    said = (run.stdout + run.stderr).replace(f"{folder}/", "")
    return re.sub(r"\b\d+(\.\d+)? s\b", "N s", said).splitlines()


def assert_shown(shown: list[str], lines: list[str]) -> None:
    """Every stretch between `...` stands in what was printed, in this order; without any `...`, nothing else does."""
    if "..." not in shown:
        assert lines == shown
    start = 0
    for left_out, stretch in groupby(shown, key=lambda line: line == "..."):
        wanted = list(stretch)
        if not left_out:
            places = [at for at in range(start, len(lines)) if lines[at : at + len(wanted)] == wanted]
            assert places, "\n".join(["not printed:", *wanted, "but:", *lines])
            start = places[0] + len(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("title", SECTIONS)
def test_what_is_shown_is_printed(title: str, checkout: Path) -> None:
    commands = 0
    for kind, content in blocks(SECTIONS[title]):
        if kind == "console":
            for part in content.removeprefix("$ ").split("\n$ "):
                command, *shown = part.rstrip("\n").split("\n")
                assert_shown(shown, printed(command, checkout))
                commands += 1
        else:
            comment, _, text = content.partition("\n")
            (checkout / comment.removeprefix("# ")).write_text(content)
            assert text
    assert commands
    if "Labels" in title:
        assert hypercurve.load(checkout / "results/wine").best.labels == (1, 2, 3)


def test_the_page_has_the_five() -> None:
    assert len(SECTIONS) == 5
    assert all({kind for kind, _ in blocks(text)} >= {"yaml", "console"} for text in SECTIONS.values())


def test_a_line_that_is_not_printed_is_found() -> None:
    assert_shown(["...", "b", "c", "...", "e"], [*"abcde"])
    for shown in (["...", "c", "b"], ["...", "b", "d", "..."], [*"abc"], ["...", "e", "...", "a"]):
        with pytest.raises(AssertionError):
            assert_shown(shown, [*"abcde"])
