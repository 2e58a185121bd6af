"""A training loop of one's own: scikit-learn's SGDClassifier on whatever data the experiment names, an epoch at a time.

`config/experiments/digits-sgd.yaml` tunes it. `save`, `load` and `adjust` are only needed for populations; without them, and
without a state to keep, a generator function would do.
"""

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, log_loss


class Training:
    """One trial.

    Args:
        hyperparameters: those of the experiment's space, by name.
        context: the trial's seed, the number of epochs, the prepared data.
    """

    def __init__(self, hyperparameters, context):
        self.seed, self.epochs = context.seed, context.epochs
        data = context.data
        self.classes = np.arange(data.classes)
        self.parts = {
            name: (np.asarray(x).reshape(len(x), -1) * data.scale, np.asarray(y))
            for name, x, y in [
                ("", data.x_train, data.y_train),
                ("val_", data.x_validation, data.y_validation),
                ("test_", data.x_test, data.y_test),
            ]
        }
        self.model = SGDClassifier(loss="log_loss", learning_rate="constant")
        self.epoch = 0
        self.adjust(hyperparameters)

    def adjust(self, hyperparameters):
        """Take over other hyperparameters."""
        self.model.set_params(eta0=hyperparameters["eta0"], alpha=hyperparameters["alpha"])

    def train(self):
        """Yield metrics once per epoch, from where the state is."""
        while self.epoch < self.epochs:
            self.model.set_params(random_state=(self.seed + self.epoch) % 2**31)  # an order of samples for every epoch
            self.model.partial_fit(*self.parts[""], classes=self.classes)
            self.epoch += 1
            yield self.measured()

    def measured(self):
        """Loss and accuracy on the three parts of the data."""
        metrics = {}
        for part, (x, y) in self.parts.items():
            probabilities = self.model.predict_proba(x)
            metrics[f"{part}loss"] = log_loss(y, probabilities, labels=self.classes)
            metrics[f"{part}accuracy"] = accuracy_score(y, probabilities.argmax(axis=1))
        return metrics

    def save(self):
        """All that training goes on from, as arrays."""
        return {"coef": self.model.coef_, "intercept": self.model.intercept_, "t": self.model.t_, "epoch": self.epoch}

    def load(self, state):
        """Go on from what `save` gave, here or in another member of a population."""
        if not hasattr(self.model, "coef_"):  # not trained yet: lets scikit-learn make its arrays
            self.model.partial_fit(*(part[:1] for part in self.parts[""]), classes=self.classes)
        self.model.coef_, self.model.intercept_ = state["coef"], state["intercept"]
        self.model.t_, self.epoch = float(state["t"]), int(state["epoch"])
