"""ResNet50 without its last stage, at 96 pixels: small networks begin with it.

Command: make train SUITE=fashion_task_networks MODEL=alone DATA=folder WEIGHTS=folder
Cost: 0.6 GFLOP a photo.
"""

from mlob.recipes import FeatureSet

recipe = FeatureSet("resnet50", size="tiny", layer="conv4_block6_out")
