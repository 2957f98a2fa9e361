"""What the best entries to iNaturalist 2019 did, and a student team after them, on kinds of articles as species.

Command: make report SUITE=fashion_inaturalist DATA=folder WEIGHTS=folder
Cost: an hour on 2 cores.
Measured in docs/tasks.md. The four members make the ensemble, as entries had up to four models.
"""

from mlob.recipes import Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=("inception", "complement", "huge", "finder"),
    rows=("balanced", "lite0", "cropped", "inception_whole", "inception_plain", "mnasnet", "wide_resnet"),
    ensemble=Ensemble(methods=("mean",)),
    task="articleType",
    repeats=2,
)
