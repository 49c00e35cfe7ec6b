"""Where the ends of the evidence come from: `python tests/benchmarks/evidence.py` (about five minutes).

For each family the number that `evidence_scores` looks at: of the honest entries that use the family, of the
honest ones that do not, and of the fakes; and of an MLP trained alike from another start. An end where nothing
is earned must lie at or above all fakes, one where everything is earned at or above the strongest honest entry,
or where the course draws its line (four bits a weight, nine of ten weights gone). The ends in use are
`tinytorch.perf.evidence.ENDS`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import math

import numpy as np

from tests.autograder.submissions import official, told
from tinytorch.core.benchmarking import answers
from tinytorch.core.compression import smaller
from tinytorch.core.training import train
from tinytorch.perf.evidence import ENDS, other_choices
from tinytorch.perf.machine import describe_machine
from tinytorch.perf.workloads.baselines import load_baseline
from tinytorch.perf.workloads.datasets import load_dataset
from tinytorch.perf.workloads.train import train_baseline

HERE = Path(__file__).resolve().parents[1] / "autograder"


def numbers(facts):
    """What each family is judged by, on its scale."""
    gone = 1 - facts["weights"] / facts["baseline_weights"]
    own = facts["provenance"] <= 0.5
    return {
        "quantization": math.log2(32 / max(1.0, facts["bits_per_weight"])),
        "pruning": 0.0 if own else gone,
        "distillation": (facts["agreement"] or 0.0) if own and gone > ENDS["pruning"][0] else 0.0,
        "custom kernels": math.log2(max(facts["kernel_speedup"], 1e-3)),
        "memory optimization": math.log2(facts["memory_ratio"] or 1.0),
        "compression": math.log2(facts["packed_ratio"]),
    }


def measured(kind):
    """(families that it uses, name, number of each family) of every file of a kind."""
    for path in sorted((HERE / kind).glob("*.py")):
        with tempfile.TemporaryDirectory() as folder:
            result = official(path, Path(folder) / "entry")
        used = {family.strip() for family in told(path)[1].split(",")}
        print(f"  {kind:<7} {path.stem}", file=sys.stderr)
        yield used, path.stem, numbers(result["facts"])


def agreement_of_strangers():
    """Rank correlation of networks that never saw the baseline: the student's own shape, and the baseline's."""
    baseline, graded = load_baseline("mlp_sprint"), load_dataset("mlp_sprint").grading_set(3)
    small, recipe, reference = smaller(baseline), baseline.recipe, answers(baseline, graded)
    train(small, recipe.batches(recipe.batch_size, np.random.default_rng(0)), recipe.distill_steps, recipe.rate)
    return [other_choices(answers(each, graded), reference) for each in (small, train_baseline("mlp_sprint", 5))]


def main():
    machine = describe_machine("worker's CPU time")
    print(f"{machine.processor}, {machine.cores} cores, numpy {machine.numpy}, {machine.blas}\n")
    honest, fakes = list(measured("honest")), list(measured("fakes"))
    heading = ("highest fake", "other honest", "| nothing", "weakest", "strongest", "| all")
    print(f"{'':<20}" + "".join(f"{each:>14}" for each in heading))
    for family, (nothing, everything) in ENDS.items():
        using = [values[family] for used, _, values in honest if family in used]
        others = max(values[family] for used, _, values in honest if family not in used)
        fake = max(values[family] for used, _, values in fakes if family not in used)
        row = (fake, others, nothing, min(using), max(using), everything)
        print(f"{family:<20}" + "".join(f"{each:>14.2f}" for each in row))
    small, large = agreement_of_strangers()
    print(f"\ndistillation of MLPs that never saw the baseline: {small:.2f} small, {large:.2f} as large")


if __name__ == "__main__":
    main()
