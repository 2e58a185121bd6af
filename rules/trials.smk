# Methods whose trials do not depend on each other: the trials are listed once and trained in batches, a job each, since
# starting TensorFlow costs seconds. How many batches there are follows from the experiment file.

RUN = RESULTS + "/{experiment}/runs/{method}/{repeat}"
LOG = RESULTS + "/{experiment}/logs/{method}/{repeat}"


def batches_of(wildcards):
    return experiment_of(wildcards).batches(wildcards.method)


rule trial_table:
    input:
        setting=rules.setting.output,
    output:
        RUN + "/trials.jsonl",
    log:
        LOG + "/table.log",
    benchmark:
        LOG + "/table.tsv"
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["runs"],
    shell:
        "hypercurve table {input.setting:q} --repeat {wildcards.repeat} --output {output:q} > {log} 2>&1"


rule batch:
    input:
        setting=rules.setting.output,
        table=rules.trial_table.output,
        data=data_folder,
    output:
        RUN + "/batches/{batch}.jsonl",
    log:
        LOG + "/batch-{batch}.log",
    benchmark:
        LOG + "/batch-{batch}.tsv"
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    params:
        code=CODE["runs"],
        of=batches_of,
    shell:
        "hypercurve batch {input.setting:q} --repeat {wildcards.repeat} --table {input.table:q}"
        " --batch {wildcards.batch} --of {params.of} --data {input.data:q} --output {output:q} > {log} 2>&1"
