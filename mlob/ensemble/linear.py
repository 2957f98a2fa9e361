"""A linear stacker: a penalised logistic head of low rank that knows which labels go together."""

import dataclasses
import itertools
import typing
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from mlob.ensemble import simplex
from mlob.ensemble.blend import arithmetic
from mlob.ensemble.stacking import SMALLEST, inner_folds, principal_axes, side_by_side
from mlob.labels import Exclusive, completed, is_known, positives
from mlob.metrics import highest_micro_f1

if typing.TYPE_CHECKING:
    from scipy.sparse import csr_array

PENALTIES = (1000, 300, 100)  # ridge, falling: each fit starts from the one before


@dataclasses.dataclass(frozen=True)
class Linear:
    """The blend's logits plus a linear function of the principal components of all logits of all members.

    Attributes:
        base_weights: float64 (members,), of the blend.
        centre: float32 (members * labels,).
        axes: float32 (members * labels, components).
        coefficients: float64 (components + 1, labels), the last row the bias.
        block: of each label, integers (labels,) from 0: the labels of a block exclude each other.
        penalty: float64 ().
        out_of_fold: float32 (n, labels), for the photos of the fit.
    """

    base_weights: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    coefficients: np.ndarray
    block: np.ndarray
    penalty: np.ndarray
    out_of_fold: np.ndarray | None = None
    weights = None  # all members count, none by a weight

    def predict(self, members: np.ndarray) -> np.ndarray:
        """Probabilities float32 (n, labels) for members (members, n, labels)."""
        blocks = _as_matrix(self.block)
        start = _start(arithmetic(members, self.base_weights), blocks)
        inputs = (side_by_side(members) - self.centre) @ self.axes
        return _compete(start + _with_ones(inputs) @ self.coefficients, blocks)[0].astype(np.float32)


def fit(
    members: np.ndarray,
    targets: np.ndarray,
    *,
    seed: int,
    groups: Sequence[str] = (),
    keys: Sequence[Hashable] | None = None,
) -> Linear:
    """Fit with the penalty that has the highest micro-F1 on inner folds.

    Inputs are the first 64 principal components of the logits of all labels of all members, scaled by the first one's
    deviation. With `groups`, the labels of a group compete (a softmax with "none of them") where no photo has two.

    Args:
        members: float32 (members, n, labels) in [0, 1].
        targets: 0/1 (n, labels); what is unknown takes no part, nor does a group of which a photo knows only a part.
        groups: the group of each label (labels,), as in `Labels.groups`, or none.
        keys: as of `stacking.inner_folds`.

    Raises:
        InputError: as of `stacking.inner_folds`.
    """
    folds, targets = inner_folds(members, targets, seed, keys), np.asarray(targets)
    block = _blocks(targets, groups)
    targets = completed(targets, [Exclusive(tuple(np.flatnonzero(block == own)), True) for own in np.unique(block)])
    out_of_fold = np.zeros((len(PENALTIES), *targets.shape), np.float32)
    for inside, outside in folds:
        for place, model in enumerate(_path(members[:, inside], targets[inside], block, seed)):
            out_of_fold[place, outside] = model.predict(members[:, outside])
    best = int(np.argmax([highest_micro_f1(targets, probabilities) for probabilities in out_of_fold]))
    model = next(itertools.islice(_path(members, targets, block, seed), best, None))
    return dataclasses.replace(model, out_of_fold=out_of_fold[best])


def _path(members: np.ndarray, targets: np.ndarray, block: np.ndarray, seed: int) -> Iterator[Linear]:
    """Give a `Linear` for each penalty in turn."""
    weights, blocks = simplex.search(members, targets).weights, _as_matrix(block)
    centre, axes = principal_axes(side_by_side(members), seed)
    inputs = _with_ones((side_by_side(members) - centre) @ axes)
    start = _start(arithmetic(members, weights), blocks)
    coefficients = np.zeros((inputs.shape[1], targets.shape[1]))
    for penalty in PENALTIES:
        coefficients = _ridge_logistic(inputs, targets, start, blocks, penalty, coefficients)
        yield Linear(weights, centre, axes, coefficients, block, np.array(penalty, np.float64))


