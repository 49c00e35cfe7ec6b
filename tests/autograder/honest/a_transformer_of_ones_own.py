"""transformer_decathlon | | the whole network in numpy with its own key-value cache; no operations offered"""

import numpy as np


def normal(x, scale, shift):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * scale + shift


class Model:
    def __init__(self, weights):
        self.w = weights

    def dense(self, name, x):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def attend(self, name, x, past):
        n, t, _ = x.shape
        q, k, v = (
            self.dense(f"{name}.{part}", x).reshape(n, t, 4, 16).swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        if past is not None:
            if name in past:
                k, v = (np.concatenate([old, new], axis=2) for old, new in zip(past[name], (k, v)))
            past[name] = k, v
        scores = q @ k.swapaxes(2, 3) / 4
        if t > 1:
            scores = np.where(np.tri(t, dtype=bool), scores, np.float32(-1e9))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        return self.dense(f"{name}.output", mixed.swapaxes(1, 2).reshape(n, t, 64))

    def forward(self, tokens, start=0, past=None):
        x = self.w["symbol.weight"][tokens] + self.w["position.weight"][start : start + tokens.shape[1]]
        for block in ("blocks.0", "blocks.1"):
            inner = normal(x, self.w[f"{block}.attention_norm.scale"], self.w[f"{block}.attention_norm.shift"])
            x = x + self.attend(f"{block}.attention", inner, past)
            inner = normal(x, self.w[f"{block}.feed_norm.scale"], self.w[f"{block}.feed_norm.shift"])
            wide = np.maximum(self.dense(f"{block}.feed_forward.expand", inner), 0)
            x = x + self.dense(f"{block}.feed_forward.contract", wide)
        return self.dense("head", normal(x, self.w["norm.scale"], self.w["norm.shift"]))

    def predict(self, tokens):
        return self.forward(tokens).astype(np.float32)

    def generate(self, prompt, count):
        past, tokens, given = {}, prompt, prompt
        for _ in range(count):
            logits = self.forward(given, tokens.shape[1] - given.shape[1], past)
            given = logits[:, -1:].argmax(axis=-1)
            tokens = np.concatenate([tokens, given], axis=1)
        return tokens


def build(weights):
    return Model(weights)


def weights(baseline):
    return baseline.state_dict()
