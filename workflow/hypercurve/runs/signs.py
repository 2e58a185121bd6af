"""Signs of life of a run's workers: who has given none for a while counts as dead. No two clocks are compared."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

LEFT = "left"


class Signs:
    """Signs of life: a thread gives this worker's, and watches the others'.

    A worker is silent when its sign has not changed for some seconds of this process' own clock, as seen by this process.

    Args:
        folder: of the signs.
        name: this worker's.
        patience: seconds.
    """

    def __init__(self, folder: Path, name: str, patience: float):
        self._path, self._patience = folder / name, patience
        self._seen: dict[
            str, tuple[bytes, float, float]
        ] = {}  # by name: the sign, since when, when it was last looked at
        self._number, self._last = 0, time.monotonic()
        self._end = threading.Event()
        self._suspended = False
        self._path.write_text("0\n")
        self._thread = threading.Thread(target=self._go_on, name="signs of life", daemon=True)
        self._thread.start()

    def silent(self, name: str) -> bool:
        """Whether another worker counts as dead."""
        if name not in self._seen:
            self._look(name)
        sign, since, seen = self._seen[name]
        return sign.startswith(LEFT.encode()) or seen - since > self._patience

    def suspended(self) -> bool:
        """Whether this process, since this was asked last, gave no sign for so long that others may think it dead."""
        late = time.monotonic() - self._last > self._patience  # before its thread has woken up
        late, self._suspended = late or self._suspended, False
        return late

    def leave(self) -> None:
        """Say that this worker is gone, so that nobody waits for it."""
        self._end.set()
        with suppress(OSError):
            self._write(LEFT)

    def _go_on(self) -> None:
        while not self._end.wait(self._patience / 4):
            now = time.monotonic()
            self._suspended = self._suspended or now - self._last > self._patience
            self._last, self._number = now, self._number + 1
            with suppress(OSError):  # the run is over, or the file system has trouble: then others see no sign
                self._write(str(self._number))
                for name in {*self._seen, *(path.name for path in self._path.parent.iterdir())}:
                    self._look(name)

    def _write(self, sign: str) -> None:
        # In place, and opened anew each time: on NFS, closing sends it, and opening asks for it.
        file = os.open(self._path, os.O_WRONLY)
        try:
            if self._end.is_set() == (sign == LEFT):
                os.pwrite(file, f"{sign}\n".encode(), 0)
        finally:
            os.close(file)

    def _look(self, name: str) -> None:
        try:
            sign = self._path.with_name(name).read_bytes()
        except OSError:
            sign = b""
        now = time.monotonic()
        before = self._seen.get(name)
        since = before[1] if before is not None and before[0] == sign else now
        self._seen[name] = sign, since, now


def signs_in(folder: Path) -> dict[str, bytes]:
    """The signs of a run's workers, but for those that have said that they left."""
    found = {path.name: path.read_bytes() for path in folder.glob("*")}
    return {name: sign for name, sign in found.items() if not sign.startswith(LEFT.encode())}
