"""What a pause of a program costs, and whether a shell script that forks all the time ever hangs in one.

    python benchmarks/pausing.py --pauses 10000

Prints a JSON line: of a plain program and of a forking script, microseconds of a pause and of going on (median, and the
ninth of ten), processor time of ours in both, and how many pauses there were without the next line coming in 20 s (`hung`)
or with something of the program computing in them (`moved`).
"""

import argparse
import json
import statistics
import time

from hypercurve.training.process_trees import Process
from hypercurve.training.program import Log, Program, Programs
from hypercurve.training.trainer import TrialFailed

PLAIN = ["awk", "BEGIN { for (;;) { for (i = 0; i < 20000; i++) x += i; print 1; fflush() } }"]
FORKS = ["bash", "-c", "while :; do /bin/true; (exit 0); echo $(awk 'BEGIN { print 1 }'); /bin/true | /bin/true; done"]


def measured(command: list[str], pauses: int) -> dict[str, float]:
    """Pause a program so often, a moment after a line of its own."""
    program = Program(Programs(0.1), command, {}, 20.0, Log(None))
    stopping, going, used, hung, moved = [], [], 0.0, 0, 0
    for number in range(pauses):
        try:
            program.line()
        except TrialFailed:
            hung += 1
            program.close()
            program = Program(Programs(0.1), command, {}, 20.0, Log(None))
            continue
        time.sleep(number % 50 / 50_000)  # somewhere in its loop
        began, processor = time.perf_counter(), time.process_time()
        program.pause()
        stopping.append(time.perf_counter() - began)
        before = Process.of(program._process.pid)
        if number % 100 == 0:
            time.sleep(0.05)
            moved += before != Process.of(program._process.pid)
        began = time.perf_counter()
        program.go_on()
        going.append(time.perf_counter() - began)
        used += time.process_time() - processor
    program.close()
    return {
        "pauses": pauses,
        "hung": hung,
        "moved": moved,
        "pause_us": round(1e6 * statistics.median(stopping)),
        "pause_us_p90": round(1e6 * statistics.quantiles(stopping, n=10)[-1]),
        "go_on_us": round(1e6 * statistics.median(going)),
        "processor_us": round(1e6 * used / len(going)),
    }


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pauses", type=int, default=1000)
    given = parser.parse_args()
    print(json.dumps({"plain": measured(PLAIN, given.pauses), "forks": measured(FORKS, given.pauses)}))


if __name__ == "__main__":
    main()
