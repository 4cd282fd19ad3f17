# One rule per kind of task. A marker says that this task of this run finished; what is done is
# the store's to say. The worker replaces the shell, so that a signal reaches it.
import sys
from shlex import quote

WORKER = f"exec {quote(sys.executable)} -P -m diffpipe.rules.worker {quote(str(PLAN_FILE))}"
RUN = str(PLAN_FILE.parent)
AFTER = {task.id: [f"{RUN}/done/{each}" for each in task.after] for task in PLAN.tasks}


rule once:
    input:
        lambda wildcards: AFTER[wildcards.task],
    output:
        touch(RUN + "/done/{task}"),
    log:
        RUN + "/logs/{task}.log",
    wildcard_constraints:
        task=r"\d+-once",
    params:
        worker=WORKER,
    shell:
        "{params.worker} {wildcards.task} > {log:q} 2>&1"


rule events:
    input:
        lambda wildcards: AFTER[wildcards.task],
    output:
        touch(RUN + "/done/{task}"),
    log:
        RUN + "/logs/{task}.log",
    wildcard_constraints:
        task=r"\d+-events-\d+",
    params:
        worker=WORKER,
    shell:
        "{params.worker} {wildcards.task} > {log:q} 2>&1"
