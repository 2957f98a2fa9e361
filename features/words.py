"""How often each word, and each pair of words, stands in the text beside a photo.

Command: make features SUITE=texts MODEL=words DATA=folder SET=annotations.text=title
Cost: seconds.
"""

from mlob.recipes import FeatureSet, Text

recipe = FeatureSet("text", text=Text(weighting="counts"))