def _ridge_logistic(
    inputs: np.ndarray,
    targets: np.ndarray,
    start: np.ndarray,
    blocks: "csr_array",
    penalty: float,
    coefficients: np.ndarray,
) -> np.ndarray:
    """Minimise log-loss + ridge over coefficients (components + 1, labels); the bias has a ridge of 1."""
    from scipy.optimize import minimize

    ridge = np.full((inputs.shape[1], 1), float(penalty))
    ridge[-1] = 1
    spread = _compete(start, blocks)[0]
    spread *= 1 - spread
    # Principal components are orthogonal, so the Hessian is nearly diagonal: in units of its roots L-BFGS is done in
    # 10 to 20 steps, otherwise in hundreds.
    truth, known_blocks = positives(targets), _known_blocks(targets, blocks)
    known_labels = None if known_blocks is None else known_blocks @ blocks.T
    unit = 1 / np.sqrt(np.sum(inputs**2, axis=0)[:, np.newaxis] * spread.mean(axis=0) + ridge)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        now = unit * flat.reshape(unit.shape)
        logits = start + inputs @ now
        probabilities, normaliser = _compete(logits, blocks)
        wrong_by = probabilities - truth
        if known_blocks is not None:
            normaliser, wrong_by = normaliser * known_blocks, wrong_by * known_labels
        loss = normaliser.sum() - np.vdot(truth, logits) + 0.5 * np.sum(ridge * now**2)
        return loss, (unit * (inputs.T @ wrong_by + ridge * now)).ravel()

    options = {"maxiter": 100, "ftol": 1e-7}
    optimum = minimize(objective, (coefficients / unit).ravel(), jac=True, method="L-BFGS-B", options=options)
    return unit * optimum.x.reshape(unit.shape)


def _compete(logits: np.ndarray, blocks: "csr_array") -> tuple[np.ndarray, np.ndarray]:
    """Softmax in each block against "none" at logit 0 (a block of one: a sigmoid), and its log-normalisers."""
    top = np.maximum(logits.max(axis=1, keepdims=True), 0)
    odds = np.exp(logits - top)
    sums = odds @ blocks + np.exp(-top)
    return odds / (sums @ blocks.T), np.log(sums) + top


def _start(blended: np.ndarray, blocks: "csr_array") -> np.ndarray:
    """Logits (n, labels) against "none of the block", from which `_compete` gives the blend where it sums below 1."""
    blended = np.clip(blended.astype(np.float64), SMALLEST, 1 - SMALLEST)
    none = np.maximum(1 - blended @ blocks, SMALLEST)
    return np.log(blended) - np.log(none) @ blocks.T


def _blocks(targets: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """Block of each label: a group of which no photo has two labels is one; any other label has its own."""
    names = np.arange(targets.shape[1])
    for group in dict.fromkeys(groups):
        inside = np.asarray(groups) == group
        if positives(targets[:, inside]).sum(axis=1).max() <= 1:
            names[inside] = names[inside][0]
    return np.unique(names, return_inverse=True)[1]


def _known_blocks(targets: np.ndarray, blocks: "csr_array") -> np.ndarray | None:
    """Say of which blocks a photo knows every label: 0/1 (n, blocks); None where all photos know all."""
    known = is_known(targets)
    return None if known is None else ((~known) @ blocks == 0).astype(np.float64)


def _as_matrix(block: np.ndarray) -> "csr_array":
    """Sparse 0/1 (labels, blocks)."""
    from scipy.sparse import csr_array

    if not 0 <= block.min() <= block.max() < len(block):
        raise ValueError("there are more blocks than labels")
    return csr_array((block[:, np.newaxis] == np.arange(block.max() + 1)).astype(np.float64))


def _with_ones(inputs: np.ndarray) -> np.ndarray:
    return np.hstack([inputs, np.ones((len(inputs), 1))])
