#!/usr/bin/env python3
"""Puts a finished search into the documents: its journal, report and table go to docs/results/NAME/, and the README's
results block is written again. Every number in those places comes from the journal, the report made from it,
`kronbit size` and machine.json, which is what `kronbit info` said where the search ran.

usage: python3 docs/results/update.py NAME [RUN] [--kronbit build/kronbit]     from the root of the repository; to be run
       on the machine of the search. Without RUN only the pages are written again, from docs/results/NAME/
"""
import argparse
import html
import json
import pathlib
import re
import shlex
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
    fp32 = next((line for line in lines if line["event"] == "fp32"), None)
    if not rows or fp32 is None:
        sys.exit(f"{run}: wanted a search with its final trainings, got none")
    return lines, settings, rows, fp32


def without_folders(lines):
    """The same journal for others: files by name only, not by where they were on one machine."""
    settings = lines[0]["settings"]
    settings["weights"] = pathlib.Path(settings["weights"]).name
    name, colon, folder = settings["data"].partition(":")
    settings["data"] = name + colon + (pathlib.Path(folder).name if folder else "")
    for line in lines:
        if "profile" in line.get("options", {}):
            line["options"]["profile"] = pathlib.Path(line["options"]["profile"]).name
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


def verdict(report):
    """The report's sentence on the best beside the uniform network; "" where there was none to compare with."""
    found = re.search(r'<p class="answer">.*?<code>(.*?)</code>.*? It ((?:beats|loses to|does as well as|is the uniform).*?)</p>', report, re.S)
    return f"`{html.unescape(found[1])}` {html.unescape(found[2]).replace('+-', '±')}" if found else ""


def count(numbers, one, many):
    low, high = min(numbers), max(numbers)
    if low != high:
        return f"{low} to {high} {many}"
    return f"one {one}" if low == 1 else f"{low} {many}"


def explanation(settings, fp32, report):
    """The sentences below the table."""
    gain = 100 * (fp32["top1"] - settings["fp32_validation"])
    p, images = fp32["top1"], fp32["images"]
    return (f"{verdict(report)} fp32 has {100 * settings['fp32_validation']:.2f} % on the validation images, so that {gain:+.2f} of every "
            f"delta lies in the images. One standard error of {images} test images is {100 * (p * (1 - p) / images) ** 0.5:.1f} points.").strip()


def command_line(folder, kronbit):
    """What made the run in `folder`, as the program says it, but for the folder that it is made in."""
    said = subprocess.run([kronbit, "status", str(folder), "--command"], check=True, capture_output=True, text=True).stdout
    return shlex.join(shlex.split(said)[:-1] + ["RUN"])


def machine_here(kronbit):
    info = json.loads(subprocess.run([kronbit, "info", "--json"], check=True, capture_output=True, text=True).stdout)
    return {"cpu": info["cpu"], "processors": info["cpus_online"]}


def arithmetic(settings):
    """Kernel and precision of the products, as the journal has them."""
    precision = {"fp32": "f32"}.get(settings["precision"], settings["precision"])
    kernel = settings.get("numerics", {}).get(precision)
    return (f"kernel {kernel}, " if kernel else "") + settings["precision"]


def take(run, folder, kronbit):
    folder.mkdir(parents=True, exist_ok=True)
    lines, _, _, _ = read_run(run)
    (folder / "journal.jsonl").write_text("".join(map(sealed, without_folders(lines))))
    subprocess.run([kronbit, "report", str(folder)], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(run / "best" / "bits.json", folder / "bits.json")
    (folder / "machine.json").write_text(json.dumps(machine_here(kronbit), indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run", nargs="?", type=pathlib.Path)
    parser.add_argument("--kronbit", default="build/kronbit")
    args = parser.parse_args()
    folder = pathlib.Path("docs/results") / args.name
    if args.run:
        take(args.run, folder, args.kronbit)
    lines, settings, rows, fp32 = read_run(folder)
    machine = json.loads((folder / "machine.json").read_text())
    evaluations = [line for line in lines if line["event"] == "evaluation"]
    hours = sum(line["seconds"] for line in lines if line["event"] in ("evaluation", "failed", "final", "final_failed")) / 3600
    data = settings["data"].split(":")[0]
    facts = (f"{len(evaluations)} evaluations on {settings['validation_images']} validation images, then "
             f"{count([len(runs) for runs in rows.values()], 'training', 'trainings')} of each row; "
             f"top-1 on {fp32['images']} other test images, read once. {hours:.2f} hours of one worker's time in all, "
             f"{machine['cpu']}, {machine['processors']} processors, {arithmetic(settings)}.")
    rows_text = table(args.kronbit, settings, rows, fp32)
    below = explanation(settings, fp32, (folder / "report.html").read_text())
    if "space" not in settings:
        below += (" An earlier version made this run: its candidates were chosen by another rule, and the best that it had "
                  "measured was not trained again for a row of its own; the same command, begun now, tries others.")
    page = [f"# {settings['net']}: a search on {data}", "", "    " + command_line(folder, args.kronbit), "", facts, "",
            *rows_text, "", below, "",
            "The [journal](journal.jsonl) and the [report](report.html) are those of the run; this page is written by "
            "`docs/results/update.py` from them."]
    (folder / "README.md").write_text("\n".join(page) + "\n")

    readme = pathlib.Path("README.md")
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    block = [BEGIN, f"A search for {settings['net']} on {data} "
             f"([command, journal and report](docs/results/{args.name}/README.md)); {facts}", "", *rows_text, "", below, END]
    readme.write_text(head + "\n".join(block) + tail)


if __name__ == "__main__":
    main()
