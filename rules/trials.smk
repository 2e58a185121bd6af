# Methods whose trials do not depend on each other: the trials are listed once and trained in batches, a job each, since
# starting TensorFlow costs seconds. How many batches there are follows from the experiment file.


rule trial_table:
    input:
        setting=rules.setting.output,
    output:
        f"{RUN}/trials.jsonl",
    log:
        f"{LOG}/table.log",
    benchmark:
        f"{LOG}/table.tsv"
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        own=own_code,
    shell:
        "hypercurve table {input.setting:q} --repeat {wildcards.repeat} --output {output:q} > {log:q} 2>&1"


rule batch:
    input:
        setting=rules.setting.output,
        table=rules.trial_table.output,
        data=data_folder,
    output:
        f"{RUN}/batches/{{batch}}.jsonl",
    log:
        f"{LOG}/batch-{{batch}}.log",
    benchmark:
        f"{LOG}/batch-{{batch}}.tsv"
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    resources:
        gpu=gpus_of,
    params:
        own=own_code,
        of=batches_of,
        data=training_data,
        keeping=keeping,
    shell:
        "hypercurve batch {input.setting:q} --repeat {wildcards.repeat} --table {input.table:q}"
        " --batch {wildcards.batch} --of {params.of} {params.data} {params.keeping} --output {output:q} > {log:q} 2>&1"
