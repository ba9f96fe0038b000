#!/usr/bin/env python3
"""Training and inference of whole networks, ours beside PyTorch's: images per second and peak memory.

usage: bench/training.py [--quick] [--nets A,B] [--bits none,4] [--modes train,infer] [--threads T] [--batch N]
                         [--batch-224 N] [--peer-variants N | NAMES] [--python P,Q] [--isa avx2|avx512|avx512bf16] [--seconds S]
                         [--ours build/bench_training] [--out docs/results]
       bench/training.py --table-only        write the tables again from what was measured

Writes OUT/training-speed.json (everything measured) and OUT/training-speed.md (with --isa: training-speed-ISA). Every
measurement is a process of its own; ours and theirs take turns, so that a slow minute hits both, and the best round
of each counts. --peer-variants: how PyTorch runs (bench/peers/torch_training.py names the variants), or a number: that
many of the best ones, by net, bits and mode, of the JSON file that is there. --quick: one short round, of a likely one or
the best one there; --out is build/quick then.
Interpreters without PyTorch are left out; without any the tables have only our columns.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEER = ROOT / "bench/peers/torch_training.py"
NETS = "resnet20,vgg11,vgg16,vgg19,resnet18,googlenet,resnet50_imagenet"
LIKELY = {"train": "eager-bf16-cl", "infer": "frozen-bf16-cl"}  # --quick where nothing was measured before


def child(command, timeout, env):
    """The JSON line a process prints, or {"error": why there is none}."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env)
    except subprocess.TimeoutExpired:
        return {"error": f"longer than {timeout:g} s"}
    except OSError as e:
        return {"error": str(e)}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines()
        named = [line for line in said if re.match(r"[\w.]*(Error|Exception)\b|\[", line)]
        return {"error": (named or said or [f"exit code {done.returncode}"])[-1]}
    return json.loads(lines[-1])


# How the libraries under both sides are told not to use more than an instruction set.
LIMITS = {
    "avx2": {"DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
             "OPENBLAS_CORETYPE": "Haswell"},
    "avx512": {"DNNL_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512", "OPENBLAS_CORETYPE": "SkylakeX"},
    "avx512bf16": {"DNNL_MAX_CPU_ISA": "AVX512_CORE_BF16", "ATEN_CPU_CAPABILITY": "avx512",
                   "OPENBLAS_CORETYPE": "SkylakeX"},
}


def environment(threads, isa):
    limits = LIMITS.get(isa, {})
    if isa:
        limits = limits | {"ONEDNN_MAX_CPU_ISA": limits["DNNL_MAX_CPU_ISA"]}
    return os.environ | limits | {"OMP_NUM_THREADS": str(threads)}


def has_bf16(isa):
    return isa not in ("avx2", "avx512")


def peers_of(pythons, mode, isa, env):
    """[(interpreter, PyTorch's version, variant)] of all that could run here."""
    found, versions = [], set()
    for python in pythons:
        answer = child([python, str(PEER), "--list", "--mode", mode], 120, env)
        if "error" in answer or answer["torch"] in versions:
            continue
        versions.add(answer["torch"])
        found += [(python, answer["torch"], v) for v in answer["variants"] if has_bf16(isa) or "fp32" in v]
    return found


def key_of(m):
    return m["net"], m["bits"], m["mode"]


def label(m):
    return f"{m['variant']}, {m['torch'].split('+')[0]}"


def best_of(measurements):
    return max((m for m in measurements if "error" not in m), key=lambda m: m["images_per_second"], default=None)


def chosen_peers(args, peers, before, case):
    """Those of `peers` that are to be measured for (net, bits, mode)."""
    wanted = args.peer_variants
    if wanted is None:
        return peers
    if not wanted.isdigit():
        return [p for p in peers if p[2] in wanted.split(",")]
    best = {}
    for m in before:
        if m["engine"] == "pytorch" and key_of(m) == case and "error" not in m:
            best[(m["torch"], m["variant"])] = max(m["images_per_second"], best.get((m["torch"], m["variant"]), 0))
    names = sorted(best, key=best.get, reverse=True)[:int(wanted)]
    likely = LIKELY[case[2]] if has_bf16(args.isa) else LIKELY[case[2]].replace("bf16", "fp32")
    return [p for p in peers if (p[1], p[2]) in names] or [p for p in peers if p[2] == likely]


