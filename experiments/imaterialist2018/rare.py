"""A specialist for labels on more than 500 and fewer than 100,000 train photos, 181 of 228 [MLoB].

Its sum with `frequent` is the member `specialists`.

Command: make train SUITE=imaterialist2018 MODEL=rare
Reported by MLoB: the pair had the largest weight of all members in the swarm's ensemble, 0.36.
"""

from mlob.recipes import Experiment

recipe = Experiment(stores=("xception_large",), least_share=501 / 1_014_544, most_share=100_000 / 1_014_544)
