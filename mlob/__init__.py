"""mlob: bottleneck features once, dense heads in minutes, an ensemble that holds up.

From Python, `Labeller` labels photos with an ensemble that lies in runs/. `mlob.ensemble.estimators` has the rules of
thresholds, and `mlob.recipes` all that recipe files name. The other modules serve the command line, `mlob --help`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlob.runs.labeller import Labeller as Labeller  # no __all__: pdoc would then document nothing else


def __getattr__(name: str) -> Any:
    """Import `Labeller` when it is first asked for: it loads NumPy and much else."""
    if name != "Labeller":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlob.runs.labeller import Labeller

    return Labeller
