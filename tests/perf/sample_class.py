"""A class of a few teams with plausible results: the builder behind the tests of boards and plots.

Does not measure: the numbers were made up, with the sizes and ratios of the real events.
"""

from __future__ import annotations

import math
import random

from tinytorch.perf.records import Leaderboard, Standing

TITLES = {
    "mlp_sprint": "MLP Sprint",
    "cnn_marathon": "CNN Marathon",
    "transformer_decathlon": "Transformer Decathlon",
}
VICTORY = {
    "mlp_sprint": "Fastest at batch 1, 32 and 256 wins, at most one point of accuracy below the baseline.",
    "cnn_marathon": "Speed, peak memory and weight size count alike; accuracy may fall by at most one point.",
    "transformer_decathlon": "All ten disciplines count: five operations, five wholes, at most 0.03 bits per "
    "character above the baseline.",
}
MACHINE = {
    "system": "Linux 6.1 x86_64",
    "processor": "Intel Xeon 2.2 GHz",
    "cores": 2,
    "python": "3.11.7",
    "numpy": "2.4.0",
    "blas": "openblas 0.3.31 Haswell",
    "blas_threads": 1,
    "clock": "wall minus waiting",
}
BASELINES = {  # (time_s, peak bytes, model bytes, quality)
    "mlp_sprint": (1.31e-3, 4_800_000, 437_544, 0.975),
    "cnn_marathon": (61e-3, 43_000_000, 139_304, 0.953),
    "transformer_decathlon": (112e-3, 39_000_000, 450_800, 2.41),
}
DISCIPLINES = ("embedding", "layer norm", "projections", "attention", "feed-forward") + (
    "latency", "throughput", "generation", "peak memory", "model size",
)  # fmt: skip

# (team, event score, half width of its interval, quality lost, innovation per family, description)
ENTRIES = {
    "mlp_sprint": [
        ("The Vectorizers", 3.62, 0.006, 0.004, {"distillation": 0.8, "pruning": 0.55, "custom kernels": 0.3},
         "Distilled to 96-48 units, one fused float32 kernel, pixels scaled inside the first weights"),
        ("Byte Club", 3.59, 0.009, 0.006, {"pruning": 0.7, "quantization": 0.67},
         "Half of the hidden units removed and fine-tuned for two epochs; int8 on disk"),
        ("Cache Me If You Can", 2.41, 0.012, 0.002, {"custom kernels": 0.62},
         "Workspace reused between calls, bias and ReLU in place"),
        ("Hot Path", 2.38, 0.02, 0.001, {"custom kernels": 0.5, "memory optimisation": 0.4},
         "Tensor wrappers peeled off, one matmul a layer into a buffer"),
        ("Team Åström", 1.34, 0.011, 0.0, {"memory optimisation": 0.22}, "float32 from the first line on"),
        ("Just Reading Along", 1.0, 0.006, 0.0, {}, "The baseline, to see what a tie looks like"),
        ("Integer Arithmetics", 0.61, 0.01, 0.003, {"quantization": 0.67}, "int8 weights and an integer matmul"),
        ("Segfault Society", 6.9, 0.01, 0.041, {"pruning": 0.9}, "32-32 units, trained for a minute"),
    ],
    "cnn_marathon": [
        ("Byte Club", 9.4, 0.012, 0.002, {"custom kernels": 0.9, "quantization": 0.67, "memory optimisation": 0.8},
         "Fused convolution and pooling in cache-sized blocks, channels last, int8 weights"),
        ("Hot Path", 8.8, 0.01, 0.001, {"custom kernels": 0.85, "quantization": 0.67}, "im2col in blocks, int8"),
        ("The Vectorizers", 4.7, 0.02, 0.001, {"custom kernels": 0.6}, "im2col, then one matmul a layer"),
        ("Team Åström", 1.7, 0.015, 0.004, {"quantization": 0.67}, "int8 per channel"),
        ("Segfault Society", 11.8, 0.02, 0.121, {}, "An MLP where the CNN was"),
    ],
    "transformer_decathlon": [
        ("Hot Path", 2.21, 0.01, 0.004, {"custom kernels": 0.8, "memory optimisation": 0.6, "quantization": 0.67},
         "KV cache, heads in one matmul, mask built once, layer norm fused into the projections, int8 on disk"),
        ("Cache Me If You Can", 1.83, 0.013, 0.0, {"memory optimisation": 0.75}, "KV cache and nothing else"),
        ("The Vectorizers", 1.81, 0.012, 0.006, {"custom kernels": 0.7, "pruning": 0.2}, "All heads at once"),
        ("Byte Club", 1.36, 0.01, 0.012, {"quantization": 0.67}, "int8 weights, dequantised at load"),
        ("Segfault Society", 3.4, 0.01, 0.31, {"pruning": 0.9}, "One layer is enough"),
    ],
}  # fmt: skip


