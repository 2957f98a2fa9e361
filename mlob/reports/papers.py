"""Micro-F1 that others report on iMaterialist Fashion 2018, to compare our own with.

Kaggle's test holds 39,706 photos, the first 9,897 of which are the official validation photos. Team MLoB tuned on
those [MLoB]. The poster was judged on a part of train, whose photos have fewer labels [Stanford poster]. The others are
in docs/sources.md, too: [Xiong and Wang], and the 1st and the 2nd place.
"""

from typing import NamedTuple

LABELS = tuple(range(1, 229))  # ids; on other labels these figures mean nothing
KAGGLE = "Kaggle's test"
PART = "a part of train"
POSTER = "Stanford poster, Inception v3"


class Reported(NamedTuple):
    """One figure: by whom, of what, judged where; parameters in millions."""

    who: str
    what: str
    where: str
    micro_f1: float
    parameters: float | None = None
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None


REPORTED = (
    Reported("MLoB", "MobileNet, custom loss", KAGGLE, 0.20, 3.46),
    Reported("MLoB", "MobileNet", KAGGLE, 0.21, 3.46),
    Reported("MLoB", "InceptionV3_small", KAGGLE, 0.35, 22.3),
    Reported("MLoB", "Xception_small", KAGGLE, 0.38, 21.3),
    Reported("MLoB", "ResNet_small", KAGGLE, 0.38, 26),
    Reported("MLoB", "Xception_large", KAGGLE, 0.41),
    Reported("MLoB", "harmonic mean", KAGGLE, 0.41),
    Reported("MLoB", "mean", KAGGLE, 0.47),
    Reported("MLoB", "Xception_large_precompute", KAGGLE, 0.504, 23.7),
    Reported("MLoB", "PSO", KAGGLE, 0.506, 227.1),
    Reported(POSTER, "loss weight 1, 1 M photos, 500 steps", PART, 0.215, None, 0.746, 0.125, 0.976),
    Reported(POSTER, "loss weight 1, 100,000 photos, 20,000 steps", PART, 0.320, None, 0.846, 0.198, 0.979),
    Reported(POSTER, "loss weight 4, 1 M photos, 500 steps", PART, 0.355, None, 0.374, 0.339, 0.969),
    Reported(POSTER, "loss weight 4, 1 M photos, 5,000 steps", PART, 0.389, None, 0.439, 0.349, 0.972),
    Reported(POSTER, "loss weight 4, 100,000 photos, 5,000 steps", PART, 0.411, None, 0.458, 0.372, 0.972),
    Reported(POSTER, "loss weight 6, 100,000 photos, 20,000 steps", PART, 0.434, None, 0.370, 0.526, 0.966),
    Reported(POSTER, "loss weight 4, 1 M photos, 22,000 steps", PART, 0.453, None, 0.474, 0.434, 0.973),
    Reported("Xiong and Wang", "frozen Xception, linear head", KAGGLE, 0.512),
    Reported("Xiong and Wang", "Xception, fine-tuned", KAGGLE, 0.609),
    Reported("Xiong and Wang", "mean of 5 networks, a threshold a label", KAGGLE, 0.656),
    Reported("2nd place", "9 networks and a stacker", KAGGLE, 0.719),
    Reported("1st place", "networks and boosted trees", KAGGLE, 0.72),
)
