# One rule per kind of task. A marker says that this task of this run finished; what is done is
# the store's to say. The shell command serves those who run without warm workers; it replaces the
# shell, so that a signal reaches the worker.
import sys
from shlex import quote

WORKER = f"exec {quote(sys.executable)} -P -m diffpipe.rules.worker {quote(str(PLAN_FILE))}"
DONE = str(PLAN_FILE.parent / "done")
TASKS = {task.id: task for task in PLAN.tasks}


def after(wildcards):
    return [f"{DONE}/{each}" for each in TASKS[wildcards.task].after]


def needs(word):
    """A resource of the tasks: a number where all need the same, since a call costs 0.2 ms."""
    values = {task.id: getattr(task.resources, word) or 0 for task in PLAN.tasks}
    same = set(values.values())
    return same.pop() if len(same) == 1 else lambda wildcards: values[wildcards.task]


CPUS, GPUS = needs("cpus"), needs("gpus")
MEMORY_MB, RUNTIME_MIN = needs("memory_mb"), needs("runtime_min")


rule once:
    input:
        after,
    output:
        touch(DONE + "/{task}"),
    wildcard_constraints:
        task=r"\d+-once",
    threads: CPUS
    resources:
        mem_mb=MEMORY_MB,
        runtime=RUNTIME_MIN,
        gpu=GPUS,
    shell:
        "{WORKER} {wildcards.task}"


rule events:
    input:
        after,
    output:
        touch(DONE + "/{task}"),
    wildcard_constraints:
        task=r"\d+-events-\d+",
    threads: CPUS
    resources:
        mem_mb=MEMORY_MB,
        runtime=RUNTIME_MIN,
        gpu=GPUS,
    shell:
        "{WORKER} {wildcards.task}"
