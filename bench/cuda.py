#!/usr/bin/env python3
"""One command for a machine with an NVIDIA GPU: tests every kernel there, times them, and writes a page.

usage: bench/cuda.py --bin build [--out docs/results] [--device cuda|simulated] [--no-tests] [--quick]
       bench/cuda.py --table-only FILE.json      write the page again from what was measured

Runs the tests of kernels on the device (each against its reference, on random shapes), a part of them under
compute-sanitizer where that is installed, and bench_device; PyTorch's forward and backward passes where python3 has
it. Writes OUT/cuda-GPU.json and OUT/cuda-GPU.md. Exit code 1 when a test, compute-sanitizer or a measurement failed,
2 when there is no GPU.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TESTS = [("test_tensor", "Simt*:Device*"), ("test_nn", "Device*"), ("test_quant", "*Device*")]
PRODUCTS = "DeviceRows*:*DeviceProduct*FewRows*:DeviceQuantize*"
SANITIZED = [("memcheck", "test_quant", PRODUCTS), ("memcheck", "test_nn", "DeviceConv*"),
             ("racecheck", "test_quant", PRODUCTS), ("racecheck", "test_nn", "DeviceOps*"), ("racecheck", "test_nn", "DeviceConv*"),
             ("initcheck", "test_quant", "DeviceEngine*:DeviceQuantize*")]
PEERS = [(net, bits) for net in ("resnet20", "vgg16", "resnet18") for bits in ("none", "4")]


def run(command, limit, **more):
    """(exit code, output, seconds); a program that cannot be started has code 127."""
    begin = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, **more)
        return done.returncode, done.stdout + done.stderr, time.monotonic() - begin
    except subprocess.TimeoutExpired as late:
        return 124, f"{(late.stdout or b'').decode()}\ndid not end in {limit} s", time.monotonic() - begin
    except OSError as error:
        return 127, str(error), time.monotonic() - begin


def last(pattern, text, default=""):
    found = re.findall(pattern, text)
    return found[-1] if found else default


def last_line(text):
    return (text.strip().splitlines() or [""])[-1]


def test(binaries, found):
    for program, chosen in TESTS:
        code, output, seconds = run([str(binaries / program), f"--gtest_filter={chosen}"], 300)
        found["tests"].append({"program": program, "filter": chosen, "code": code, "seconds": round(seconds, 1),
                               "passed": int(last(r"\[  PASSED  \] (\d+) test", output, "0")),
                               "failed": re.findall(r"\[  FAILED  \] (\S+)$", output, re.M)})
        print(f"{program}: {found['tests'][-1]}", file=sys.stderr)
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    for tool, program, chosen in SANITIZED:
        entry = {"tool": tool, "program": program, "filter": chosen}
        if sanitizer is None:
            entry["note"] = "compute-sanitizer is not installed"
        else:
            code, output, seconds = run([sanitizer, "--tool", tool, "--error-exitcode", "9",
                                         str(binaries / program), f"--gtest_filter={chosen}"], 600)
            entry |= {"code": code, "seconds": round(seconds, 1), "note": last(r"SUMMARY: (.*)", output, last_line(output))}
        found["sanitizer"].append(entry)
        print(f"{tool}: {entry}", file=sys.stderr)


def measure(args, found):
    command = [str(args.bin / "bench_device"), "--device", args.device] + (["--quick"] if args.quick else [])
    code, output, _ = run(command, 240)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    found["measured"] = [m for m in lines if m["what"] != "failure"]
    failures = [f"{m['section']}: {m['why']}" for m in lines if m["what"] == "failure"]
    found["notes"] += failures
    found["bench_code"] = code
    if code != 0 and not failures:
        found["notes"].append(f"bench_device ended with code {code}: {last_line(output)}")
    if args.device != "cuda":
        return
    for net, bits in PEERS:
        code, output, _ = run([args.python, str(HERE / "peers/torch_cuda.py"), "--net", net, "--bits", bits], 60)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if code != 0 or not lines:
            found["notes"].append(f"PyTorch, {net}, bits {bits}: {last_line(output) or code}")
            if "No module named" in output:
                break
            continue
        found["measured"].append(json.loads(lines[-1]))


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def page(found):
    measured = found["measured"]
    of = lambda what: [m for m in measured if m["what"] == what]
    device = of("device")[0]
    lines = [f"# {device['name']}: kernels and training on the GPU", "",
             f"Written by `bench/cuda.py` on {found['date']} from `{found['file']}`; compute capability "
             f"{device['capability'] / 10:.1f}, {device['multiprocessors']} multiprocessors.", ""]
    if found["device"] == "simulated":
        lines += ["**This is the simulated GPU: the numbers say nothing but that the program runs.**", ""]
    lines += ["## Tests on the device", ""]
    lines += table(["program", "tests", "passed", "failed", "seconds"],
                   [[t["program"], f"`{t['filter']}`", t["passed"], ", ".join(t["failed"]) or ("none" if t["code"] == 0 else f"code {t['code']}"),
                     t["seconds"]] for t in found["tests"]])
    lines += table(["compute-sanitizer", "tests", "result"],
                   [[s["tool"], f"{s['program']} `{s['filter']}`", s["note"]] for s in found["sanitizer"]])
    for z in of("zeroing"):
        lines += [f"Writing memory: {number(z['gb_per_second'])} GB/s.", ""]
    lines += ["## Block products, 3x3 convolutions", "",
              "Microseconds of one call; rows packed before. cuBLASLt: its bf16 product of the same M, N, K.", ""]
    kernels = list(dict.fromkeys(m["kernel"] for m in of("product")))
    places = list(dict.fromkeys((m["channels"], m["size"], m["images"], m["bits"]) for m in of("product")))
    rows = []
    for place in places:
        here = {m["kernel"]: m for m in of("product") if (m["channels"], m["size"], m["images"], m["bits"]) == place}
        rows.append([place[0], f"{place[1]}x{place[1]}", place[2], place[3],
                     *(number(here[k]["microseconds"]) if k in here else "-" for k in kernels),
                     *(number(here[k]["pack_microseconds"]) if k in here else "-" for k in kernels[:1]),
                     number(next(iter(here.values()))["cublaslt_microseconds"])])
    lines += table(["channels", "map", "images", "bits", *kernels, *(f"packing for {k}" for k in kernels[:1]), "cuBLASLt"], rows)
    lines += ["## Convolutions of training, bf16", ""]
    lines += table(["channels", "map", "images", "direction", "us", "TFLOP/s", "cuBLASLt us", "of cuBLASLt"],
                   [[m["channels"], f"{m['size']}x{m['size']}", m["images"], m["direction"], number(m["microseconds"]), number(m["tflops"]),
                     number(m["cublaslt_microseconds"]),
                     number(m["cublaslt_microseconds"] / m["microseconds"]) if m["cublaslt_microseconds"] else "-"] for m in of("convolution")])
    lines += ["## Packed networks, images per second", ""]
    lines += table(["network", "bits", "images at once", "products", "images/s"],
                   [[m["net"], m["bits"], m["images"], "exact" if m["exact"] else "fastest", number(m["images_per_second"])] for m in of("network")])
    lines += ["## Steps of training", "",
              "Step: forward and backward on the GPU, without the update of parameters, ours and PyTorch's. Images/s: our whole step "
              "with the update and the copy of its images from the host.", ""]
    peers = {(m["net"], m["bits"]): m for m in of("peer")}
    rows = []
    for m in of("training"):
        peer = peers.get((m["net"], m["bits"]))
        rows.append([m["net"], m["bits"] or "none", m["batch"], number(m["step_milliseconds"]), number(m["images_per_second"]),
                     f"{number(peer['step_milliseconds'])} ({peer['how']})" if peer else "-",
                     number(peer["step_milliseconds"] / m["step_milliseconds"]) if peer else "-"])
    lines += table(["network", "bits", "batch", "step ms", "images/s", "PyTorch step ms", "ratio"], rows)
    if found["notes"]:
        lines += ["## Not measured", "", *(f"* {note}" for note in found["notes"]), ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "docs/results")
    parser.add_argument("--device", choices=["cuda", "simulated"], default="cuda")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table-only", type=pathlib.Path)
    args = parser.parse_args()
    if args.table_only:
        found = json.loads(args.table_only.read_text())
        args.table_only.with_suffix(".md").write_text(page(found))
        return 0
    found = {"date": datetime.date.today().isoformat(), "device": args.device, "tests": [], "sanitizer": [], "measured": [], "notes": []}
    if args.device == "cuda":
        code, output, _ = run([str(args.bin / "bench_device"), "--help"], 20)
        if code == 0:
            code, output, _ = run([str(args.bin / "kronbit"), "info", "--json"], 60)
        info = json.loads(output) if code == 0 else None
        if info is None or info["gpu"]["name"] is None:
            print(f"cuda.py: no GPU: {info['gpu']['note'] if info else output.strip()}", file=sys.stderr)
            return 2
    if not args.no_tests:
        test(args.bin, found)
    measure(args, found)
    names = [m["name"] for m in found["measured"] if m["what"] == "device"]
    if not names:
        print("cuda.py: " + "; ".join(found["notes"]), file=sys.stderr)
        return 1
    name = re.sub(r"[^a-z0-9]+", "-", names[0].lower().replace("nvidia", "")).strip("-")
    args.out.mkdir(parents=True, exist_ok=True)
    found["file"] = f"cuda-{name}.json"
    (args.out / found["file"]).write_text(json.dumps(found, indent=1) + "\n")
    (args.out / f"cuda-{name}.md").write_text(page(found))
    print(args.out / f"cuda-{name}.md")
    return 1 if found["bench_code"] != 0 or any(t.get("code", 0) != 0 for t in found["tests"] + found["sanitizer"]) else 0


if __name__ == "__main__":
    sys.exit(main())
