"""Heads on DenseNet169's features that learn the kind of article, alone or beside other tasks.

`weighted` has the weights of [Fashion products]: the main task's is 2, those of two auxiliary ones 1/2. `decayed`
has those of [iMaterialist 2017], 0.95 to the power of the task's number, and `normalised` divides them by their sum, as
its code does, so that the main task's weight falls from 1 to 0.35. AdamW's steps do not depend on the scale of a loss,
those of SGD do: hence `*_sgd`.

`private` has layers of each task by itself, `public` the same number of layers that all tasks share, `public_large`
wider ones. `two_stages` adds up a head of the 20 commonest kinds and one of the rest that begins with its layers;
`three_stages` has a third one, of the 23 rarest kinds. `class_weighted` weighs rare kinds more in the loss, `balanced`
draws them more often.

Command: make report SUITE=fashion_tasks DATA=folder WEIGHTS=folder
Cost: half a minute each on 2 cores, five times.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import Experiment, Head, Sum, Task, Training

GROUPS = ("articleType", "masterCategory", "subCategory")
COMMONEST, RAREST = 0.0155, 0.005  # of the photos: 20 kinds are on more than the first, 23 on less than the second
YEARS = "tested on years that it was not trained on, kinds that train lacks among them; a whole ResNet50"
FOUR = "four kinds of clothes and convolutions from scratch; a training without repeats"


def tasks(*weights: float) -> tuple[Task, ...]:
    """Give the tasks with these weights, the main one first."""
    return tuple(Task(group, weight) for group, weight in zip(GROUPS, weights, strict=False))


HEAD = Head(units=(512,), groups=True)
TRAINING = Training(loss="categorical")
ALONE = Experiment(("densenet169",), HEAD, TRAINING, tasks=tasks(1.0))
SGD = replace(TRAINING, optimizer="sgd", learning_rate=0.5, momentum=0.9, weight_decay=0.0)
DECAYED = (1.0, 0.95, 0.95**2)
WEIGHTS = {
    "alone": (1.0,),
    "weighted": (2.0, 0.5, 0.5),
    "uniform": (1.0, 1.0, 1.0),
    "decayed": DECAYED,
    "normalised": tuple(weight / sum(DECAYED) for weight in DECAYED),
}
ORIGINALS = {
    "alone": {"reported": "20 kinds 0.881, the rest 0.471", "differs": YEARS},
    "weighted": {"reported": "20 kinds 0.884, the rest 0.490", "differs": f"{YEARS}; theirs had 20 more epochs"},
    "uniform": {"reported": "worse than 2, 1/2, 1/2, no figure", "differs": YEARS},
    "normalised": {"reported": "4 kinds alone 0.715, with a second task 0.614 to 0.680", "differs": FOUR},
}
UNIFORM = replace(ALONE, tasks=tasks(1.0, 1.0, 1.0))
COMMON, REST = replace(ALONE, least_share=COMMONEST), replace(ALONE, most_share=COMMONEST)
MIDDLE = replace(REST, least_share=RAREST, start="commonest")

recipes = {
    **{name: replace(ALONE, tasks=tasks(*weights), **ORIGINALS.get(name, {})) for name, weights in WEIGHTS.items()},
    **{
        f"{name}_sgd": replace(ALONE, tasks=tasks(*weights), training=SGD)
        for name, weights in WEIGHTS.items()
        if name != "uniform"
    },
    "class_weighted": replace(
        ALONE, training=replace(TRAINING, loss="class_weighted"), reported="part of all its figures", differs=YEARS
    ),
    "balanced": replace(
        ALONE, training=replace(TRAINING, balance=1.0), reported="of the rest, a dramatic decrease", differs=YEARS
    ),
    "private": replace(
        UNIFORM,
        head=replace(HEAD, units=(128,), task_units=(16, 8)),
        reported="worse than shared layers",
        differs=FOUR,
    ),
    "public": replace(UNIFORM, head=replace(HEAD, units=(160, 128, 128)), reported="worse than large", differs=FOUR),
    "public_large": replace(
        UNIFORM, head=replace(HEAD, units=(384, 384, 128)), reported="4 kinds, alone 0.715", differs=FOUR
    ),
    "commonest": replace(COMMON, reported="20 kinds 0.881", differs=f"{YEARS}; here judged on all kinds"),
    "rest": replace(REST, start="commonest", reported="the rest 0.471", differs=f"{YEARS}; here judged on all kinds"),
    "two_stages": Sum(parts=("commonest", "rest"), differs="no team judged both stages on all kinds"),
    "rest_at_random": REST,
    "two_at_random": Sum(parts=("commonest", "rest_at_random")),
    "middle": MIDDLE,
    "rarest": replace(REST, most_share=RAREST, start="commonest"),
    "three_stages": Sum(
        parts=("commonest", "middle", "rarest"),
        reported="the 50 rarest kinds trained again, no figure",
        differs="23 of 53 kinds",
    ),
}
