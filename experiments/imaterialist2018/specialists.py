"""The sum of the specialists `frequent` and `rare`, one member (seed 001).

Command: make train SUITE=imaterialist2018 MODEL=specialists
Cost: that of its parts; the sum takes seconds.
Reported by MLoB: of their members the pair had the largest weight in the swarm's ensemble, 0.36.
"""

from mlob.recipes import Sum

recipe = Sum(parts=("frequent", "rare"))
