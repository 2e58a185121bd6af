# Tables.


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
        code=CODE["analysis"],
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
        code=CODE["analysis"],
    shell:
        "hypercurve members {input.setting:q} {input.journal:q} --output {output.members:q} > {log:q} 2>&1"


rule compare:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
    output:
        report(
            f"{RESULTS}/{{experiment}}/comparison.csv",
            caption="captions/comparison.rst",
            category="{experiment}",
            subcategory="tables",
            labels={"result": "comparison of methods"},
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/compare.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/compare.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["analysis"],
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve compare {params.results:q} --output {output:q} > {log:q} 2>&1"


rule budgets:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
    output:
        report(
            f"{RESULTS}/{{experiment}}/budgets.csv",
            caption="captions/budgets.rst",
            category="{experiment}",
            subcategory="tables",
            labels={"result": "best at smaller budgets"},
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/budgets.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/budgets.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["analysis"],
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve compare {params.results:q} --table budgets --output {output:q} > {log:q} 2>&1"


rule traits:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
    output:
        report(
            f"{RESULTS}/{{experiment}}/traits.csv",
            caption="captions/traits.rst",
            category="{experiment}",
            subcategory="tables",
            labels={"result": "traits of the methods"},
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/traits.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/logs/traits.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["analysis"],
        results=lambda w, input: Path(str(input.experiment)).parent,
    shell:
        "hypercurve compare {params.results:q} --table traits --output {output:q} > {log:q} 2>&1"
