# The sweep of a frozen plan. `diffpipe run` gives the plan; plain Snakemake makes one:
#
#     snakemake --cores 2 --config pipeline=drell_yan direction=backward
#
from diffpipe.rules.frozen import frozen_plan

PLAN_FILE, PLAN = frozen_plan(config, workflow)


rule all:
    input:
        [str(PLAN_FILE.parent / "done" / task) for task in PLAN.last_tasks],


include: "rules/sweep.smk"