def submission(
    event="mlp_sprint", team="Byte Club", score=2.0, half=0.01, lost=0.0, techniques=None, text="", **more
):
    """A submission as the competition stores it; `half` is the relative half width of its interval."""
    time_s, peak, size, quality = BASELINES[event]
    language = event == "transformer_decathlon"
    value = quality + lost if language else quality - lost
    floor = 0.03 if language else 0.01
    interval = [score / (1 + half), score * (1 + half)]
    speed = score**1.2 if event == "cnn_marathon" else score
    best = sorted((techniques or {}).values(), reverse=True)
    innovation = sum(weight * found for weight, found in zip((0.5, 0.3, 0.2), best, strict=False))
    return {
        "team_name": team,
        "event_name": event,
        "optimization_description": text,
        "github_url": f"https://github.com/example/{event}",
        "submitted_at": "2025-06-01T12:00:00.000+00:00",
        "mode": "practice",
        "speedup_vs_baseline": speed,
        "speedup_ci": [speed / (1 + half), speed * (1 + half)],
        "verdict": "faster" if interval[0] > 1 else "slower" if interval[1] < 1 else "tie",
        "baseline_time_s": time_s,
        "optimized_time_s": time_s / speed,
        "event_score": score,
        "event_score_ci": interval,
        "medal": None,
        "innovation_score": innovation,
        "composite_score": 0.7 * speed + 0.3 * innovation,
        "accuracy": None if language else value,
        "baseline_accuracy": None if language else quality,
        "accuracy_ok": lost <= floor,
        "quality": {
            "metric": "bits_per_character" if language else "accuracy", "value": value, "baseline": quality,
            "difference": lost, "standard_error": floor / 5, "floor": floor, "ok": lost <= floor,
            "borderline": abs(lost - floor) < floor / 5, "seed": 7, "examples": 4000,
        },
        "peak_memory_bytes": round(peak / max(1.0, score)), "baseline_peak_memory_bytes": peak,
        "model_bytes": round(size / (4 if "quantization" in (techniques or {}) else 1)),
        "baseline_model_bytes": size,
        "detected_techniques": list(techniques or {}),
        "evidence": evidence(techniques or {}, text),
        "cases": cases(score, half, time_s),
        "disciplines": disciplines(score, half) if language else {},
        "machine": MACHINE,
        "rounds": rounds(score),
        "ranked": lost <= floor,
        "reasons": [] if lost <= floor else [failure(lost, floor, language)],
    } | more  # fmt: skip


def failure(lost, floor, language):
    if language:
        return f"{lost:.2f} bits per character worse than the baseline, the floor is {floor:.2f}"
    return f"{100 * lost:.0f} points less accurate than the baseline, the floor is {100 * floor:.0f}"


def evidence(techniques, text):
    findings = {"quantization": "8.0 bits per weight", "pruning": "48 % of the weights gone"}
    found = [
        {"family": family, "score": score, "finding": findings.get(family, "found"), "claimed": family in text}
        for family, score in techniques.items()
    ]
    unverified = {
        "family": "compression",
        "score": 0.0,
        "finding": "as many distinct values as before",
        "claimed": True,
    }
    return found + ([unverified] if "int8" in text else [])


