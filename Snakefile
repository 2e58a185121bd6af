# hypercurve: hyperparameter optimisation of neural networks on clusters.
#
#   snakemake                                        the experiments that config/config.yaml lists
#   snakemake --profile slurm                        the same on a Slurm cluster: profiles/slurm, docs/slurm.md
#   snakemake results/mnist-trials/report.html       one experiment
#   snakemake results/mnist-trials.tar.gz            the same, packed to be kept
#   snakemake results/demo/runs/lcm/0/journal.jsonl  one run


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/settings.smk"
include: "rules/data.smk"
include: "rules/trials.smk"
include: "rules/search.smk"
include: "rules/parallel.smk"
include: "rules/replay.smk"
include: "rules/compare.smk"
include: "rules/figures.smk"
include: "rules/archive.smk"


localrules:
    all,


# Jobs that a killed Snakemake left on the cluster would write what this one's jobs write.
onstart:
    end_left_behind(Path(".snakemake/slurm_logs"))


rule all:
    input:
        expand(f"{RESULTS}/{{experiment}}/report.html", experiment=config["experiments"]),
        expand(f"{RESULTS}/{{experiment}}.tar.gz", experiment=config["experiments"]),
