"""Damaged journals: whatever changed is found, with its line. And outputs, which replace plain files only."""

import json
import lzma
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import resealed, unsealed
from hypercurve.cli import main
from hypercurve.events.encoding import to_bytes, without_wall
from hypercurve.events.events import Reported
from hypercurve.events.journal import Journal, JournalError, each_line, first_line, read_lines, whole_lines
from hypercurve.events.lines import EventLine, Wall
from hypercurve.util.errors import UserError
from hypercurve.util.files import appearing, linked
from hypercurve.watching.tail import Tail

KEPT = Path(__file__).parent / "journals"
LINE = EventLine(Reported(0, 0.5, {"loss": 0.25}), Wall(seconds=0.5), 1.0)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A whole journal of a real run. Only for reading."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "e.yaml").write_text(
        "data: {name: digits}\nmodel: synthetic\nspace: {learning_rate: {uniform: [0.1, 1]}}\nbudget: {trials: 6}\n"
        "training: {accumulation_points: 3}\nmethods: {a: {search: random, stop: {median: {}}}}\n"
    )
    assert main(["resolve", str(folder / "e.yaml"), "--method", "a", "-o", str(folder / "setting.json")]) == 0
    output = folder / "journal.jsonl"
    assert main(["search", str(folder / "setting.json"), "--data", str(prepared), "-o", str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write anew for every example."""
    return tmp_path_factory.mktemp("scratch") / "journal.jsonl"


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def found_at(path: Path, content: bytes) -> int:
    """The line that reading a journal names as damaged; all ways of reading come as far."""
    path.write_bytes(content)
    with pytest.raises(JournalError, match="damaged line: ") as error:
        read_lines(path)
    with pytest.raises(JournalError, match="damaged line: ") as also:
        Journal(path)
    assert str(error.value) == str(also.value)
    said = re.match(rf"{re.escape(str(path))}:(\d+): ", str(error.value))
    assert said is not None
    number = int(said[1])
    assert len([*whole_lines(content)]) == number - 1
    assert (first_line(path) is None) == (number == 1)
    one_by_one = each_line(path)
    for _ in range(number - 1):
        next(one_by_one)
    with pytest.raises(JournalError, match=rf":{number}: "):
        next(one_by_one)
    tail = Tail()
    tail.poll(path)
    assert tail.damaged
    return number


def test_every_line_has_a_checksum_and_none_of_it_is_seen(journal: Path) -> None:
    lines = lines_of(journal)
    assert all(re.search(rb'"sum":"[0-9a-f]{8}"}}\n$', line) for line in lines)
    assert [to_bytes(line) for line in read_lines(journal)[0]] == [to_bytes(unsealed(line)) for line in lines]
    assert resealed(lines) == journal.read_bytes()


@given(data=st.data())
def test_any_changed_byte_is_found_where_it_is(journal: Path, scratch: Path, data: st.DataObject) -> None:
    content = bytearray(journal.read_bytes())
    place = data.draw(st.integers(0, len(content) - 2))  # without its last newline, the last line is half-written
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    number = content[:place].count(b"\n") + 1
    content[place] = new
    assert found_at(scratch, bytes(content)) == number


def test_every_byte_of_a_checksum_itself_is_held_to(journal: Path, scratch: Path) -> None:
    lines = lines_of(journal)
    for number in (1, 2, len(lines)):
        for place in range(-20, -1):
            for new in b'0sx "\\}{:,\r\n':
                changed = bytearray(lines[number - 1])
                if changed[place] != new:
                    changed[place] = new
                    content = b"".join([*lines[: number - 1], bytes(changed), *lines[number:]])
                    assert found_at(scratch, content) == number


@given(data=st.data())
def test_lines_that_were_removed_put_in_or_moved_are_found(journal: Path, scratch: Path, data: st.DataObject) -> None:
    lines = lines_of(journal)
    at, other = sorted(data.draw(st.lists(st.integers(0, len(lines) - 2), min_size=2, max_size=2, unique=True)))
    damage = data.draw(st.sampled_from(["removed", "twice", "swapped", "without its sum", "put in", "foreign"]))
    changed = [*lines]
    match damage:
        case "removed":
            del changed[at]
        case "twice":
            changed.insert(at + 1, changed[at])
        case "swapped":
            changed[at], changed[other] = changed[other], changed[at]
        case "without its sum":
            changed[other] = to_bytes(unsealed(lines[other]))
        case "put in":
            changed.insert(other, b'{"event":"started","trial":0,"time":0.0,"then":[]}\n')
        case "foreign":
            changed[other] = resealed([lines[other]])
    number = {"twice": at + 2, "removed": at + 1, "swapped": at + 1}.get(damage, other + 1)
    assert found_at(scratch, b"".join(changed)) == number


def test_a_sum_elsewhere_in_its_line_is_none(journal: Path, scratch: Path) -> None:
    spaced = b"".join(json.dumps(json.loads(line)).encode() + b"\n" for line in lines_of(journal))
    assert found_at(scratch, spaced) == 1


def test_one_damaged_line_does_not_make_those_after_it_doubtful_to_who_watches(journal: Path, scratch: Path) -> None:
    lines = lines_of(journal)
    scratch.write_bytes(b"".join([*lines[:4], lines[4].replace(b'"sum":"', b'"sun":"'), *lines[5:9], *lines[10:]]))
    tail = Tail()
    _, read = tail.poll(scratch)
    assert tail.damaged == 2
    assert len(read) == len(lines) - 3


@given(cut=st.integers(0, 400), zeros=st.integers(0, 5000), data=st.data())
def test_what_a_kill_or_a_power_cut_leaves_is_dropped_and_the_chain_goes_on(
    journal: Path, scratch: Path, cut: int, zeros: int, data: st.DataObject
) -> None:
    content = journal.read_bytes()
    cut = min(cut, len(content))
    scratch.write_bytes(content[: len(content) - cut] + bytes(zeros))
    with Journal(scratch) as opened:
        whole = len(opened.lines)
        assert whole == content[: len(content) - cut].count(b"\n")
        opened.append(LINE)
        opened.append(LINE._replace(wall=Wall()))
    assert len(read_lines(scratch)[0]) == whole + 2
    changed = bytearray(scratch.read_bytes())
    place = data.draw(st.integers(0, len(changed) - 2))
    number = changed[:place].count(b"\n") + 1
    changed[place] ^= 1
    assert found_at(scratch, bytes(changed)) == number


@pytest.mark.parametrize("name", ["zoo", "record", "budget-halving", "loop"])
def test_journals_of_older_versions_are_read_and_gone_on_with(name: str, scratch: Path) -> None:
    old = lzma.decompress((KEPT / f"{name}.jsonl.xz").read_bytes())
    scratch.write_bytes(old)
    assert read_lines(scratch)[0] == [json.loads(line) for line in old.splitlines()]
    with Journal(scratch) as opened:
        opened.append(LINE)
    content = scratch.read_bytes()
    assert content.startswith(old)
    count = old.count(b"\n")
    assert len(read_lines(scratch)[0]) == count + 1
    changed = content.replace(b'"loss":0.', b'"loss":1.', 1)  # in a line without a sum: the first that has one tells
    assert found_at(scratch, changed) == count + 1
    assert found_at(scratch, content + b'{"event":"started","trial":0}\n') == count + 2


def test_a_journal_that_is_taken_or_cleared_goes_on_in_one_chain(journal: Path, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as opened:
        opened.append(LINE)
        opened.clear()
        opened.take(journal)
        opened.append(LINE)
    assert (tmp_path / "journal.jsonl").read_bytes().startswith(journal.read_bytes())
    assert [without_wall(line) for line in read_lines(tmp_path / "journal.jsonl")[0][:-1]] == [
        without_wall(line) for line in read_lines(journal)[0]
    ]


def test_commands_go_on_working_beside_a_damaged_journal(
    journal: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(journal)
    run = tmp_path / "runs" / "a" / "0"
    run.mkdir(parents=True)
    damaged = b"".join([*lines[:6], lines[6].replace(b'"loss":0.', b'"loss":1.', 1), *lines[7:]])
    assert damaged != journal.read_bytes()
    (run / "journal.partial.jsonl").write_bytes(damaged)
    search = [
        "search",
        str(journal.with_name("setting.json")),
        "--data",
        str(prepared),
        "-o",
        str(run / "journal.jsonl"),
    ]
    assert main(search) == 2
    assert f"{run / 'journal.partial.jsonl'}:7: damaged line: it was changed" in capsys.readouterr().err
    assert main(["history", str(run)]) == 0
    assert "damaged from line 7 on" in capsys.readouterr().out
    assert main(["clean", str(tmp_path), "--yes"]) == 0
    assert main(["restart", str(run)]) == 0
    assert main(search) == 0, "from its known trainings"
    assert [without_wall(line) for line in read_lines(run / "journal.jsonl")[0]] == [
        without_wall(line) for line in read_lines(journal)[0]
    ]


# Outputs


def socket_at(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def link_at(path: Path) -> None:
    path.with_name("target").write_text("kept")
    path.symlink_to("target")


ODD: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a FIFO": os.mkfifo,
    "a socket": socket_at,
    "a symbolic link": link_at,
    "a symbolic link to nothing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", ODD)
def test_outputs_replace_plain_files_only(
    kind: str, journal: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, setting = tmp_path / "journal.jsonl", str(journal.with_name("setting.json"))
    ODD[kind](path)
    before = path.lstat().st_ino
    words = f"{path}: is {kind.removesuffix(' to nothing')}, and is not replaced: name another file"
    for command in (
        ["search", setting, "--data", str(prepared)],
        ["trials", setting, str(journal)],
        ["resolve", str(journal.with_name("e.yaml"))],
        ["table", setting],
        ["schema"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*command, "-o", str(path)])
        assert ended.value.code == 2
        assert words in capsys.readouterr().err
    for write in (lambda: appearing(path).__enter__(), lambda: linked(journal, path), lambda: Journal(path)):
        with pytest.raises(UserError, match=re.escape(words)):
            write()
    path.rename(tmp_path / "journal.partial.jsonl")
    assert main(["search", setting, "--data", str(prepared), "-o", str(path)]) == 2
    assert "journal.partial.jsonl: is " in capsys.readouterr().err
    assert (tmp_path / "journal.partial.jsonl").lstat().st_ino == before
    assert not path.exists()


def test_a_device_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="/dev/null: is a device, and is not replaced"):
        appearing(Path("/dev/null")).__enter__()


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "a folder"])
def test_folders_replace_folders_only(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ODD[kind](tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        main(["data", "digits", "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "and is not replaced: name another folder" in capsys.readouterr().err


def test_folders_above_an_output_may_be_links(journal: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    output = tmp_path / "link" / "trials.csv"
    for _ in range(2):
        assert main(["trials", str(journal.with_name("setting.json")), str(journal), "-o", str(output)]) == 0
    assert (tmp_path / "real" / "trials.csv").is_file()