def cases(score, half, time_s):
    tilts = {"batch 1": 1.35, "batch 32": 1.05, "batch 256": 1 / 1.35 / 1.05}
    return {
        name: {
            "ratio": score * tilt, "low": score * tilt / (1 + half), "high": score * tilt * (1 + half),
            "baseline_s": time_s, "candidate_s": time_s / score / tilt,
        }
        for name, tilt in tilts.items()
    }  # fmt: skip


def disciplines(score, half):
    tilts = (0.62, 0.86, 1.05, 1.3, 0.9, 0.8, 0.75, 3.9, 1.0, 0.55)
    return {
        name: {"ratio": score * tilt, "low": score * tilt / (1 + half), "high": score * tilt * (1 + half)}
        for name, tilt in zip(DISCIPLINES, tilts, strict=True)
    }


def rounds(score, count=20):
    noise = random.Random(3)
    return [
        {"seed": seed, "log_ratios": {name: math.log(case["ratio"]) + noise.gauss(0, 0.02) for name, case in
                                      cases(score, 0, 1).items()}, "pairs": {"batch 1": 8}, "wall_s": 0.03}
        for seed in range(count)
    ]  # fmt: skip


def entries(event="mlp_sprint"):
    return [submission(event, *entry) for entry in ENTRIES[event]]


def leaderboard(event="mlp_sprint", metric="speed", submissions=None, notes=()):
    """Rank by score; whoever's interval reaches the band leader's shares its rank."""
    submissions = entries(event) if submissions is None else submissions
    ranked = sorted(
        (entry for entry in submissions if entry["ranked"]), key=lambda entry: -scored(entry, metric)[0]
    )
    bands = []
    for entry in ranked:
        if bands and scored(entry, metric)[2] >= scored(bands[-1][0], metric)[1]:
            bands[-1].append(entry)
        else:
            bands.append([entry])
    standings = []
    for band in bands:
        rank = len(standings) + 1
        standings += [
            Standing(rank, len(band) > 1, entry["team_name"], *scored(entry, metric), entry) for entry in band
        ]
    failed = tuple((entry["team_name"], entry["reasons"][0]) for entry in submissions if not entry["ranked"])
    return Leaderboard(event, TITLES[event], metric, tuple(standings), failed, notes)


def scored(entry, metric):
    """Score, low and high of one submission on one board."""
    innovation = entry["innovation_score"]
    speed, (low, high) = entry["speedup_vs_baseline"], entry["speedup_ci"]
    if metric == "event":
        return entry["event_score"], *entry["event_score_ci"]
    if metric == "innovation":
        return innovation, innovation, innovation
    if metric == "composite":
        return tuple(0.7 * each + 0.3 * innovation for each in (speed, low, high))
    return speed, low, high


def all_boards():
    return {
        event: tuple(leaderboard(event, metric) for metric in ("speed", "innovation", "composite"))
        for event in TITLES
    }


def winners():
    return {event: leaderboard(event, "event") for event in TITLES}


def steps():
    """A staircase of the Marathon: label, cumulative speedup, its interval and a word on the step."""
    return [
        {"label": "int8 weights", "ratio": 0.93, "low": 0.92, "high": 0.94, "note": "bytes, not speed"},
        {"label": "im2col", "ratio": 3.1, "low": 3.05, "high": 3.15, "note": "one matmul a layer"},
        {"label": "channels last", "ratio": 5.2, "low": 5.1, "high": 5.3, "note": "no transposes"},
        {"label": "fused, cache blocks", "ratio": 12.4, "low": 12.1, "high": 12.6, "note": "1.5 MB at a time"},
        {
            "label": "onnxruntime",
            "ratio": 25.0,
            "low": 24.0,
            "high": 26.0,
            "note": "for reference",
            "reference": True,
        },
    ]
