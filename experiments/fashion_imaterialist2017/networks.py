"""Three convolutions and hidden layers from nothing, for one task or several: the networks of [iMaterialist 2017].

`alone` to `not_normalised` have the wide shared layers of their 3 million parameters, `public*` narrow ones, `private*`
layers of each task. Each task weighs 0.95 to the power of its number, divided by the sum of all, as in their code:
beside a second task the first weighs 0.51 for 1. `not_normalised` leaves the sum out. As there, labels of less than a
hundredth of the photos are one label "other", and no pooling follows the third convolution. Training has 8 epochs for
20, and at neither end had the loss stopped falling. Photos have 96 pixels a side for 256, so that flattened maps, and
with them the first hidden layer, are a seventh of theirs. Photos of dev and validation are not changed; theirs were.

Command: make train SUITE=fashion_imaterialist2017 MODEL=with_three DATA=folder
Cost: a minute or two each on 2 cores, three times.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import MLP, Augmentation, Convolutions, Experiment, Network, Phase, Task, Training

SMALLER = "subcategories for 4 kinds, other photos, 96 pixels for 256"
PHASE = Phase(
    optimizer="adam",
    schedule="constant",
    epochs=8,
    augmentation=Augmentation(flip=True, rotation=45.0, shift=0.25, zoom=0.2),
)
LARGE = replace(MLP, units=(384, 384, 128), batch_norm=False, groups=True)
SMALL = replace(LARGE, units=(160, 128, 128))
PRIVATE = replace(LARGE, units=(128,), task_units=(16, 8))


def tasks(*others: str, is_normalised: bool = True) -> tuple[Task, ...]:
    """Give the main task and some others, with their weights."""
    weights = [0.95**number for number in range(1 + len(others))]
    total = sum(weights) if is_normalised else 1.0
    return tuple(Task(group, weight / total) for group, weight in zip(("subCategory", *others), weights, strict=True))


ALONE = Experiment(
    ("pixels_tiny",),
    LARGE,
    Training(loss="categorical", batch=128),
    network=Network(convolutions=Convolutions((8, 16, 32), kernel=4, pooled=2, pool=4, dropout=0.5), phases=(PHASE,)),
    tasks=tasks(),
    reported="4 kinds 0.715",
    differs=SMALLER,
)
THREE = tasks("baseColour", "gender", "season")

recipes = {
    "alone": ALONE,
    "with_usage": replace(ALONE, tasks=tasks("usage"), reported="with material 0.680"),
    "with_colour": replace(ALONE, tasks=tasks("baseColour"), reported="with colour 0.614"),
    "with_gender": replace(ALONE, tasks=tasks("gender"), reported="with gender 0.656"),
    "with_season": replace(ALONE, tasks=tasks("season"), reported="with age 0.653"),
    "with_three": replace(ALONE, tasks=THREE, reported="planned, not trained"),
    "not_normalised": replace(ALONE, tasks=tasks("baseColour", "gender", "season", is_normalised=False), reported=""),
    "public": replace(ALONE, head=SMALL, reported="worse than the wide layers, no figure"),
    "public_with_three": replace(ALONE, head=SMALL, tasks=THREE, reported="worse than the wide layers, no figure"),
    "private_with_three": replace(ALONE, head=PRIVATE, tasks=THREE, reported="worse than shared layers, no figure"),
}
