#!/usr/bin/env python3
"""Accuracy of packed networks beside fake quantization: the same weights and bits evaluated as trained (FP32 products of
quantized operands) and from packed files by the engine, exact and by default. Writes docs/results/packed-accuracy.{json,md}.

usage: python3 docs/results/packed_accuracy.py NET WEIGHTS DATA NORMALIZE [KRONBIT]     from the root of the repository
"""
import json
import pathlib
import subprocess
import sys
import tempfile

BITS = ["8", "7", "6", "5", "4", "3", "2", "666 5555 44444 33333 22"]


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    net, weights, data, normalize = sys.argv[1:5]
    kronbit = sys.argv[5] if len(sys.argv) > 5 else "build/kronbit"

    def run(*words):
        return json.loads(subprocess.run([kronbit, *words, "--json", "--quiet"], check=True, capture_output=True, text=True).stdout)

    common = ["--net", net, "--data", data]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for bits in BITS:
            fake = run("eval", *common, "--weights", weights, "--normalize", normalize, "--bits", bits, "--precision", "fp32")
            row = {"bits": bits, "images": fake["images"], "fake": fake["top1"]}
            for multipliers in ("f32", "auto"):
                model = f"{folder}/{multipliers}.safetensors"
                run("export", "--net", net, "--weights", weights, "--bits", bits, "--normalize", normalize, "--multipliers", multipliers, "--out", model)
                row[f"exact_{multipliers}"] = run("eval", *common, "--weights", model, "--exact")["top1"]
                default = run("eval", *common, "--weights", model)
                row[f"default_{multipliers}"], row["kernel"] = default["top1"], default["kernel"]
            rows.append(row)
            print(row, file=sys.stderr)
    machine = run("info")["cpu"]
    result = {"net": net, "data": data.partition(":")[0], "machine": machine, "rows": rows}
    out = pathlib.Path("docs/results")
    (out / "packed-accuracy.json").write_text(json.dumps(result, indent=1) + "\n")
    percent = lambda x: f"{100 * x:.2f} %"
    head = ["bits", "fake-quantized", "packed, FP32 multipliers, exact", "packed, FP16 multipliers, exact", "packed, FP16 multipliers, default", "kernels of the default"]
    images = rows[0]["images"]
    worst = max(abs(r["exact_f32"] - r["fake"]) for r in rows)
    worst16 = max(abs(r["exact_auto"] - r["fake"]) for r in rows)
    apart = max(abs(r["default_auto"] - r["exact_auto"]) for r in rows)
    lines = [f"# Accuracy of packed networks: {net} on {result['data']}", "",
             f"Top-1 on {images} test images, without retraining; {machine}. fake-quantized: `kronbit eval --bits` in FP32, as in training. packed: the file, by the engine.", "",
             "| " + " | ".join(head) + " |", "|" + "---|" * len(head),
             *["| " + " | ".join([f"`{r['bits']}`", percent(r["fake"]), percent(r["exact_f32"]), percent(r["exact_auto"]), percent(r["default_auto"]), r["kernel"]]) + " |" for r in rows], "",
             f"With FP32 multipliers the engine and fake quantization compute the same numbers in another order; a sum that rounds differently can move an activation by a step: at most {round(worst * images)} of {images} images ({100 * worst:.2f} points) change here. "
             "Against the network of reference operators, which adds in the engine's order, nothing changes to the last bit of the convolutions (a test).", "",
             f"FP16 multipliers (the file's default) are another rounding of the weights, of one part in 2,000: at most {100 * worst16:.2f} points here, in either direction, on weights that were not retrained. "
             f"The default kernels are {100 * apart:.2f} points from the exact ones at most.", "",
             "Written by docs/results/packed_accuracy.py."]
    (out / "packed-accuracy.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
