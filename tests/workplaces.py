"""Folders with recipes and drawn photos, where tests run whole jobs."""

from mlob.data import demo

QUICK = 'Ensemble(folds=3, draws=50, methods=("mean",), rules=("0.5",))'


def write(folder, recipes):
    """Write recipes, {path in the folder: what stands behind `recipe = `}, and give the folder."""
    for name, recipe in recipes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"from mlob.recipes import *\n\nrecipe = {recipe}\n")
    return folder


def draw(folder, recipes):
    """Write recipes, and draw 60 photos for a suite whose data folder is `photos`; give the folder."""
    demo.draw(folder / "photos", photos=60)
    return write(folder, recipes)
