"""Which GPUs processes see in jobs of a cluster: Slurm counts GPUs that are not there, and says which a job has."""

from checkout import Site

LOOP = """\
import os, time

def train(hyperparameters, context):
    for epoch in range(context.epochs):
        time.sleep(0.05)
        with open("seen", "a") as log:
            process = f"{os.environ['SLURM_JOB_ID']}.{os.environ.get('SLURM_PROCID', 0)}"
            log.write(f"{process} {os.environ['SLURMD_NODENAME']} {os.environ['CUDA_VISIBLE_DEVICES']}\\n")
        yield {"loss": hyperparameters["x"] / (epoch + 1), "val_loss": 0.0}
"""
EXPERIMENT = """\
model: {{loop: "seeing:train"}}
objective: {{metric: loss}}
space: {{x: {{uniform: [0.0, 1.0]}}, epochs: 10}}
budget: {{trials: 16}}
methods:
  {method}
"""


def seen(site: Site, method: str) -> set[tuple[str, ...]]:
    """What the processes of a method's run see: job and process, node, GPUs."""
    (site.folder / "seeing.py").write_text(LOOP)
    (site.folder / "config" / "experiments" / "seeing.yaml").write_text(EXPERIMENT.format(method=method))
    (site.folder / "seen").unlink(missing_ok=True)
    site.wait(site.on_slurm("--", f"results/seeing/runs/{method.partition(':')[0]}/0/journal.jsonl"))
    return {tuple(line.split(" ")) for line in (site.folder / "seen").read_text().splitlines()}


def test_each_process_of_a_job_on_two_nodes_has_its_own(site: Site) -> None:
    found = seen(site, "own: {search: random, tasks: 4, gpus: 1}")
    assert len(found) == 4, found
    assert {(node, gpus) for _, node, gpus in found} == {("n1", "0"), ("n1", "1"), ("n2", "0"), ("n2", "1")}


def test_two_processes_share_one(site: Site) -> None:
    found = seen(site, "shared: {search: random, tasks: 2, slots: 2, gpus: 0.5}")
    assert len(found) == 2, found
    assert len({(node, gpus) for _, node, gpus in found}) == 1


def test_jobs_of_one_process_have_one_each_and_only_as_many_as_there_are_go_on(site: Site) -> None:
    found = seen(site, "alone: {search: random, trials_per_job: 4, gpus: 1}")
    assert len({job for job, *_ in found}) == 4
    assert all(gpus in ("0", "1") for *_, gpus in found)
