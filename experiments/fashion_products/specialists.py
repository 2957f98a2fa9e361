"""The sum of the specialists `frequent` and `rare`: one model, as it was one member of MLoB's ensemble [MLoB].

Command: make train SUITE=fashion_products MODEL=specialists DATA=folder WEIGHTS=folder
Cost: that of its parts; the sum takes seconds.
Measured in docs/heads.md.
"""

from mlob.recipes import Sum

recipe = Sum(parts=("frequent", "rare"))