def rounds_of(args, peers, before, case):
    """Commands that measure one (net, bits, mode), in the order they are run: ours and theirs in turn."""
    net, bits, mode = case
    batch = args.batch_224 if net.endswith("imagenet") else args.batch
    common = ["--net", net, "--mode", mode, "--bits", bits, "--batch", str(batch), "--threads", str(args.threads),
              "--steps", str(args.steps), "--seconds", str(args.seconds)]
    limit = ["--isa", args.isa] if args.isa else []
    ours = [({"engine": "kronbit", "precision": p}, [args.ours, "--precision", p, *limit, *common])
            for p in (["fp32", "bf16"] if has_bf16(args.isa) else ["fp32"])]
    theirs = [({"engine": "pytorch", "torch": version, "variant": v}, [python, str(PEER), "--variant", v, *common])
              for python, version, v in chosen_peers(args, peers, before, case)]
    one_round = [command for i in range(max(len(ours), len(theirs))) for command in (*ours[i:i + 1], *theirs[i:i + 1])]
    return one_round * args.rounds


def measure(args, before, save):
    env = environment(args.threads, args.isa)
    machine = child([args.ours, "--peaks", "--threads", str(args.threads), *(["--isa", args.isa] if args.isa else [])], 60, env)
    if "error" in machine:
        sys.exit(f"{args.ours}: {machine['error']}")
    modes = args.modes.split(",")
    peers = {mode: peers_of(args.python.split(","), mode, args.isa, env) for mode in modes}
    if not any(peers.values()):
        print("no PyTorch here: only our side is measured", file=sys.stderr)
    results = {"date": datetime.date.today().isoformat(), "machine": machine, "isa": args.isa, "batch": args.batch,
               "batch_224": args.batch_224, "rounds": args.rounds,
               "torch": sorted({p[1] for all_peers in peers.values() for p in all_peers}), "measurements": []}
    failed = set()
    for net in args.nets.split(","):
        for mode in modes:
            for bits in args.bits.split(","):
                case = (net, bits, mode)
                for who, command in rounds_of(args, peers[mode], before, case):
                    if (case, str(who)) in failed:  # it will not do better in the next round
                        continue
                    m = dict(zip(("net", "bits", "mode"), case)) | who | child(command, args.timeout, env)
                    results["measurements"].append(m)
                    if "error" in m:
                        failed.add((case, str(who)))
                    name = label(m) if m["engine"] == "pytorch" else m["precision"]
                    rate = m.get("error") or f"{m['images_per_second']:.1f} images/s, {m['peak_rss_mb']:.0f} MB"
                    print(f"{net} {mode} bits {bits}: {m['engine']} {name}: {rate}", file=sys.stderr, flush=True)
                save(results)
    return results


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def rows_of(results, mode):
    machine, rows = results["machine"], []
    cases = list(dict.fromkeys(key_of(m) for m in results["measurements"] if m["mode"] == mode))
    for case in cases:
        of_case = [m for m in results["measurements"] if key_of(m) == case]
        ours = {p: best_of([m for m in of_case if m["engine"] == "kronbit" and m["precision"] == p])
                for p in ("fp32", "bf16")}
        best, peer = best_of(filter(None, ours.values())), best_of([m for m in of_case if m["engine"] == "pytorch"])
        share = None
        if best:
            peak = machine["bf16_peak_gflops"] if best["precision"] == "bf16" else machine["fma_peak_gflops"]
            peak = (peak or machine["fma_peak_gflops"]) * machine["threads"]
            share = 100 * best["images_per_second"] * best["gflop_per_image"] / peak if peak else None
        rate = [number(m and m["images_per_second"], 1) for m in (ours["fp32"], ours["bf16"], peer)]
        ratio = best["images_per_second"] / peer["images_per_second"] if best and peer else None
        rows.append(f"| {case[0]} | {'FP' if case[1] == 'none' else case[1]} | {rate[0]} | {rate[1]} | {rate[2]} | "
                    f"{label(peer) if peer else '–'} | {number(ratio, 2)} | {number(share)} % | "
                    f"{number(best and best['peak_rss_mb'])} | {number(peer and peer['peak_rss_mb'])} |")
    return rows


