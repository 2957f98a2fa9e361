"""One head over the features of whole photos and of the things in them: for things that are small in their photos.

Command: make train SUITE=photos MODEL=finder DATA=folder; make train SUITE=photos MODEL=cropped DATA=folder
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("efficientnet_lite0", "efficientnet_lite0_crop"))
