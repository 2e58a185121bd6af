"""Jobs of one process, and launchers that do not fit, on a real Slurm."""

from checkout import Site, events

ONE = """\
data: {name: digits}
model: synthetic
space: {learning_rate: {uniform: [0.0, 1.0]}, batch_size: 32}
budget: {trials: 8}
methods:
  lcm: {search: random, tasks: 1, stop: {lcm: {split: 0.5}}}
  pbt: {population: {every: 200}}
  pbt-two: {population: {every: 200}, tasks: 2}
"""


def test_a_run_of_one_process_is_a_job_without_mpi(site: Site) -> None:
    (site.folder / "config/experiments/one.yaml").write_text(ONE)
    site.wait(site.on_slurm("--", *(f"results/one/runs/{method}/0/journal.jsonl" for method in ("lcm", "pbt"))))
    assert [job.state for job in site.jobs("search")] == ["COMPLETED", "COMPLETED"]
    assert not site.jobs("preflight")


def test_a_launcher_that_does_not_fit_is_found_out_before_any_run(site: Site) -> None:
    right, wrong = "mpi: srun --mpi=pmix", "mpi: srun --mpi=pmi2"
    text = (site.folder / "slurm/config.yaml").read_text()
    (site.folder / "slurm/config.yaml").write_text(text.replace(right, wrong))
    (site.folder / "config/experiments/one.yaml").write_text(ONE)
    target = "results/one/runs/pbt-two/0/journal.jsonl"
    site.wait(site.on_slurm("--retries", "0", "--", target), code=1)
    assert "started as 1 MPI process where 2 were asked for" in site.said
    assert "`mpi` must be `srun --mpi=pmix --kill-on-bad-exit=1` in profiles/slurm" in site.said
    assert not site.jobs("parallel_search"), "nothing else was submitted"
    (site.folder / "slurm/config.yaml").write_text(text)
    alone = "results/one/runs/pbt/0/journal.jsonl"
    site.wait(site.on_slurm("--", target, alone))
    two, one = (site.folder / name for name in (target, alone))
    assert events(two)[1:] == events(one)[1:], "all but the header, which names the method"
