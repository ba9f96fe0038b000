#!/usr/bin/env python3
"""Deployed networks, ours beside PyTorch's FP32, bf16 and int8: one image, many images, loading and memory.

usage: bench/deployed.py [--quick] [--nets A,B] [--threads T,U] [--isa auto,avx2] [--rounds N] [--seconds S] [--add]
                         [--side ours|theirs] [--peer-variants all|N|NAMES] [--python P,Q] [--quiet PERCENT]
                         [--ours build/bench_deployed] [--out docs/results]
       bench/deployed.py --table-only        write the tables again from what was measured

Writes OUT/deployed.json (everything measured) and OUT/deployed.md. Every measurement is a process of its own; ours and
theirs take turns, and the best median of the rounds counts. One during which other programs took more than --quiet
percent of the processors (default 10) is tried again, twice. --add keeps what was measured before, on the same
processor; --peer-variants N: of PyTorch's variants only the N that were fastest there, in every precision.
--quick: one short round of a few of them, --out is build/quick then. Interpreters without PyTorch are left out.
"""
import argparse
import datetime
import json
import os
import pathlib
import resource
import sys
import time

from deployed_tables import key_of, page, precision_of, time_of
from training import LIMITS, ROOT, child, environment

PEER = ROOT / "bench/peers/torch_deployed.py"
# Bit lists by network; the first of VGG16 and ResNet18 are those of the paper.
NETS = {
    "vgg16": ["6 555 44 333 22 11", "1", "2", "4", "8"],
    "resnet18": ["666 5555 4444 3333 2222 1", "1", "2", "4", "8"],
    "resnet20": ["4"],
    "googlenet": ["4x21 3x27 2x16"],
    "resnet18_imagenet": ["4"],
    "resnet50_imagenet": ["4"],
}
CAPPED = ["vgg16", "resnet18"]  # also with fewer threads, and on smaller instruction sets
LIKELY = {"eager-fp32", "frozen-fp32-cl", "frozen-bf16-cl", "frozen-int8.x86-cl", "frozen-int8.onednn-cl"}


def busy_seconds():
    """Processor time of everything on this machine, and of our children."""
    ticks = list(map(int, open("/proc/stat").readline().split()[1:9]))
    mine = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"), mine.ru_utime + mine.ru_stime


def quiet_child(command, args, env):
    """The measurement with the least disturbance of up to three, with the percentage of the processors others took."""
    best = None
    for _ in range(1 if args.quick else 3):
        start, (all_before, ours_before) = time.monotonic(), busy_seconds()
        result = child(command, args.timeout, env)
        all_after, ours_after = busy_seconds()
        wall = (time.monotonic() - start) * os.cpu_count()
        others = max(0, 100 * (all_after - all_before - ours_after + ours_before) / wall)
        result["others_percent"] = round(others, 1)
        if best is None or others < best["others_percent"]:
            best = result
        if others < args.quiet or "error" in result:
            break
    return best


def peers_of(args, env, isa):
    """[(interpreter, PyTorch's version, variant)] of all that could run within an instruction set."""
    found, versions = [], set()
    for python in args.python.split(","):
        answer = child([python, str(PEER), "--list"], 120, env)
        if "error" in answer or answer["torch"] in versions:
            continue
        versions.add(answer["torch"])
        for v in answer["variants"]:
            # FBGEMM obeys no limit, and of bf16 without instructions for it nobody would think.
            if isa == "auto" or not ("x86" in v or "fbgemm" in v or (isa == "avx2" and "bf16" in v)):
                found.append((python, answer["torch"], v))
    return found


def chosen_peers(args, peers, before, net, threads, isa):
    if args.quick:
        peers = [p for p in peers if p[2] in LIKELY]
    if args.peer_variants == "all":
        return peers
    if not args.peer_variants.isdigit():
        return [p for p in peers if p[2] in args.peer_variants.split(",")]
    chosen = set()
    known = [m for m in before if m["engine"] == "pytorch" and key_of(m) == (net, threads, isa) and "error" not in m]
    for batch in {t["batch"] for m in known for t in m["times"]}:
        for precision in ("fp32", "bf16", "int8"):
            best = {}
            for m in known:
                if precision_of(m) == precision and time_of(m, batch):
                    name = (m["torch"], m["variant"])
                    best[name] = min(time_of(m, batch), best.get(name, 1e9))
            chosen |= set(sorted(best, key=best.get)[:int(args.peer_variants)])
    return [p for p in peers if p[1:] in chosen] if chosen else [p for p in peers if p[2] in LIKELY]


