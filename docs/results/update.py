#!/usr/bin/env python3
"""Puts a finished search into the documents: its journal, report and table go to docs/results/NAME/, and the README's
results block is written again. Every number in those places comes from the journal and from `kronbit info`.

usage: python3 docs/results/update.py NAME RUN [KRONBIT]     from the root of the repository
"""
import json
import pathlib
import shutil
import subprocess
import sys
import zlib

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def bits_text(bits):
    """Runs of equal bits, as `4x13 3x6`, like the program writes them."""
    groups = []
    for b in bits:
        if groups and groups[-1][0] == b:
            groups[-1][1] += 1
        else:
            groups.append([b, 1])
    if any(n > 8 for _, n in groups):
        return " ".join(f"{b}x{n}" for b, n in groups)
    return " ".join(str(b) * n for b, n in groups)


def read_run(run):
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    settings = lines[0]["settings"]
    rows = {}
    for line in lines:
        if line["event"] == "final":
            rows.setdefault((line["kind"], tuple(line["bits"])), []).append(line)
    fp32 = next(line for line in lines if line["event"] == "fp32")
    return lines, settings, rows, fp32


def without_folders(lines):
    """The same journal for others: files by name only, not by where they were on one machine."""
    settings = lines[0]["settings"]
    settings["weights"] = pathlib.Path(settings["weights"]).name
    name, colon, folder = settings["data"].partition(":")
    settings["data"] = name + colon + (pathlib.Path(folder).name if folder else "")
    return lines


def sealed(line):
    """A journal line with its checksum (search/journal.h)."""
    text = json.dumps({k: v for k, v in line.items() if k != "crc"}, separators=(",", ":"))[:-1]
    return f'{text},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'


def packed_bytes(kronbit, net, block, bits):
    out = subprocess.run([kronbit, "size", "--net", net, "--block", block, "--json", "--bits", " ".join(map(str, bits))],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def table(kronbit, settings, rows, fp32):
    out = ["| | configuration (bits per layer) | GP estimate | top-1 | delta | bits | MB | of fp32 |", "|---|---|---|---|---|---|---|---|"]
    first = None
    for (kind, bits), runs in rows.items():
        size = packed_bytes(kronbit, settings["net"], settings["block"], bits)
        first = first or size
        top1 = sum(r["top1"] for r in runs) / len(runs)
        sd = (sum((r["top1"] - top1) ** 2 for r in runs) / (len(runs) - 1)) ** 0.5 if len(runs) > 1 else None
        estimate = runs[0]["estimate"]
        shown = f"{100 * top1:.2f} %" + (f" ± {100 * sd:.2f}" if sd is not None else "")
        out.append(f"| {kind} | `{bits_text(bits)}` | {100 * estimate:.2f} % ± {100 * runs[0]['sd']:.2f} | {shown} | "
                   f"{100 * (top1 - estimate):+.2f} | {sum(bits)} | {size['bytes'] / 1e6:.4f} | {size['percent_of_fp32']:.1f} % |")
    fp32_mb = first["weights"] * 4 / 1e6
    out.insert(2, f"| fp32 | 32-bit floating point | | {100 * fp32['top1']:.2f} % | | | {fp32_mb:.4f} | 100 % |")
    return out


def command_line(settings, lines):
    words = ["kronbit search", "--net", settings["net"], "--weights", pathlib.Path(settings["weights"]).name]
    name, _, folder = settings["data"].partition(":")
    words += ["--data", name + (":" + pathlib.Path(folder).name if folder else "")]
    for option in ("validation", "normalize", "tasks", "curve", "by", "min_accuracy", "max_drop", "max_size", "max_avg_bits",
                   "max_bops", "strategy", "model", "warp", "probe", "choices", "lr", "batch", "seed"):
        if settings[option]:
            words += ["--" + option.replace("_", "-"), settings[option]]
    words += ["--" + flag.replace("_", "-") for flag in ("refine", "no_baselines") if settings[flag]]
    budget = [line["budget"] for line in lines if "budget" in line][-1]
    words += ["--budget", f"{budget['evaluations']}evals" if "evaluations" in budget else f"{budget['seconds']:g}s"]
    final = next(line for line in lines if line["event"] == "final")
    words += ["--final-epochs", f"{final['epochs']:g}", "--out", "RUN"]
    return " ".join(words)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    name, run = sys.argv[1], pathlib.Path(sys.argv[2])
    kronbit = sys.argv[3] if len(sys.argv) > 3 else "build/kronbit"
    lines, settings, rows, fp32 = read_run(run)
    info = json.loads(subprocess.run([kronbit, "info", "--json"], check=True, capture_output=True, text=True).stdout)
    precision = settings["precision"]
    kernel = next(k["name"] for k in info["kernels"] if k["note"].startswith("in use") and {"fp32": "f32"}.get(precision, precision) in k["note"])
    evaluations = [line for line in lines if line["event"] == "evaluation"]
    hours = sum(line["seconds"] for line in lines if line["event"] in ("evaluation", "failed", "final")) / 3600
    facts = (f"{len(evaluations)} evaluations on {settings['validation_images']} validation images, then one training of each row; "
             f"top-1 on {fp32['images']} other test images, read once. {hours:.2f} hours of one worker's time in all, "
             f"{info['cpu']}, {info['cpus_online']} processors, kernel {kernel}, {precision}.")

    folder = pathlib.Path("docs/results") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "journal.jsonl").write_text("".join(map(sealed, without_folders(lines))))
    subprocess.run([kronbit, "report", str(folder)], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(run / "best" / "bits.json", folder / "bits.json")
    rows_text = table(kronbit, settings, rows, fp32)
    page = [f"# {settings['net']}: a search on {settings['data'].split(':')[0]}", "", "    " + command_line(settings, lines), "", facts, "",
            *rows_text, "", "The [journal](journal.jsonl) and the [report](report.html) are those of the run; this page is written by "
            "`docs/results/update.py` from the journal."]
    (folder / "README.md").write_text("\n".join(page) + "\n")

    readme = pathlib.Path("README.md")
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    block = [BEGIN, f"A search for {settings['net']} on {settings['data'].split(':')[0]} "
             f"([command, journal and report](docs/results/{name}/README.md)); {facts}", "", *rows_text, END]
    readme.write_text(head + "\n".join(block) + tail)


if __name__ == "__main__":
    main()
