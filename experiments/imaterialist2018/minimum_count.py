"""Labels on 500 train photos or fewer, 31 of 228, are left out, so they are never predicted [MLoB].

Command: make train SUITE=imaterialist2018 MODEL=minimum_count
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",), least_share=501 / 1_014_544)
