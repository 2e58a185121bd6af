# hypercurve: hyperparameter optimisation of neural networks on clusters.
#
#   snakemake                                        the experiments that config/config.yaml lists
#   snakemake --profile slurm                        the same on a Slurm cluster: profiles/slurm, docs/slurm.md
#   snakemake results/mnist-trials/report.html       one experiment
#   snakemake results/mnist-trials.tar.gz            the same, packed to be kept
#   snakemake results/demo/runs/lcm/0/journal.jsonl  one run


configfile: "config/config.yaml"


# What Snakemake's own report begins with: snakemake --report report.html
report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/settings.smk"
include: "rules/data.smk"
include: "rules/trials.smk"
include: "rules/search.smk"
include: "rules/parallel.smk"
include: "rules/replay.smk"
include: "rules/schedule.smk"
include: "rules/compare.smk"
include: "rules/figures.smk"
include: "rules/archive.smk"


localrules:
    all,


# Jobs that a killed Snakemake left on the cluster would write what this one's jobs write. What they have completed is not
# made again: Snakemake marks the outputs of jobs whose end it has not seen.
onstart:
    end_left_behind(Path(".snakemake/slurm_logs"))
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in ("batch", "search", "supervised", "population", "retrain"):
            for output in workflow.async_run(workflow.persistence.incomplete(job)):
                take_back(Path(output))


rule all:
    input:
        f"{RESULTS}/report.html",
        expand(f"{RESULTS}/{{experiment}}/report.html", experiment=config["experiments"]),
        # a replay is made again in seconds; what it plays is worth keeping
        expand(
            f"{RESULTS}/{{experiment}}.tar.gz",
            experiment=[name for name in config["experiments"] if EXPERIMENTS[name].model != "recorded"],
        ),
