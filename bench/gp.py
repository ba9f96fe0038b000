#!/usr/bin/env python3
"""The search's Gaussian process, ours beside BoTorch's, on the same data: fit, predict, decide.

usage: bench/gp.py [--quick] [--threads T] [--rounds N] [--inputs D...] [--python P] [--ours build/bench_gp] [--out docs/results]
       bench/gp.py --table-only              write the table again from what was measured

500 observations of 200 configurations at 4 tasks (nested: a run to task l is seen at the tasks 0..l too), 2 and 4 inputs (--inputs),
4096 candidates. Writes OUT/gp-speed.json (everything measured) and OUT/gp-speed.md. Every measurement is a process of its
own; ours and theirs take turns, so that a slow minute hits both, and the best round of each counts. --quick: one round,
--out is build/quick then. Without BoTorch (pip install botorch) the table has only our column.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import random
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEER = ROOT / "bench/peers/torch_gp.py"
TASKS, RUNS, CANDIDATES = 4, 200, 4096


def write_data(path, inputs, seed=1):
    """Smooth functions, each task nearer to the last one, and less noisy."""
    rng = random.Random(seed)
    waves = [[rng.gauss(0, 2.5) for _ in range(inputs)] + [rng.uniform(0, 6.28), rng.gauss(0, 1)] for _ in range(6 * TASKS)]

    def wave(x, k):
        return waves[k][-1] * math.sin(sum(a * b for a, b in zip(waves[k], x)) + waves[k][-2])

    lines = []
    for run in range(RUNS):
        x = [rng.random() for _ in range(inputs)]
        for task in range(run * TASKS // RUNS + 1):
            y = sum(wave(x, k) for k in range(6))
            y += 0.3 * sum(wave(x, k) for later in range(task + 1, TASKS) for k in range(6 * later, 6 * later + 6))
            y += rng.gauss(0, 0.3 / (task + 1))
            lines.append(" ".join(map(repr, [task, y, *x])))
    for _ in range(CANDIDATES):
        lines.append(" ".join(["-", *(repr(rng.random()) for _ in range(inputs))]))
    path.write_text("\n".join(lines) + "\n")


def child(command, env):
    """The JSON line a process prints, or {"error": why there is none}."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=env)
    except (OSError, subprocess.TimeoutExpired) as e:
        return {"error": str(e)}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return json.loads(lines[-1])


def time_to(trace, value):
    """Seconds until a trace has reached a value."""
    return next(seconds for seconds, reached in trace if reached >= value)


def better(best, new):
    """The best of every measured number; the trace that ended soonest."""
    if best is None:
        return new
    if "trace" in new and new["trace"][-1][0] < best["trace"][-1][0]:
        best["trace"] = new["trace"]
    for key, value in new.items():
        if key.endswith("_seconds"):
            best[key] = min(best[key], value)
        elif isinstance(value, dict):
            best[key] = {name: min(best[key][name], seconds) for name, seconds in value.items()}
    return best


def how(rounds):
    """What bench_gp and torch_gp.py count when told --rounds 1."""
    times = "one process each" if rounds == 1 else f"the best of {rounds} processes each, taken in turns"
    return f"{times}; in a process one of everything counts, the better of two predictions, after one of each to warm up"


def measure(args):
    env = os.environ | {"OMP_NUM_THREADS": str(args.threads), "OMP_WAIT_POLICY": "passive"}
    results = {"date": datetime.date.today().isoformat(), "rounds": args.rounds, "how": how(args.rounds), "cases": []}
    with tempfile.TemporaryDirectory() as folder:
        for inputs in args.inputs:
            data = pathlib.Path(folder) / f"{inputs}.txt"
            write_data(data, inputs)
            ours = theirs = None
            common = ["--data", str(data), "--threads", str(args.threads), "--rounds", "1"]
            for _ in range(args.rounds):
                one = child([args.ours, *common], env)
                if "error" in one:
                    raise SystemExit(one["error"])
                ours = better(ours, one)
                one = child([args.python, str(PEER), *common], env)
                theirs = one if theirs is None or "error" in one else better(theirs, one)
            results["cases"].append({"inputs": inputs, "ours": ours, "theirs": theirs})
            results["machine"] = {key: ours[key] for key in ("processor", "threads", "openblas")}
    return results


