"""A photo and the text beside it, such as the name of a product: each by itself, and both together.

Command: make report SUITE=texts DATA=folder SET=annotations.text=title
Cost: that of EfficientNet-Lite0's features, and a minute.
The data folder has a table with a column of texts; their column's name is that of the command. `words` is what
[Fashion products] tried on names. Measured on drawn garments in benchmarks/results/texts.md.
"""

from mlob.recipes import Annotations, Suite

recipe = Suite(
    data="data/photos",
    members=("photo", "words", "tfidf", "photo_and_words"),
    annotations=Annotations(text="title"),
)