def table(results):
    machine = results["machine"]
    torch = "PyTorch " + ", ".join(results["torch"]) if results["torch"] else "no PyTorch on this machine: ours only"
    limit = f", both limited to {results['isa']}" if results["isa"] else ""
    page = ["# Training and inference speed, ours and PyTorch's", "",
            f"{machine['processor']}, {machine['threads']} threads{limit}, {results['date']}; batch {results['batch']}, "
            f"of 224x224 images {results['batch_224']}; {torch}. "
            f"Peak of a core, measured in this run: {machine['fma_peak_gflops']:.0f} GFLOP/s of FP32 multiply-adds, "
            f"{machine['bf16_peak_gflops']:.0f} of bf16 products.", "",
            "Images per second of whole steps (forward, loss, backward, SGD with momentum and weight decay; the median of "
            "a round's steps, the best of the rounds) or of forward passes; the images are in memory. bits: every "
            "convolution quantized by DSConv. PyTorch: the fastest of its variants, named; cl is channels_last. "
            "ratio: our faster number over PyTorch's. of peak: what the multiply-adds of the convolutions (those on padding not counted) come to, of all "
            "cores' peak in that precision; the rest of a step is traffic to memory (normalization, quantization, "
            "pooling, additions), small maps and layers with few channels. MB: peak resident memory, the interpreter and "
            "its libraries included.", ""]
    for mode, title in (("train", "Training step"), ("infer", "Inference")):
        rows = rows_of(results, mode)
        if rows:
            page += [f"## {title}", "",
                     "| net | bits | ours fp32 | ours bf16 | PyTorch | its variant | ratio | of peak | MB ours | MB PyTorch |",
                     "|---|---|---|---|---|---|---|---|---|---|", *rows, ""]
    page += ["Written by `bench/training.py`; every measurement, the slower variants and what failed included, is in the "
             "JSON file of the same name."]
    return "\n".join(page) + "\n"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--nets", default=NETS)
    parser.add_argument("--bits", default="none,4")
    parser.add_argument("--modes", default="train,infer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batch-224", type=int, default=16)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--timeout", type=float, default=400)
    parser.add_argument("--peer-variants")
    parser.add_argument("--python", default="python3,/usr/bin/python3")
    parser.add_argument("--isa", choices=sorted(LIMITS))
    parser.add_argument("--ours", default="build/bench_training")
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    args.out = args.out or ("build/quick" if args.quick else "docs/results")
    # Rounds, steps and seconds of a measurement.
    rounds, steps, seconds = (1, 10, 1.5) if args.quick else (2, 20, 10)
    args.rounds, args.steps, args.seconds = args.rounds or rounds, args.steps or steps, args.seconds or seconds
    if args.quick and args.peer_variants is None:
        args.peer_variants = "1"

    name = "training-speed" + (f"-{args.isa}" if args.isa else "")
    path = pathlib.Path(args.out) / f"{name}.json"
    before = json.loads(path.read_text()) if path.exists() else {"measurements": []}

    def save(results):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        path.with_suffix(".md").write_text(table(results))

    if args.table_only:
        path.with_suffix(".md").write_text(table(before))
    else:
        save(measure(args, before["measurements"], save))
    print(path.with_suffix(".md"))


if __name__ == "__main__":
    main()