def milliseconds(seconds):
    return f"{1e3 * seconds:,.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def rows(case):
    ours, theirs = case["ours"], case["theirs"]
    d = case["inputs"]

    def row(what, mine, other=None, variant="", within=None, times=None):
        """within: the most seconds it should take, times: how much faster it should be at least."""
        ratio = other / mine if other is not None else None
        wanted = [f"at most {milliseconds(within)}"] if within else [f"at least {times}x"] if times else []
        met = mine <= within if within else ratio >= times if times and ratio else None
        return f"| {d} | {what} | {milliseconds(mine)} | {milliseconds(other) if other is not None else ''} | " \
               f"{f'{ratio:.1f}' if ratio else ''} | {''.join(wanted)} | {'' if met is None else 'yes' if met else '**no**'} | {variant} |"

    peer = "error" not in theirs
    if peer:
        level = min(ours["trace"][-1][1], theirs["trace"][-1][1]) - 0.01
        reach = [time_to(side["trace"], level) for side in (ours, theirs)]
        predict = min(theirs["predict"].items(), key=lambda item: item[1])
        acquire = min(theirs["acquisition"].items(), key=lambda item: item[1])
        yield row(f"one climb to log marginal likelihood {level:.2f}", *reach, "L-BFGS-B of SciPy", times=20)
        yield row("one climb to its end", ours["trace"][-1][0], theirs["fit_seconds"], "L-BFGS-B of SciPy", times=20)
    yield row("fit, 5 climbs", ours["fit_seconds"], within=2.0)
    yield row("predict all candidates at all tasks", ours["predict_seconds"], *(predict[::-1] if peer else ()), times=20)
    yield row("acquisition of all candidates at all tasks", ours["acquisition_seconds"], *(acquire[::-1] if peer else ()), times=20)
    yield row("one decision (acquisition, and the target predicted)", ours["decision_seconds"], within=0.05)


def table(results):
    machine, first = results["machine"], results["cases"][0]
    page = ["# Speed of the Gaussian process", "",
            f"{machine['processor']}, {machine['threads']} threads, OpenBLAS {machine['openblas']}, {results['date']}. "
            f"{first['ours']['observations']} observations of {first['ours']['distinct']} configurations at "
            f"{first['ours']['tasks']} tasks, {first['ours']['candidates']} candidates, double precision on both sides; "
            f"{results['how']}."]
    for case in results["cases"]:
        if "error" not in case["theirs"]:
            theirs = case["theirs"]
            page += ["", f"{case['inputs']} inputs: log marginal likelihood reached {case['ours']['trace'][-1][1]:.3f} (ours), "
                         f"{theirs['trace'][-1][1]:.3f} (BoTorch {theirs['botorch']}, GPyTorch {theirs['gpytorch']}, "
                         f"PyTorch {theirs['torch']}); the same model, both with the same kinds of priors."]
        else:
            page += ["", f"{case['inputs']} inputs: BoTorch was not measured: {case['theirs']['error']}"]
    page += ["", "| inputs | what | ours | BoTorch | ratio | wanted | met | its variant |", "|---|---|---|---|---|---|---|---|"]
    for case in results["cases"]:
        page += rows(case)
    page += ["", "The first row is the time until both have the worse of the two final likelihoods (less 0.01). The two acquisitions "
                 "are not the same: ours is the exact information about the whole target function, theirs the entropy of "
                 "its maximum, BoTorch's criterion for several fidelities. Written by `bench/gp.py`; the slower variants are "
                 "in the JSON file of the same name."]
    return "\n".join(page) + "\n"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--inputs", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--python", default="python3")
    parser.add_argument("--ours", default="build/bench_gp")
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    args.out = args.out or ("build/quick" if args.quick else "docs/results")
    args.rounds = args.rounds or (1 if args.quick else 3)
    path = pathlib.Path(args.out) / "gp-speed.json"
    results = json.loads(path.read_text()) if args.table_only else measure(args)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(results))
    print(path.with_suffix(".md"))


if __name__ == "__main__":
    main()
