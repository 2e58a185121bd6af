"""Malformed archives."""

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from conftest import unsealed
from hypercurve.archive.contents import manifest_text
from hypercurve.archive.packing import pack, unpack

from .case import Case, special
from .data_files import zeros


def archives(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Archives."""
    whole = (right / "small.tar.gz").read_bytes()
    plain = gzip.decompress(whole)
    made: dict[str, bytes] = {
        "half of it": whole[: len(whole) // 2],
        "no gzip": b"hello",
        "a gzip of nothing": gzip.compress(b""),
        "a gzip of text": gzip.compress(b"hello" * 1000, 1),
        "a wrong checksum": whole[:-8] + b"12345678",
        "something after it": whole + b"x",
        "a tar without gzip": plain,
        "a zip file": b"PK\5\6" + bytes(18),
        "zeros": gzip.compress(bytes(1 << 20), 1),
        "3 GB of zeros": b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + zeros(3 << 30) + bytes(8),
    }

    def tar(
        name: str,
        *members: tarfile.TarInfo,
        content: Mapping[str, bytes] | None = None,
        form: int = tarfile.USTAR_FORMAT,
    ) -> None:
        with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w", format=form) as file:
            for info in members:
                file.addfile(info, io.BytesIO((content or {}).get(info.name, bytes(info.size))))
        made[name] = gzip.compress(buffer.getvalue(), 1)

    def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        one = tarfile.TarInfo(name)
        one.size, one.type, one.linkname = size, kind, link
        return one

    tar("a path that leaves the folder", info("../../etc/passwd"))
    tar("an absolute path", info("/etc/passwd"))
    tar("a hidden file", info("small/.bashrc"))
    tar("a link", info("small/x", kind=tarfile.SYMTYPE, link="/etc/passwd"))
    tar("a hard link", info("small/x", kind=tarfile.LNKTYPE, link="small/y"))
    tar("a device", info("small/x", kind=tarfile.CHRTYPE))
    tar("a FIFO", info("small/x", kind=tarfile.FIFOTYPE))
    tar("a folder", info("small", kind=tarfile.DIRTYPE))
    tar("a name of 90,000 characters", info("small/" + "n" * 90_000), form=tarfile.GNU_FORMAT)
    tar("a header of PAX", info("small/für" * 20), form=tarfile.PAX_FORMAT)
    tar("a file and a folder of one name", info("small/x"), info("small/x/y"))
    tar("a file twice", info("small/x"), info("small/y"), info("small/x"))
    tar("two folders", info("small/x"), info("other/y"))
    tar("no manifest", info("small/x"))
    if large:
        tar("100,000 empty files", *(info(f"small/f{n}") for n in range(99_999)))
        tar("200,000 empty files", *(info(f"small/f{n}") for n in range(200_000)))
        made["4 GB of zeros in four files"] = _four_gigabytes()
        tar("20,000 empty files", *(info(f"small/f{n}") for n in range(20_000)))
        tar("100,000 empty files in 10,000 folders", *(info(f"small/d{n % 10_000}/f{n}") for n in range(99_999)))
    tar("a name with an escape", info("small/\x1b[31mred"))
    sized = bytearray(info("small/x").tobuf(tarfile.GNU_FORMAT))
    sized[124:136] = b"77777777777\0"
    sized[148:156] = b"        "
    sized[148:156] = b"%06o\0 " % sum(sized[:512])
    made["a file of 8 GB in its header"] = gzip.compress(bytes(sized), 1)
    sized[124:136] = b"\xff" * 12
    sized[148:156] = b"        "
    sized[148:156] = b"%06o\0 " % sum(sized[:512])
    made["a file of a size below 0"] = gzip.compress(bytes(sized), 1)
    for number, (name, content) in enumerate(made.items()):
        path = folder / f"archive{number}.tar.gz"
        path.write_bytes(content)
        yield Case("archive", name, ("verify", str(path)), path.name)
    for name, path in special(folder, ".tar.gz"):
        yield Case("archive", name, ("verify", str(path)), path.name[:20])

    journal = "small/runs/random/0/journal.jsonl"

    def lines_of(files: dict[str, bytes]) -> list[bytes]:
        return files[journal].splitlines()

    def line(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
        def change(files: dict[str, bytes]) -> None:
            given = [json.dumps(unsealed(one)).encode() for one in lines_of(files)]
            at = next(n for n, one in enumerate(given) if b'"reported"' in one and old in one)
            given[at] = given[at].replace(old, new, 1)
            files[journal] = b"\n".join(given) + b"\n"

        return change

    def put(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
        return lambda files: files.__setitem__(name, content)

    forged: dict[str, Callable[[dict[str, bytes]], None]] = {
        "a number that overflows": line(b'"loss": ', b'"loss": 1e999'),
        "a loss of 400 digits": line(b'"loss": ', b'"loss": ' + b"1" * 400),
        "seconds that overflow": line(b'"seconds": ', b'"seconds": 1e308, "x": '),
        "a date that overflows": line(b'"at": ', b'"at": 1e300, "x": '),
        "HTML in README.md": put(
            "small/README.md", b"# small\n<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n"
        ),
        "a table of one huge cell": put("small/comparison.csv", b"x" * 300_000),
        "a table that is no text": put("small/comparison.csv", bytes(range(256))),
        "a table of formulas": put("small/comparison.csv", b"=cmd|' /C calc'!A0,b\n=1+1,2\n"),
        "a crate that is none": put("small/ro-crate-metadata.json", b"[" * 100_000),
        "an experiment that is none": put("small/experiment.json", b"[]"),
        "an experiment with brackets": put("small/experiment.json", b"[" * 100_000),
        "a setting that is none": put("small/runs/random/setting.json", b"{}"),
        "a journal that is none": put(journal, b"hello\n"),
        "an empty journal": put(journal, b""),
        "a manifest of data that is none": put("small/data/manifest.json", b"[]"),
        "a file too many": put("small/other.txt", b"x"),
        "a comparison that is missing": lambda files: files.pop("small/comparison.csv") and None,
    }
    unpack(right / "small.tar.gz", folder / "opened")
    files = {
        p.relative_to(folder / "opened").as_posix(): p.read_bytes()
        for p in (folder / "opened").rglob("*")
        if p.is_file()
    }
    for number, (name, change) in enumerate(forged.items()):
        own = dict(files)
        change(own)
        path = folder / f"forged{number}.tar.gz"
        pack(_consistent(own), path)
        code = 0 if name in ("a crate that is none", "a file too many") else 2
        yield Case("archive", f"{name}, with digests that fit", ("verify", str(path)), path.name, code)
    for name, text in {
        "is a list": "[]",
        "has brackets": "[" * 100_000,
        "is of format 99": '{"format": 99}',
        "names a file of 10^400 bytes": '{"format": 1, "files": {"x": {"bytes": 1' + "0" * 400 + "}}}",
        "holds a lone surrogate": '{"format": 1, "experiment": "\\ud800"}',
    }.items():
        path = folder / f"manifest-{name.split()[0]}-{len(text)}.tar.gz"
        pack({**files, "small/manifest.json": text.encode()}, path)
        yield Case("archive", f"a manifest that {name}", ("verify", str(path)), path.name)
    right_one = str(right / "small.tar.gz")
    for name, extra in {
        "a run that is not there": ("--rerun", "lmc/0"),
        "a run without a repeat": ("--rerun", "lcm"),
        "data that are not there": ("--rerun", "random/0", "--data", str(folder / "none")),
    }.items():
        yield Case("archive", name, ("verify", right_one, *extra))


def _consistent(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same with a manifest whose sums fit."""
    import hashlib

    manifest = json.loads(files["small/manifest.json"])
    manifest["files"] = {
        name.removeprefix("small/"): {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
        if name != "small/manifest.json"
    }
    return {**files, "small/manifest.json": manifest_text(manifest).encode()}


def _four_gigabytes() -> bytes:
    parts = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    for name in "abcd":
        head = tarfile.TarInfo(f"small/{name}")
        head.size = 1 << 30
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        parts.append(packer.compress(head.tobuf(tarfile.USTAR_FORMAT)) + packer.flush(zlib.Z_FULL_FLUSH))
        parts.append(zeros(1 << 30, last=False))
    return b"".join(parts) + zeros(0)
