"""The kinds of heads that are fitted in closed form or by scikit-learn, a table of them."""

from types import ModuleType

from mlob.fields import KERNEL, LOGISTIC, NAIVE_BAYES
from mlob.training import kernel, logistic, naive_bayes

# Each has `fit`, of a head, rows to train on, dev and the labels' groups, which chooses a setting and notes it in what
# it gives, a `Trained`; and `fit_at`, of a setting, a head, rows and groups.
KINDS: dict[str, ModuleType] = {KERNEL: kernel, LOGISTIC: logistic, NAIVE_BAYES: naive_bayes}
