"""Results of ``edge-genre benchmark`` as a machine would give them, made of seeded noise."""

import json
from hashlib import sha256
from typing import Any

import numpy as np

from edge_genre.benchmarks.latency.result import Result
from edge_genre.host.machine import Condition, Machine

HOSTILE = '<script src="https://example.org/x.js">alert(1)</script>&"\'|`*\x00\u202e\udcff\n.tflite'
_GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae")
_SIZES = {"songnet-gtzan": 196_000, "tiny-gtzan": 53_000, "songnet-fma": 415_000}


def run(
    name: str = "songnet-gtzan",
    kind: str = "tflite",
    *,
    seed: int = 0,
    milliseconds: float = 1.9,
    threads: int = 1,
    device: str = "cpu",
    accuracy: str | None = None,
    more: bool = False,
) -> dict[str, Any]:
    """One model's figures.

    Parameters
    ----------
    name, kind : make the file's name
    seed : of all noise
    milliseconds : of a window, about
    accuracy : name of the labelled music, if there was any
    more : with a profile and batches
    """
    rng = np.random.default_rng(seed)
    base = np.stack([rng.gamma(30, 0.24 / 30, 2000), rng.gamma(40, 0.73 / 40, 2000)])
    slow = 1 + 3 * (rng.random(2000) < 0.02) * rng.random(2000)  # another program's moments
    front_end, inference = milliseconds * base * slow
    total = front_end + inference + milliseconds * 0.03
    mean, size = float(total.mean()), _SIZES.get(name, 300_000) * (1 if kind == "tflite" else 3)
    chances = dict(zip(_GENRES, rng.dirichlet(np.full(len(_GENRES), 0.4)).tolist(), strict=True))
    right = int(rng.integers(118, 136))
    return {
        "model": name,
        "file": f"{name}.{kind}",
        "format": kind,
        "weights": "dynamic" if kind == "tflite" else "fp32",
        "bytes": size,
        "sha256": sha256(repr((name, kind)).encode()).hexdigest(),
        "engine": "ai-edge-litert 2.3.0" if kind == "tflite" else "onnxruntime 1.31.1",
        "device": device,
        "threads": threads,
        "hop": 0.5108,
        "load_ms": 12.25,
        "self_test_ms": 3.0,
        "self_test_deviation": 1.2e-5,
        "first_window_ms": 3 * milliseconds,
        "start_ms": 310.0 + 10 * seed,
        "windows": 2000,
        "stages": {
            "front_end": _distribution(front_end),
            "inference": _distribution(inference),
            "total": _distribution(total),
        },
        "cpu_ms": mean,
        "real_time_factor": mean / 510.8,
        "core_share": mean / 510.8,
        "windows_per_second": 1e3 / mean,
        "memory_mb": {
            "python": 30.1,
            "loaded": 45.0 + 2 * seed,
            "resident": 46.2 + 2 * seed,
            "peak": 49.5 + 2 * seed,
        },
        "result": {"label": max(chances, key=chances.__getitem__), "probabilities": chances},
        "parameters": 137_818,
        "operators": {"CONV_2D": 5, "FULLY_CONNECTED": 3, "WHILE": 1},
        "outside_delegate": {"SUM": 2, "WHILE": 1} if kind == "tflite" else None,
        "profile": _profile(rng, milliseconds) if more else None,
        "batches": _batches(milliseconds, device) if more else None,
        "accuracy": accuracy
        and {
            "data": accuracy,
            "tracks": 197,
            "tracks_correct": right,
            "windows": 1773,
            "windows_correct": 8 * right,
            "agreement": {"with": f"{name}.onnx", "windows": 1773, "same": 1750},
        },
    }


def result(*runs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A whole result, as it is when it was read from JSON."""
    machine = Machine(
        board="Raspberry Pi 4 Model B Rev 1.4",
        cpu="Cortex-A72",
        cores=4,
        virtual=False,
        memory_mb=3977,
        system="Debian GNU/Linux 12 (bookworm), Linux 6.6.31 aarch64",
        python="3.11.2",
        packages={"numpy": "2.4.6", "ai-edge-litert": "2.3.0"},
        emulated="",
        accelerator="",
    )
    before = Condition("2026-11-21T17:00:00+00:00", "performance", 48.2, (), (), None, 0.02)
    after = Condition("2026-11-21T17:01:10+00:00", "performance", 55.9, (), (), None, 0.03)
    found = {
        "schema": 1,
        "command": "edge-genre benchmark songnet-gtzan --report report.html",
        "edge_genre": "0.1.0",
        "machine": machine.to_dict(),
        "before": before.to_dict(),
        "after": after.to_dict(),
        "trusted": True,
        "warnings": [],
        "input": {"name": "demo.ogg", "hop": 0.5, "paced": False},
        "seconds": 5.0,
        "runs": list(runs),
    }
    copied: dict[str, Any] = json.loads(json.dumps(found | changes))
    return copied


def read(found: dict[str, Any]) -> Result:
    """A result as the product has it."""
    return Result.from_dict(found)


def emulated(*runs: dict[str, Any]) -> dict[str, Any]:
    """A result of a machine that is none: without anything that was timed."""
    kept = ("model", "file", "format", "weights", "bytes", "sha256", "engine", "device", "threads")
    kept += ("hop", "self_test_deviation", "result", "parameters", "operators", "outside_delegate")
    none = dict.fromkeys(("stages", "memory_mb", "profile", "batches", "accuracy"))
    found = result(*({key: each[key] for key in kept} | none for each in runs), trusted=False)
    found["machine"]["emulated"] = "QEMU, a process"
    found["warnings"] = ["EMULATED (QEMU, a process): results are real, times would mean nothing"]
    return found


def _distribution(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    points = np.percentile(values, [25, 50, 75, 90, 95, 99]).tolist()
    names = ("median", "p90", "p95", "p99")
    return {
        "mean": float(values.mean()),
        **dict(zip(names, (points[1], *points[3:]), strict=True)),
        "min": float(values.min()),
        "max": float(values.max()),
        "iqr": points[2] - points[0],
        "samples": np.sort(values)[:: len(values) // 500].round(4).tolist(),
    }


def _profile(rng: np.random.Generator, milliseconds: float) -> list[dict[str, Any]]:
    names = "Conv GRU MatMul Softmax Mul Add ReduceMean Sub Div Transpose Concat".split()
    times = np.sort(rng.dirichlet(np.full(len(names), 0.5)))[::-1]
    return [
        {"operator": name, "ms": float(milliseconds * share), "share": float(share)}
        for name, share in zip(names, times, strict=True)
    ]


def _batches(milliseconds: float, device: str) -> list[dict[str, Any]]:
    rows = []
    for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        ms = milliseconds * batch if device == "cpu" else 0.4 + 0.01 * milliseconds * batch
        rows.append({"batch": batch, "ms": ms, "windows_per_second": 1e3 * batch / ms})
    return rows
