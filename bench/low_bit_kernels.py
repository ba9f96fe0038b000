#!/usr/bin/env python3
"""Time of one convolution against its bits, for every family of block products, beside oneDNN's f32, bf16 and s8.

usage: bench/low_bit_kernels.py [--quick] [--ours build/bench_block_product] [--out docs/results]
       bench/low_bit_kernels.py --table-only        write the page and the plot again from what was measured

Writes OUT/low-bit-kernels.json, .md and (where gnuplot is installed) .svg. One thread, one image and 128; of every
family the kernel this processor runs fastest. ONEDNN_MAX_CPU_ISA limits oneDNN. --quick: two layers, short runs,
--out is build/quick then.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

LAYERS = ["3x3 64 at 32x32", "3x3 256 at 8x8", "3x3 512 at 2x2", "1x1 512 to 2048 at 8x8"]
IMAGES = [1, 128]
BITS = range(1, 9)
PEERS = {"onednn f32": "oneDNN f32", "onednn bf16": "oneDNN bf16", "onednn s8": "oneDNN s8"}
COLOURS = {"bitserial": "#d62728", "packed": "#2ca02c", "int8": "#1f77b4", "bf16": "#9467bd",
           "onednn f32": "#7f7f7f", "onednn bf16": "#bc8f5a", "onednn s8": "#000000"}


def macs(layer):
    """Multiply-adds of one image, those on padding not counted."""
    kernel, c, o, size = re.fullmatch(r"(\d)x\d (\d+)(?: to (\d+))? at (\d+)x\d+", layer).groups()
    c, n = int(c), int(size)
    taps = 3 * n - 2 if kernel == "3" else n
    return taps * taps * c * int(o or c)


def family(kernel):
    return "bf16-split" if kernel.startswith("bf16-split") else kernel.split("-")[0]


def kernels_here(program):
    """The first, fastest kernel of every family that runs here."""
    names = subprocess.run([program, "--benchmark_list_tests", f"--benchmark_filter={LAYERS[0]}/images 1/threads 1/w1a1/"],
                           capture_output=True, text=True, check=True).stdout.split("\n")
    found = {}
    for name in names:
        if "/w1a1/" in name:
            kernel = name.split("/")[-1]
            found.setdefault(family(kernel), kernel)
    return [k for f, k in found.items() if f in COLOURS]


def measure(args):
    layers = LAYERS[:2] if args.quick else LAYERS
    ours = "|".join(kernels_here(args.ours))
    wanted = (f"^({'|'.join(layers)})/images ({'|'.join(map(str, IMAGES))})/threads 1/"
              f"(onednn (f32|bf16|s8)|w[1-8]a[1-8]/({ours}))$")
    done = subprocess.run([args.ours, f"--benchmark_filter={wanted}", "--benchmark_format=json",
                           f"--benchmark_min_time={0.02 if args.quick else 0.06}"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{args.ours}: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    measurements = []
    for b in report["benchmarks"]:
        layer, images, _, *what = b["name"].split("/")
        if b.get("error_occurred") or "GOP/s" not in b:
            continue
        bits = int(what[0][1]) if len(what) == 2 else None
        measurements.append({"layer": layer, "images": int(images.split()[1]), "bits": bits, "kernel": what[-1],
                             "microseconds": 2e-3 * macs(layer) / b["GOP/s"], "gops": b["GOP/s"],
                             "mac_per_cycle": b["MAC/cycle"], "implementation": b.get("label"),
                             "weight_bytes": b.get("weights")})
    facts = {k: v for k, v in report["context"].items() if k in ("processor", "clock, GHz") or "peak" in k}
    return {"date": datetime.date.today().isoformat(), "machine": facts,
            "onednn_max_isa": os.environ.get("ONEDNN_MAX_CPU_ISA"), "measurements": measurements}


class Panel:
    """One layer on one number of images."""

    def __init__(self, results, layer, images):
        self.layer, self.images = layer, images
        self.times, self.peers, self.names = {}, {}, {}
        for m in results["measurements"]:
            if (m["layer"], m["images"]) != (layer, images):
                continue
            if m["bits"] is None:
                self.peers[m["kernel"]] = m["microseconds"]
            else:
                self.times.setdefault(family(m["kernel"]), {})[m["bits"]] = m["microseconds"]
                self.names[family(m["kernel"])] = m["kernel"]

    def fastest(self, bits):
        return min((f for f in self.times if bits in self.times[f]), key=lambda f: self.times[f][bits])

    def best(self, bits):
        return self.times[self.fastest(bits)][bits]

    def runs(self):
        """[(family, first bits, last bits)] of the fastest."""
        runs = []
        for bits in BITS:
            name = self.fastest(bits)
            if runs and runs[-1][0] == name:
                runs[-1][2] = bits
            else:
                runs.append([name, bits, bits])
        return runs

    def title(self):
        return f"{self.layer}, {self.images} image{'s' if self.images > 1 else ''}"

    def ratio(self, peer, bits):
        return f"{self.peers[peer] / self.best(bits):.2f}" if peer in self.peers else "–"


def panels_of(results):
    found = dict.fromkeys((m["layer"], m["images"]) for m in results["measurements"])
    return [Panel(results, *key) for key in found]


def draw(panels, path):
    """A panel per layer and number of images; a grey line where another kernel becomes the fastest."""
    rows = (len(panels) + 1) // 2
    script = [f"set terminal svg size 1000,{60 + 270 * rows} background 'white' font 'sans,12'", f"set output '{path}'",
              f"set multiplot layout {rows},2 title 'Microseconds per image against bits, one thread' font ',15'",
              "set logscale y 2", "set xrange [0.7:8.3]", "set xtics 1,1,8", "set grid ytics lc rgb '#e0e0e0'",
              "set key outside right top samplen 1.5 font ',10'", "set xlabel 'bits of weights and activations' offset 0,0.5"]
    for i, panel in enumerate(panels):
        script.append(f"unset arrow; set title '{panel.title()}' offset 0,-0.5")
        for _, _, last in panel.runs()[:-1]:
            script.append(f"set arrow from {last + 0.5},graph 0 to {last + 0.5},graph 1 nohead lc rgb '#b0b0b0' dt 3")
        lines = []
        for name, times in panel.times.items():
            script += [f"$k{i}_{name} << END", *(f"{b} {t:.4f}" for b, t in sorted(times.items())), "END"]
            lines.append(f"$k{i}_{name} with linespoints pt 7 ps 0.5 lw 2 lc rgb '{COLOURS[name]}' title '{name}'")
        for name, time in panel.peers.items():
            lines.append(f"{time:.4f} with lines dt 2 lw 1.5 lc rgb '{COLOURS[name]}' title '{PEERS[name]}'")
        script.append("plot " + ", ".join(lines))
    try:
        subprocess.run(["gnuplot"], input="\n".join(script) + "\nunset multiplot\n", text=True, check=True)
    except FileNotFoundError:
        print("no gnuplot here: no plot", file=sys.stderr)


def page(results, panels):
    machine = results["machine"]
    limit = f", limited to {results['onednn_max_isa']}" if results["onednn_max_isa"] else ""
    used = sorted({m["implementation"] for m in results["measurements"] if m["implementation"]})
    names = dict.fromkeys(name for p in panels for name in p.names.values())
    text = ["# Low-bit kernels: time against bits", "",
            f"{machine['processor']}, {float(machine['clock, GHz']):.2f} GHz while computing, one thread, {results['date']}. Ours: "
            f"{', '.join(names)}. oneDNN{limit}: {', '.join(used) or 'not built in'}.", "",
            "Weights and activations of the same number of bits, packed before; the best of the runs, in processor time. oneDNN's "
            "convolutions have no blocks of 32 with a multiplier and an exponent each, and write int8 (s8) or floats.", "",
            "![time against bits](low-bit-kernels.svg)", "", "## Crossovers", "",
            "Which family is fastest at which bits, and how many times as fast as oneDNN it is at 1, 2, 4 and 8 bits.", "",
            "| layer | images | fastest, by bits | × s8 at 1, 2, 4, 8 | × bf16 | × f32 |", "|---|---|---|---|---|---|"]
    for p in panels:
        runs = ", ".join(f"{first if first == last else f'{first}–{last}'} {name}" for name, first, last in p.runs())
        ratios = [" ".join(p.ratio(f"onednn {peer}", b) for b in (1, 2, 4, 8)) for peer in ("s8", "bf16", "f32")]
        text.append(f"| {p.layer} | {p.images} | {runs} | {' | '.join(ratios)} |")
    ones = [p for p in panels if "onednn s8" in p.peers]
    if ones:
        reached = min(p.peers["onednn s8"] / p.best(1) for p in ones)
        met = sum(p.peers["onednn s8"] / p.best(1) >= 1.8 for p in ones)
        text += ["", f"Target: 1-bit layers at least 1.8 times as fast as oneDNN's s8 on the same instruction set (no AMX): met in {met} of "
                     f"{len(ones)} settings here, the least is {reached:.2f}."]
    text += ["", "## Microseconds per image", ""]
    for p in panels:
        text += [f"### {p.title()}", "", "| kernel | " + " | ".join(map(str, BITS)) + " |", "|---" * 9 + "|"]
        text += [f"| {p.names[f]} | " + " | ".join(f"{t[b]:.1f}" if b in t else "–" for b in BITS) + " |"
                 for f, t in p.times.items()]
        text += [f"| {PEERS[name]} | {time:.1f}" + " |" * 8 for name, time in p.peers.items()]
        text.append("")
    text.append("Written by `make bench-deployed` (`bench/low_bit_kernels.py`), with GOP/s, MAC/cycle and bytes of weights in "
                "[low-bit-kernels.json](low-bit-kernels.json).")
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--ours", default="build/bench_block_product")
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    args.out = args.out or ("build/quick" if args.quick else "docs/results")
    path = pathlib.Path(args.out) / "low-bit-kernels.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if args.table_only else measure(args)
    if not args.table_only:
        path.write_text(json.dumps(results, indent=1) + "\n")
    panels = panels_of(results)
    draw(panels, path.with_suffix(".svg"))
    path.with_suffix(".md").write_text(page(results, panels))
    print(path.with_suffix(".md"))


if __name__ == "__main__":
    main()
