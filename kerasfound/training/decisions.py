"""The thresholds of a model with two classes, as `results.json` records them."""

import msgspec


class Threshold(msgspec.Struct, frozen=True):
    """A threshold and what it reaches on the test rows."""

    choice: str
    """How it is chosen."""
    threshold: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    cost: float | None = None
    """The mean cost of a row, where a false alarm costs 1."""


class Decisions(msgspec.Struct, frozen=True):
    """The thresholds of a model with two classes."""

    positive: str
    """The class that precision, recall, F1 and PR-AUC are about: the rarer class of the training rows."""
    positive_share: float
    """The share of the test rows that belong to it: the PR-AUC of a constant probability."""
    pr_auc: float
    thresholds: list[Threshold]
    false_negative_cost: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """PR-AUC, and precision, recall and F1 of the more probable class."""
        half = self.thresholds[0]
        return {"pr_auc": self.pr_auc, "precision": half.precision, "recall": half.recall, "f1": half.f1}

    @property
    def always_positive(self) -> Threshold:
        """What the same answer for all rows reaches: a threshold below every probability.

        Example:
            >>> Decisions("sold", 0.5, 0.8, []).always_positive.f1
            0.666667
        """
        share, cost = self.positive_share, None if self.false_negative_cost is None else 1 - self.positive_share
        f1 = round(2 * share / (1 + share), 6)
        return Threshold(f"always answering {self.positive!r}", 0.0, share, share, float(share > 0), f1, cost)
