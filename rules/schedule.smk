# Schedules worth reusing: what a run's winner was trained under, trained again from fresh seeds, and what it is worth.

SCHEDULE = f"{RESULTS}/{{experiment}}/schedules/{{method}}/{{repeat}}"
RETRAINING = "|".join(name for name, experiment in EXPERIMENTS.items() if experiment.retrain) or "(?!)"


rule schedule:
    input:
        setting=rules.setting.output,
        journal=f"{RUN}/journal.jsonl",
    output:
        table=f"{SCHEDULE}/schedule.csv",
        keras=f"{SCHEDULE}/schedule.py",
        setting=f"{SCHEDULE}/retraining.json",
    log:
        f"{LOG}/schedule.log",
    benchmark:
        f"{LOG}/schedule.tsv"
    wildcard_constraints:
        experiment=RETRAINING,
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
        seeds=lambda w: experiment_of(w).retrain,
        run=lambda w, input: Path(str(input.journal)).parent,
        folder=lambda w, output: Path(str(output.table)).parent,
    shell:
        "hypercurve schedule {params.run:q} --seeds {params.seeds} --only-export --output {params.folder:q} > {log:q} 2>&1"


rule retrain:
    input:
        setting=rules.schedule.output.setting,
        data=data_folder,
    output:
        f"{SCHEDULE}/retrained.jsonl",
    log:
        f"{LOG}/retrain.log",
    benchmark:
        f"{LOG}/retrain.tsv"
    wildcard_constraints:
        experiment=RETRAINING,
    conda:
        "../envs/hypercurve.yaml"
    threads: lambda w: experiment_of(w).training.threads
    params:
        own=own_code,
        data=training_data,
    shell:
        "hypercurve search {input.setting:q} {params.data} --output {output:q} > {log:q} 2>&1"
