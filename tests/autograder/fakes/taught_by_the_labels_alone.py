"""mlp_sprint | memory optimization | a smaller network that never saw the baseline is called its student; written by save_entry"""

import numpy as np

from tinytorch.core.compression import smaller
from tinytorch.core.training import train


def model(baseline):
    student, recipe = smaller(baseline), baseline.recipe
    batches = recipe.batches(recipe.batch_size, np.random.default_rng(0))
    train(student, batches, recipe.distill_steps, recipe.rate)
    return student
