"""Logistic regression on EfficientNet-Lite0's features at 560 pixels: the head by which photos are cropped.

Command: make train SUITE=photos MODEL=finder DATA=folder
"""

from mlob.recipes import LOGISTIC, Experiment

recipe = Experiment(stores=("efficientnet_lite0_huge",), head=LOGISTIC)
