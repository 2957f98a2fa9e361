"""Labels on 500 train photos and fewer are left out, 31 of 228 (seed 001): predicted on none.

Command: make train SUITE=imaterialist2018 MODEL=minimum_count
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",), least_share=501 / 1_014_544)
