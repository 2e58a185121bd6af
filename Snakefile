# hypercurve: hyperparameter optimisation of neural networks on clusters.
#
#   snakemake                                        the experiments that config/config.yaml lists
#   snakemake --profile slurm                        the same on a Slurm cluster: profiles/slurm, docs/slurm.md
#   snakemake results/mnist-trials/report.html       one experiment
#   snakemake results/mnist-trials.tar.gz            the same, packed to be kept
#   snakemake results/demo/runs/lcm/0/journal.jsonl  one run


include: "workflow/Snakefile"


# What is included says nothing of what is made without a target.
rule default:
    default_target: True
    input:
        rules.all.input,
    localrule: True
