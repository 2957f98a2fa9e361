"""Heads on DenseNet169's features, trained on photos of even years.

Command: make train SUITE=fashion_years MODEL=weighted DATA=folder WEIGHTS=folder
Cost: a few seconds each on 2 cores, five times.
Measured in docs/tasks.md.
"""

from dataclasses import replace

from mlob.recipes import Experiment, Head, Sum, Task, Training

COMMONEST = 0.0155  # of the photos
HEADS = "a head, not a whole network; a fifth of the photos"
ALONE = Experiment(
    ("densenet169",),
    Head(units=(512,), groups=True),
    Training(loss="categorical"),
    tasks=(Task("articleType"),),
    reported="validation 0.940, test: 20 kinds 0.881, the rest 0.471",
    differs=f"{HEADS}; all kinds in one",
)
COMMON = replace(ALONE, least_share=COMMONEST, reported="validation 0.940, test 0.881, of 20 kinds")
REST = replace(ALONE, most_share=COMMONEST, reported="validation 0.801, test 0.471, of the rest", start="commonest")

recipes = {
    "alone": ALONE,
    "weighted": replace(
        ALONE,
        tasks=(Task("articleType", 2.0), Task("masterCategory", 0.5), Task("subCategory", 0.5)),
        reported="validation 0.954, test: 20 kinds 0.884, the rest 0.490",
    ),
    "commonest": replace(COMMON, differs=f"{HEADS}; here judged on all kinds"),
    "rest": replace(REST, differs=f"{HEADS}; here judged on all kinds"),
    "two_stages": Sum(parts=("commonest", "rest"), differs=f"{HEADS}; no team judged both stages on all kinds"),
}
