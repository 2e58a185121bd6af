"""What a profile of Snakemake says of cores, for the estimate."""

import os
import re
from pathlib import Path

from ..util.errors import UserError


def cores_of(profile: Path) -> int:
    """The cores that jobs have together: a profile's `cores`, or its `jobs`, each of which takes a core at least.

    Raises:
        UserError: there is no such profile, or it says neither.
    """
    files = [profile] if profile.is_file() else sorted(profile.glob("config*.yaml"), reverse=True)
    if not files:
        raise UserError(f"--profile {profile}: there is no config.yaml")
    text = files[0].read_text(encoding="utf-8", errors="replace")
    for key in ("cores", "jobs"):
        if found := re.search(rf"^{key}:\s*(\d+|all)\b", text, re.MULTILINE):
            return os.cpu_count() or 1 if found[1] == "all" else max(1, int(found[1]))
    raise UserError(f"{files[0]}: has neither `cores: N` nor `jobs: N`; give --cores N")
