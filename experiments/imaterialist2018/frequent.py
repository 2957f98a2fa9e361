"""A specialist for labels on at least 100,000 of 1,014,544 train photos, 16 of 228 [MLoB].

Its sum with `rare` is the member `specialists`.

Command: make train SUITE=imaterialist2018 MODEL=frequent
Reported by MLoB: the pair had the largest weight of all members in the swarm's ensemble, 0.36.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",), least_share=100_000 / 1_014_544)
