"""9,583 product photos of a fashion shop, 126 labels in 7 groups, about 7 on each photo.

Command: make submission SUITE=fashion_products DATA=folder WEIGHTS=folder
Cost: ten minutes on 2 cores once the features are there.
The data are in the layout of iMaterialist 2018. Some members cut their networks before the last block, so weight files
that lack it will do. Judged by micro-F1, to which a doubtful label costs more than none: with one gender and one season
on each photo (allow_none=False) the ensemble had 0.904 in place of 0.906, its choice cross-fitted too.
"""

from mlob.recipes import Ensemble, Suite

recipe = Suite(
    data="data/fashion-products",
    members=("densenet169", "xception", "resnet50", "efficientnet_lite0", "mobilenet", "bagged", "kernel"),
    rows=(
        *("mlp", "linear", "rate_0_005", "rate_0_01", "rate_0_1", "rate_0_5", "rate_1"),
        *("weight_4", "weight_6", "frequency", "squared_error", "complement", "focal", "asymmetric", "class_balanced"),
        *("balanced_sampler", "frequent", "rare", "specialists", "minimum_count"),
        *(
            "label_smoothing",
            "mixup",
            "warm_up",
            "plateau",
            "no_dropout",
            "feature_dropout",
            "no_prior",
            "groups",
            "categorical",
            "branches",
        ),
        *("side_by_side", "groups_side_by_side", "five_stores", "branches_side_by_side", "views", "blocks", "grid"),
        *("mobilenet_upper", "mobilenet_tuned"),
    ),
    ensemble=Ensemble(allow_none=True),
)
