"""Heads on DenseNet169's features that learn the kind of article, alone or beside other tasks.

`weighted` has the weights of [Fashion products]: the main task's is 2, those of two auxiliary ones 1/2. `decayed`
has those of [iMaterialist 2017], 0.95 to the power of the task's number, and `normalised` divides them by their sum, as
its code does, so that the main task's weight falls from 1 to 0.35. AdamW's steps do not depend on the scale of a loss,
those of SGD do: hence `*_sgd`.

`private` has layers of each task by itself, `public` the same number of layers that all tasks share, `public_large`
wider ones. `two_stages` adds up a head of the 20 commonest kinds and one of the rest that begins with its layers.

Command: make report SUITE=fashion_tasks DATA=folder WEIGHTS=folder
Cost: half a minute each on 2 cores, five times.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import Experiment, Head, Sum, Task, Training

GROUPS = ("articleType", "masterCategory", "subCategory")
COMMONEST = 0.0155  # of the photos: 20 kinds are on more


def tasks(*weights: float) -> tuple[Task, ...]:
    """Give the tasks with these weights, the main one first."""
    return tuple(Task(group, weight) for group, weight in zip(GROUPS, weights, strict=False))


HEAD = Head(units=(512,), groups=True)
ALONE = Experiment(("densenet169",), HEAD, Training(loss="categorical"), tasks=tasks(1.0))
SGD = Training(loss="categorical", optimizer="sgd", learning_rate=0.5, momentum=0.9, weight_decay=0.0)
DECAYED = (1.0, 0.95, 0.95**2)
WEIGHTS = {
    "alone": (1.0,),
    "weighted": (2.0, 0.5, 0.5),
    "uniform": (1.0, 1.0, 1.0),
    "decayed": DECAYED,
    "normalised": tuple(weight / sum(DECAYED) for weight in DECAYED),
}
REPORTED = {
    "alone": "20 kinds 0.881, the rest 0.471",
    "weighted": "20 kinds 0.884, the rest 0.490",
    "normalised": "4 kinds, with 4 tasks 0.653",
}
UNIFORM = replace(ALONE, tasks=tasks(1.0, 1.0, 1.0))
COMMON, REST = replace(ALONE, least_share=COMMONEST), replace(ALONE, most_share=COMMONEST)

recipes = {
    **{
        name: replace(ALONE, tasks=tasks(*weights), reported=REPORTED.get(name, ""))
        for name, weights in WEIGHTS.items()
    },
    **{
        f"{name}_sgd": replace(ALONE, tasks=tasks(*weights), training=SGD)
        for name, weights in WEIGHTS.items()
        if name != "uniform"
    },
    "private": replace(
        UNIFORM, head=replace(HEAD, units=(128,), task_units=(16, 8)), reported="worse than shared layers"
    ),
    "public": replace(UNIFORM, head=replace(HEAD, units=(160, 128, 128))),
    "public_large": replace(UNIFORM, head=replace(HEAD, units=(384, 384, 128)), reported="4 kinds, alone 0.715"),
    "commonest": COMMON,
    "rest": replace(REST, start="commonest"),
    "two_stages": Sum(parts=("commonest", "rest")),
    "rest_at_random": REST,
    "two_at_random": Sum(parts=("commonest", "rest_at_random")),
}
