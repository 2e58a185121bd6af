# Runs that workers carry out: ordinary jobs, each of which joins the run when the queue lets it start, and ends when the run does.
# Any of them completes the run alone. One that starts when the run is over ends at once.


rule worker:
    input:
        setting=rules.setting.output,
        data=data_folder,
        record=record_of,
    output:
        temp(f"{RUN}/joined/{{worker}}"),
    log:
        f"{LOG}/workers/{{worker}}.log",
    benchmark:
        f"{LOG}/workers/{{worker}}.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.workers),
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    resources:
        gpu=gpus_of,
    params:
        own=own_code,
        data=training_data,
        record=recording,
        keeping=keeping,
        heartbeat=heartbeat,
        journal=f"{RUN}/journal.jsonl",
    shell:
        "hypercurve search {input.setting:q} --repeat {wildcards.repeat} {params.data} --worker {params.heartbeat}"
        " --output {params.journal:q} {params.record} {params.keeping} > {log:q} 2>&1 && touch {output:q}"


# Snakemake deletes the journal before this, not knowing who wrote it; the run's history gives it back.
rule joined_search:
    input:
        joined,
        setting=rules.setting.output,
        data=data_folder,
        record=record_of,
    output:
        f"{RUN}/journal.jsonl",
    log:
        f"{LOG}/search.log",
    benchmark:
        f"{LOG}/search.tsv"
    wildcard_constraints:
        experiment=only(lambda method: method.workers),
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        own=own_code,
        data=training_data,
        record=recording,
        keeping=keeping,
    shell:
        "hypercurve search {input.setting:q} --repeat {wildcards.repeat} {params.data}"
        " --output {output:q} {params.record} {params.keeping} > {log:q} 2>&1"
