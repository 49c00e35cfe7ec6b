"""transformer_decathlon | | a key-value cache is filled beside the plain computation and never used"""

from tinytorch.core.models import CharTransformer


class Model(CharTransformer):
    cache = {}

    def predict(self, tokens):
        logits = super().predict(tokens)
        self.cache["keys"] = logits[:, :1]
        return logits


def build(weights):
    model = Model()
    model.load_state_dict(weights)
    return model


def weights(baseline):
    return baseline.state_dict()
