"""Whole networks of a student team's entry to iNaturalist 2019, small: kinds of articles for 1,010 species.

They tell the networks, the epochs and what was changed in photos (scale, mirror, colours), but no rates. Photos have
96 pixels a side for 224 or 299 (64 where all layers learn), and pass the network less often. Inception v3 ends at its
block mixed8, up to which its weights are at hand; the other two begin at random where no file of their weights is
named.

Command: make train SUITE=fashion_inaturalist MODEL=mnasnet DATA=folder WEIGHTS=folder
Cost: two to five minutes each on 2 cores, twice.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import Augmentation, Experiment, Head, Network, Phase, Task, Training

CHANGED = Augmentation(flip=True, crop=0.6, colour=0.2)
PHASE = Phase(unfreeze="mixed7", learning_rate=3e-4, epochs=3, augmentation=CHANGED)
SCRATCH = replace(PHASE, unfreeze="everything", learning_rate=1e-3, size=64)
AT_RANDOM = "begins at random, theirs with ImageNet's weights; other photos"


def network(extractor: str, phase: Phase) -> Network:
    """Give a network of one phase."""
    return Network(extractor=extractor, phases=(phase,))


INCEPTION = Experiment(
    ("pixels_tiny",),
    Head(units=(), dropout=0.0, groups=True),
    Training(loss="categorical", batch=64),
    network=network("inception_v3_mixed8_tiny", PHASE),
    tasks=(Task("articleType"),),
)
recipes = {
    "inception_whole": replace(
        INCEPTION,
        reported="a picture of scores that is lost",
        differs="other photos, 96 pixels for 299, 3 epochs for 6",
    ),
    "inception_plain": replace(
        INCEPTION,
        network=network("inception_v3_mixed8_tiny", replace(PHASE, augmentation=Augmentation())),
        reported="changing photos helped, no figure",
        differs="other photos, 96 pixels for 299, 3 epochs for 6",
    ),
    "mnasnet": replace(
        INCEPTION,
        network=network("mnasnet1_0_random", SCRATCH),
        reported="a picture of scores that is lost",
        differs=f"{AT_RANDOM}; 3 epochs for 18",
    ),
    "wide_resnet": replace(
        INCEPTION,
        network=network("wide_resnet50_2_random", SCRATCH),
        training=replace(INCEPTION.training, limit=1000),
        reported="error 0.539 of 1,010 species",
        differs=f"{AT_RANDOM}; 950 photos for 268,243",
    ),
}
