"""The sum of the specialists `frequent` and `rare`, one member [MLoB].

Command: make train SUITE=imaterialist2018 MODEL=specialists
Cost: that of its parts; the sum takes seconds.
Reported by MLoB: the pair had the largest weight of all members in the swarm's ensemble, 0.36.
"""

from mlob.recipes import Sum

recipe = Sum(parts=("frequent", "rare"))
