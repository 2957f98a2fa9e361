"""Heads on frozen networks' features that learn the kind of article, as entries to iNaturalist 2019 learned species.

Those of Inception v3: `complement` has the loss with the entropy of the wrong classes [iNaturalist 2019], `balanced`
draws each kind as often as another, `huge` sees photos of 560 pixels a side. Of EfficientNet-Lite0: `finder` sees such
photos, and says where the thing in them is; `cropped` reads photos that are cropped to it beside the whole ones, which
`lite0` reads alone.

Command: make train SUITE=fashion_inaturalist MODEL=huge DATA=folder WEIGHTS=folder
Cost: half a minute each on 2 cores, twice; the features of `huge` ten minutes.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import LOGISTIC, Experiment, Head, Task, Training

OTHERS = "an entry to the contest did it, without a figure for it alone"
BASE = Experiment(
    ("inception_v3_mixed8_small",),
    Head(units=(512,), groups=True),
    Training(loss="categorical"),
    tasks=(Task("articleType"),),
    differs="the fast path of a network that the team trained whole",
)
LITE0 = replace(BASE, stores=("efficientnet_lite0",), differs="")
recipes = {
    "inception": BASE,
    "complement": replace(BASE, training=replace(BASE.training, loss="complement"), differs=OTHERS),
    "balanced": replace(BASE, training=replace(BASE.training, balance=1.0), differs=OTHERS),
    "lite0": LITE0,
    "finder": Experiment(("efficientnet_lite0_huge",), LOGISTIC),
    "cropped": replace(
        LITE0,
        stores=("efficientnet_lite0", "efficientnet_lite0_crop_kinds"),
        differs=f"{OTHERS}; our articles fill their photos",
    ),
    "huge": replace(
        BASE, stores=("inception_v3_mixed8_huge",), differs=f"{OTHERS}; our photos have 224 pixels, enlarged to 560"
    ),
}
