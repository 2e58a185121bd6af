"""`snakemake --profile slurm`, as typed, carries out the demo on a Slurm, with the journals of a local run."""

from checkout import ROOT, Site, events

METHODS = ("random", "grid", "sobol", "lcm", "lcm-async", "pbt")


def test_the_demo_on_slurm_writes_the_journals_of_a_local_run(site: Site) -> None:
    demo = "config/experiments/demo.yaml"
    evolving = "momentum: {factors: [1.2, 0.8]}\n    tasks: "
    site.change(demo, ("repeats: 2", "repeats: 1"), (f"{evolving}2", f"{evolving}4"))
    site.wait(site.start("--profile", "slurm"))
    assert (site.folder / "results/demo/report.html").exists()
    assert len(site.jobs("batch")) == 2, "trials in batches, each a job"
    assert [job.nodes for job in site.jobs("parallel_search")] == [2, 2], "a search and a population"
    assert {job.state for job in site.jobs("")} == {"COMPLETED"}

    # Here: two processes for the population, not four.
    (site.folder / demo).write_text((ROOT / demo).read_text())
    journals = [f"demo/runs/{method}/0/journal.jsonl" for method in METHODS]
    site.wait(site.start("--config", "results=local", "--", *(f"local/{name}" for name in journals)))
    for name in journals:
        assert events(site.folder / "results" / name) == events(site.folder / "local" / name), name