def commands(args, peers, before, net, threads, isa):
    """What measures one network in one setting: ours and theirs in turn, [(who, command)]."""
    batches = "1,8,16" if net.endswith("imagenet") else "1,8,128"
    if threads != args.all_threads:
        batches = "1"
    common = ["--net", net, "--threads", str(threads), "--seconds", str(args.seconds)]
    limit = [] if isa == "auto" else ["--isa", isa]
    ours, theirs = [], []
    if args.side != "theirs":
        bits = NETS[net] if threads == args.all_threads and isa == "auto" else NETS[net][:1]
        ours = [({"how": "packed", "bits": b}, ["--how", "packed", "--bits", b]) for b in bits]
        ours += [({"how": how}, ["--how", how]) for how in (["fp32"] if isa == "avx2" else ["fp32", "bf16"])]
        ours = [({"engine": "kronbit"} | who, [args.ours, *c, "--batches", batches, *limit, *common]) for who, c in ours]
    if args.side != "ours":
        theirs = [({"engine": "pytorch", "torch": version, "variant": v},
                   [python, str(PEER), "--variants", v, "--batches", batches.replace("8,", ""), *common])
                  for python, version, v in chosen_peers(args, peers, before, net, threads, isa)]
    return [c for i in range(max(len(ours), len(theirs))) for c in (*ours[i:i + 1], *theirs[i:i + 1])]


def measure(args, results, save):
    for isa in args.isa:
        for threads in sorted(args.threads, reverse=True):
            env = environment(threads, None if isa == "auto" else isa)
            peers = [] if args.side == "ours" else peers_of(args, env, isa)
            for net in args.nets.split(","):
                if net not in CAPPED and (threads != args.all_threads or isa != "auto"):
                    continue
                failed = set()
                for who, command in commands(args, peers, results["measurements"], net, threads, isa) * args.rounds:
                    if str(who) in failed:
                        continue
                    m = quiet_child(command, args, env) | {"net": net, "threads": threads, "isa": isa} | who
                    results["measurements"].append(m)
                    if "error" in m:
                        failed.add(str(who))
                    shown = m.get("error") or ", ".join(f"{t['batch']}: {1e3 * t['median']:.3f} ms" for t in m["times"])
                    print(f"{net}, {threads} threads, {isa}: {' '.join(who.values())}: {shown} "
                          f"(others {m['others_percent']:.0f} %)", file=sys.stderr, flush=True)
                    save(results)
    return results


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--threads")
    parser.add_argument("--isa")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--quiet", type=float, default=10)
    parser.add_argument("--side", choices=["ours", "theirs"])
    parser.add_argument("--peer-variants", default="all")
    parser.add_argument("--python", default="python3,/usr/bin/python3")
    parser.add_argument("--ours", default="build/bench_deployed")
    parser.add_argument("--out")
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    args.out = args.out or ("build/quick" if args.quick else "docs/results")
    args.rounds, args.seconds = args.rounds or (1 if args.quick else 2), args.seconds or (0.3 if args.quick else 1)
    processors = len(os.sched_getaffinity(0))
    machine = None if args.table_only else child([args.ours, "--machine"], 60, os.environ)
    amx = machine and "amx-bf16" in machine.get("features", "")
    args.isa = (args.isa or ("auto" if args.quick else "auto,avx512bf16,avx2" if amx else "auto,avx2")).split(",")
    args.threads = [int(t) for t in (args.threads or (f"{processors}" if args.quick else f"{processors},1")).split(",")]

    path = pathlib.Path(args.out) / "deployed.json"
    results = json.loads(path.read_text()) if path.exists() and (args.add or args.table_only) else None

    def save(results):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        path.with_suffix(".md").write_text(page(results))

    if args.table_only:
        save(results)
    else:
        if "error" in machine:
            sys.exit(f"{args.ours}: {machine['error']}")
        if results is None or results["machine"]["processor"] != machine["processor"]:
            results = {"machine": machine, "threads": max(args.threads), "measurements": []}
        args.all_threads = results["threads"]
        results["date"] = datetime.date.today().isoformat()
        save(measure(args, results, save))
    print(path.with_suffix(".md"))


if __name__ == "__main__":
    main()
