# Tables.

TABLES = {
    "comparison": "comparison of methods",
    "budgets": "best at smaller budgets",
    "traits": "traits of the methods",
    "schedule": "schedule and selection",
}


rule trials:
    input:
        setting=rules.setting.output,
        journal=f"{RUN}/journal.jsonl",
    output:
        f"{RUN}/trials.csv",
    log:
        f"{LOG}/trials.log",
    benchmark:
        f"{LOG}/trials.tsv"
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
    shell:
        "hypercurve trials {input.setting:q} {input.journal:q} --output {output:q} > {log:q} 2>&1"


rule members:
    input:
        setting=rules.setting.output,
        journal=f"{RUN}/journal.jsonl",
    output:
        members=f"{RUN}/members.csv",
        schedule=f"{RUN}/schedule.csv",
        lineage=f"{RUN}/lineage.csv",
    log:
        f"{LOG}/members.log",
    benchmark:
        f"{LOG}/members.tsv"
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
    shell:
        "hypercurve members {input.setting:q} {input.journal:q} --output {output.members:q} > {log:q} 2>&1"


rule compare:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
        retrained=lambda w: retrained_of(w.experiment) if w.table == "schedule" else [],
    output:
        report(
            f"{RESULTS}/{{experiment}}/{{table}}.csv",
            caption="captions/table.rst",
            category="{experiment}",
            subcategory="tables",
            labels=lambda w: {"result": TABLES[w.table]},
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/{{table}}.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(TABLES),
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=ANALYSIS,
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve compare {params.results:q} --table {wildcards.table} --output {output:q} > {log:q} 2>&1"
