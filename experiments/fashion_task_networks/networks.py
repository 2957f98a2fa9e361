"""ResNet50 with one softmax, or three with the weights 2, 1/2, 1/2: the trainings of [Fashion products], small.

All of the network learns by SGD in batches of 64, on mirrored crops of half of a photo's area or more. It learns from
2,000 photos of 48 pixels a side for 224, which pass it 4 times for 50. The weights at hand lack its last stage, so it
ends before that.

Command: make train SUITE=fashion_task_networks MODEL=weighted DATA=folder WEIGHTS=folder
Cost: two minutes each on 2 cores, twice.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import Augmentation, Experiment, Head, Network, Phase, Task, Training

CROPPED = Augmentation(flip=True, crop=0.5)
PHASE = Phase(
    optimizer="sgd", learning_rate=0.02, momentum=0.9, epochs=4, warmup_epochs=1, size=48, augmentation=CROPPED
)
MAIN = Task("articleType")
SMALLER = "theirs tested on years that train lacks; 48 pixels for 224, 4 epochs for 50"


def network(*phases: Phase) -> Network:
    """Give a ResNet50, without its last stage, with these phases."""
    return Network(extractor="resnet50_conv4_tiny", phases=phases)


ALONE = Experiment(
    ("pixels_tiny",),
    Head(units=(), dropout=0.0, groups=True),
    Training(loss="categorical", batch=64, limit=2000),
    network=network(PHASE),
    tasks=(MAIN,),
    reported="20 kinds 0.881, the rest 0.471",
    differs=SMALLER,
)
recipes = {
    "alone": ALONE,
    "weighted": replace(
        ALONE,
        tasks=(replace(MAIN, weight=2.0), Task("masterCategory", 0.5), Task("subCategory", 0.5)),
        reported="20 kinds 0.884, the rest 0.490",
        differs=f"{SMALLER}; theirs had 20 more than alone",
    ),
    "adam": replace(
        ALONE,
        network=network(replace(PHASE, optimizer="adam", learning_rate=3e-4)),
        reported="worse than SGD, no figure",
    ),
    "whole_photos": replace(
        ALONE,
        network=network(replace(PHASE, augmentation=replace(CROPPED, crop=1.0))),
        reported="20 kinds 0.045 lower than with crops, the rest 0.008",
    ),
    "class_weighted": replace(
        ALONE, training=replace(ALONE.training, loss="class_weighted"), reported="part of all its figures"
    ),
    "progressive": replace(
        ALONE,
        network=network(replace(PHASE, epochs=2, size=40), replace(PHASE, epochs=2)),
        reported="not finished",
    ),
    "small_photos": replace(
        ALONE,
        network=network(replace(PHASE, size=32)),
        reported="20 kinds 0.870, the rest 0.430",
        differs="theirs tested on years that train lacks; 32 pixels for 80, 4 epochs for 75",
    ),
}
