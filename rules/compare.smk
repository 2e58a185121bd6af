# Tables.


rule trials:
    input:
        setting=rules.setting.output,
        journal=rules.search.output,
    output:
        RUN + "/trials.csv",
    log:
        LOG + "/trials.log",
    benchmark:
        LOG + "/trials.tsv"
    localrule: True
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["analysis"],
    shell:
        "hypercurve trials {input.setting:q} {input.journal:q} --output {output:q} > {log} 2>&1"


rule compare:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
    output:
        report(
            RESULTS + "/{experiment}/comparison.csv",
            caption="captions/comparison.rst",
            category="{experiment}",
            labels={"result": "comparison of methods"},
        ),
    log:
        RESULTS + "/{experiment}/logs/compare.log",
    benchmark:
        RESULTS + "/{experiment}/logs/compare.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["analysis"],
        results=RESULTS + "/{experiment}",
    shell:
        "hypercurve compare {params.results:q} --output {output:q} > {log} 2>&1"


rule budgets:
    input:
        experiment=rules.experiment.output,
        journals=lambda w: runs_of(w.experiment),
    output:
        report(
            RESULTS + "/{experiment}/budgets.csv",
            caption="captions/budgets.rst",
            category="{experiment}",
            labels={"result": "best at smaller budgets"},
        ),
    log:
        RESULTS + "/{experiment}/logs/budgets.log",
    benchmark:
        RESULTS + "/{experiment}/logs/budgets.tsv"
    conda:
        "../envs/hypercurve.yaml"
    params:
        code=CODE["analysis"],
        results=RESULTS + "/{experiment}",
    shell:
        "hypercurve compare {params.results:q} --at-budgets --output {output:q} > {log} 2>&1"
