"""The words and pairs of words in the text beside a photo, each the heavier the fewer texts have it (TF-IDF).

Command: make features SUITE=texts MODEL=tfidf DATA=folder SET=annotations.text=title
Cost: seconds.
"""

from mlob.recipes import FeatureSet, Text

recipe = FeatureSet("text", text=Text())
