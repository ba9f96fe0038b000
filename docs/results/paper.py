#!/usr/bin/env python3
"""Puts the experiments of build/experiments/ (--preset paper) into the documents: their JSON, CSV and pictures go to
docs/results/paper/, docs/results/paper.md and the README's block are written from that JSON alone.

usage: python3 docs/results/paper.py [OUT]     from the root of the repository; OUT is the --out of the experiments,
                                               without it only the pages are written again
"""
import json
import pathlib
import shutil
import sys

FOLDER = pathlib.Path("docs/results/paper")
BEGIN, END = "<!-- paper:begin -->", "<!-- paper:end -->"
EXPERIMENTS = ["fig2", "fig4", "table1", "table2", "table3", "fig5", "table4"]
UNKNOWN = "not run yet"
OURS = {"ours": "our search's best", "allocated": "bits allocated by the errors of single layers (no search)"}
TEST_IMAGES = 10000


def preset_seeds(net):
    """Trainings of a row that --preset paper asks for (paper_scale() in apps/experiments/common/runs.cpp)."""
    return 1 if net in ("vgg19", "googlenet") else 3


def epochs_text(epochs):
    return f"{epochs:g} epoch" + ("" if epochs == 1 else "s")


def experiment_command(name, network):
    seeds = "" if network["seeds"] == preset_seeds(network["net"]) else f" --seeds {network['seeds']}"
    return f"build/experiments/{name} --preset paper --net {network['net']}{seeds}"


def distinct(rows):
    """Rows of one training under several labels are one row: the labels joined, the printed numbers of the first."""
    found = {}
    for row in rows:
        key = (row["mode"], tuple(row["bits"]))
        if key not in found:
            found[key] = dict(row, labels=[])
        found[key]["labels"].append(row["label"])
        found[key]["paper"] = found[key].get("paper") or row.get("paper")
    for row in found.values():
        first, *others = row["labels"]
        start = first.rpartition(" ")[0] + " "
        row["label"] = " and ".join([first, *[label.removeprefix(start) for label in others]])
    return list(found.values())


def percent(x, digits=2):
    return UNKNOWN if x is None else f"{100 * x:.{digits}f} %"


def measured(row):
    if row["mean"] is None:
        return UNKNOWN
    return percent(row["mean"]) + (f" ± {100 * row['sd']:.2f}" if row["sd"] is not None else "")


def points(x):
    return "" if x is None else f"{100 * x:+.2f}"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(r) + " |" for r in rows] + [""]


def duration(seconds):
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{seconds / 60:.0f} min"


def take(out):
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in EXPERIMENTS:
        if not (out / f"{name}.json").exists():
            continue
        if json.loads((out / f"{name}.json").read_text()).get("preset") == "quick":
            sys.exit(f"{out}/{name}.json is of the quick preset: it does not belong into the documents")
        for old in FOLDER.glob(f"{name}*"):
            if old.stem == name or old.stem.startswith(name + "-"):
                old.unlink()
        for kind in ("json", "csv"):
            shutil.copy(out / f"{name}.{kind}", FOLDER)
        for picture in out.glob(f"{name}*.svg"):
            if picture.stem == name or picture.stem.startswith(name + "-"):
                shutil.copy(picture, FOLDER)


def load(name):
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def network_rows(network):
    fp32 = network["fp32"]
    rows = [[network["net"], "floating point", "", "", "", percent(fp32 and fp32["test"]), "", "", "",
             f"{network['paper_fp32']} %" if network["paper_fp32"] else "", ""]]
    for row in distinct(network["rows"] + network["text_mode"]):
        paper = row.get("paper") or {}
        delta = row["mean"] - row["estimate"] if row["mean"] is not None and row["estimate"] is not None else None
        printed = f"{paper['top1']} %" if paper.get("top1") else f"{paper['loss']} points lost" if paper.get("loss") else ""
        estimate = percent(row["estimate"]) + (f" ± {100 * row['estimate_sd']:.2f}" if row["estimate"] is not None else "")
        rows.append([network["net"], row["label"] + ("" if row["mode"] == "signed-extreme" else ", paper-floor"), f"`{row['text']}`",
                     estimate, percent(row["before"]), measured(row), str(len(row["top1"])), points(delta),
                     f"{row['bytes']['paper'] / 1e6:.2f}", printed, f"{paper['megabytes']} MB" if paper.get("megabytes") else
                     f"{paper['percent']} %" if paper.get("percent") else ""])
    return rows


HEAD = ["net", "row", "bits", "GP estimate", "before fine-tuning", "top-1", "seeds", "delta", "MB (paper's rule)", "paper: top-1", "paper: size"]


def deviations(network):
    fp32, search = network["fp32"], network["search"]
    parts = []
    if fp32:
        parts.append(f"floating point {fp32['epochs']:g} epochs of one cycle, weight decay 5e-4 (paper: about 300 epochs in steps, 5e-5), {duration(fp32['seconds'])}, {fp32['precision']}")
    if search:
        tasks = ", ".join(f"{t:g}" for t in search["tasks"])
        parts.append(f"search of {search['evaluations']} evaluations over tasks {tasks} epochs (paper: about 65 over 0, 1, 2, 15), {duration(search['seconds'])}; runs that ended at each task: {', '.join(map(str, search['evaluations_to_task']))}")
    done = [r for r in network["rows"] if r["top1"]]
    if done:
        parts.append(f"rows: {epochs_text(done[0]['epochs'])} of fine-tuning, {network['seeds']} seed{'s' if network['seeds'] > 1 else ''} wanted (paper: 30 epochs, 10 runs), {duration(sum(r['seconds'] for r in distinct(network['rows'] + network['text_mode'])))}")
    return f"* **{network['net']}**: " + ("; ".join(parts) if parts else UNKNOWN)


def find(network, number):
    return next((r for r in network["rows"] if r["label"].startswith(f"paper {number}")), None)


def compare(a, b):
    """Difference of two measured rows in points, and its doubt: two standard errors of the test images and, where there
    are several seeds, of the trainings. With one seed the noise of training is not in it."""
    d = a["mean"] - b["mean"]
    variance = 0
    for r in (a, b):
        variance += r["mean"] * (1 - r["mean"]) / TEST_IMAGES + ((r["sd"] or 0) ** 2) / len(r["top1"])
    return 100 * d, 200 * variance ** 0.5


def elsewhere(table1, net, row):
    """The row with what Table 1 measured for the same network, bits and mode, if it did."""
    for network in (table1 or {"networks": []})["networks"]:
        for other in network["rows"]:
            same = (network["net"], other["bits"], other["mode"]) == (net, row["bits"], row["mode"])
            if same and other["mean"] is not None and network["fp32"]:
                measured = {k: other[k] for k in ("before", "top1", "mean", "sd")}
                return {**row, **measured, "loss": network["fp32"]["test"] - other["mean"]}
    return row


def findings(table1):
    lines = []
    for network in table1["networks"]:
        name = network["net"]
        rows = [find(network, i) for i in range(1, 7)]
        both = lambda a, b: a and b and a["mean"] is not None and b["mean"] is not None
        for i, j in ((0, 1), (2, 3)):
            if both(rows[i], rows[j]):
                d, doubt = compare(rows[i], rows[j])
                size = rows[i]["bytes"]["paper"] / rows[j]["bytes"]["paper"]
                lines.append(f"* {name}, row {i + 1} against its reverse (row {j + 1}): {d:+.2f} points (± {doubt:.2f}) with {100 * size:.0f} % of the bytes; the paper printed {rows[i]['paper']['top1'] - rows[j]['paper']['top1']:+.1f}.")
        for i in (0, 2):
            for j in (4, 5):
                if both(rows[i], rows[j]):
                    d, doubt = compare(rows[i], rows[j])
                    size = rows[i]["bytes"]["paper"] / rows[j]["bytes"]["paper"]
                    lines.append(f"* {name}, row {i + 1} against uniform {rows[j]['bits'][0]} bits: {d:+.2f} points (± {doubt:.2f}) with {100 * size:.0f} % of the bytes; the paper printed {rows[i]['paper']['top1'] - rows[j]['paper']['top1']:+.1f}.")
        for ours in [r for r in network["rows"] if r["origin"] in OURS]:
            theirs = find(network, ours["label"][-1])
            if both(ours, theirs):
                same = ours["bits"] == theirs["bits"]
                d, doubt = compare(ours, theirs)
                lines.append(f"* {name}, {OURS[ours['origin']]} at the size of row {ours['label'][-1]} (`{ours['text']}`): " + ("the same bits." if same else f"{d:+.2f} points (± {doubt:.2f}) against the paper's row with {100 * ours['bytes']['packed'] / theirs['bytes']['packed']:.0f} % of its bytes."))
        told = [r for r in distinct(network["rows"]) if r["mean"] is not None and r["estimate"] is not None]
        deltas = [100 * (r["mean"] - r["estimate"]) for r in told]
        if deltas:
            inside = sum(abs(r["mean"] - r["estimate"]) <= 2 * r["estimate_sd"] for r in told)
            lines.append(f"* {name}: the estimate is {sum(map(abs, deltas)) / len(deltas):.2f} points from the measurement on average (largest {max(deltas, key=abs):+.2f}), within two of its standard deviations for {inside} of {len(deltas)} configurations. The estimate is of validation images after the search's last task, the measurement of test images after more fine-tuning.")
        for floor in network["text_mode"]:
            other = next(r for r in network["rows"] if r["bits"] == floor["bits"])
            if floor["before"] is not None and other["before"] is not None:
                after = f"; after it {percent(other['top1'][0])} and {percent(floor['top1'][0])}" if floor["top1"] and other["top1"] else ""
                lines.append(f"* {name}, quantizer of the paper's text (paper-floor), `{floor['text']}`: before fine-tuning signed-extreme {percent(other['before'])}, paper-floor {percent(floor['before'])}{after}.")
    return lines or ["* " + UNKNOWN]


def page():
    lines = ["# The paper's tables and figures, by our own binaries", "",
             "Every number here was measured by `build/experiments/NAME --preset paper` and stands in [paper/](paper/) as JSON and CSV; "
             "this page is written from that JSON by `docs/results/paper.py`. The paper's own numbers are printed beside ours. "
             f"\"{UNKNOWN}\" means what it says: two cores need days for the whole, and every step can be run again with the same command.", ""]
    table1 = load("table1")
    if table1:
        lines += ["## What follows", "", f"In brackets: two standard errors of a difference, from {TEST_IMAGES:,} test images of each row and, where a row has several seeds, "
                  "their spread. With one seed the noise of training is not in it.", "", *findings(table1), "", "## Table 1: linear Bézier curves on CIFAR-10", "", f"{table1['machine']}.", ""]
        for network in table1["networks"]:
            if network["fp32"] is None:
                continue
            lines += table(HEAD, network_rows(network))
        missing = [n["net"] for n in table1["networks"] if n["fp32"] is None]
        if missing:
            lines += [f"Not run yet: {', '.join(missing)}.", ""]
        for i, network in enumerate(table1["networks"]):
            picture = "table1.svg" if i == 0 else f"table1-{network['net']}.svg"
            if any(r["mean"] is not None for r in network["rows"]) and (FOLDER / picture).exists():
                lines += [f"![accuracy against size, {network['net']}](paper/{picture})", ""]
        lines += ["### Deviations from the paper's protocol", "",
                  "* All: 5,000 training images are held out and searched on; the 10,000 test images are read once per row. Quantizer signed-extreme unless a row says paper-floor; `docs/method.md` says how both differ. The explorer begins with uniform 2, 3 and 4 bits and a design, and spends one run in four at the last task where the goal may be reached.",
                  *[deviations(n) for n in table1["networks"]], ""]
        if table1["networks"] and table1["networks"][0]["search"]:
            net = table1["networks"][0]
            example = next((r["commands"][0] for r in net["rows"] if r["commands"]), "")
            lines += [f"The experiment is `{experiment_command('table1', net)}`. Its commands, one of the rows' (paths below its `--out`):", "", *["    " + c for c in (net["fp32"]["command"], net["search"]["command"], example) if c], ""]
    table2 = load("table2")
    if table2:
        lines += ["## Table 2: Chebyshev series of four weights", ""]
        for network in table2["networks"]:
            if network["fp32"]:
                lines += table(HEAD, network_rows(network))
        missing = [n["net"] for n in table2["networks"] if n["fp32"] is None]
        if missing:
            lines += [f"Not run yet: {', '.join(missing)}.", ""]
    table3 = load("table3")
    if table3:
        lines += ["## Table 3: ReLeQ's bits beside the paper's and ours", "", "Sizes in MiB (2^20 bytes): DSConv is the paper's rule, WRPN its payload. A row that Table 1 measured is that measurement.", ""]
        rows = []
        for network in table3["networks"]:
            for row in network["rows"]:
                row = row if row["mean"] is not None else elsewhere(table1, network["net"], row)
                paper = row.get("paper") or {}
                rows.append([f"{network['net']} ({network['printed_name']})", row["method"], f"`{row['text']}`", measured(row),
                             "" if row["loss"] is None else f"{100 * row['loss']:+.2f}", f"{paper.get('loss', '')}",
                             f"{row['mebibytes']['dsconv']:.2f}", f"{paper.get('dsconv_mib', '')}", f"{row['mebibytes']['wrpn']:.2f}", f"{paper.get('wrpn_mib', '')}"])
        lines += table(["net", "method", "bits", "top-1", "lost, points", "printed", "DSConv MiB", "printed", "WRPN MiB", "printed"], rows)
    fig5 = load("fig5")
    if fig5:
        lines += ["## Fig. 5 and Fig. 1: what the model expects, against size", ""]
        for picture in ("fig5.svg", "fig5-fig1.svg"):
            if (FOLDER / picture).exists():
                lines += [f"![{picture}](paper/{picture})", ""]
        rows = [[p["net"], p["data"].partition(":")[0], m["letter"], f"`{m['text']}`", f"{percent(m['accuracy'])} ± {100 * m['sd']:.2f}", f"{m['bytes'] / 1e6:.2f}", points(m["gain"])]
                for p in fig5["panels"] for m in p["labelled"]]
        if rows:
            lines += table(["net", "data", "point", "bits", "expected", "MB", "above the uniform line"], rows)
        if fig5["missing"]:
            lines += [f"Not run yet: {', '.join(str(m) if isinstance(m, str) else ' '.join(map(str, m.values())) for m in fig5['missing'])}.", ""]
    fig4 = load("fig4")
    if fig4:
        lines += ["## Fig. 4: a toy network and one weight", "", f"{fig4['search']['evaluations']} runs chosen by the explorer gave {fig4['observations']} observations.", "", "![Fig. 4](paper/fig4.svg)", ""]
    fig2 = load("fig2")
    if fig2:
        rows = [[e["example"], e["curve"], ", ".join(f"{w:g}" for w in e["w"]), "`" + " ".join(map(str, e["bits"])) + "`", "yes" if e["equal"] else "NO"] for e in fig2["examples"]]
        lines += ["## Fig. 2: curves and their bits", "", "![Fig. 2](paper/fig2.svg)", "", *table(["example", "curve", "weights", "bits", "as printed"], rows)]
    table4 = load("table4")
    if table4:
        lines += ["## Table 4: ImageNet", "", table4["limits"], ""]
        rows = [[r["method"], r["net"], f"`{r['text']}`", f"{r['printed_mb']} MB", *[f"{r['bytes'][rule] / 1e6:.2f}" for rule in ("paper", "payload", "packed")]] for r in table4["sizes"]]
        lines += table(["method", "net", "bits", "printed", "rule paper, MB", "rule payload, MB", "packed, MB"], rows)
        for network in table4["networks"]:
            rows = [["floating point", "", percent(network["fp32"] and network["fp32"]["test"]), ""]]
            rows += [[r["method"], f"`{r['text']}`", measured(r), "" if r["loss"] is None else f"{100 * r['loss']:+.2f}"] for r in network["rows"]]
            lines += [f"{network['net']} on {network['data'].partition(':')[0]}:", "", *table(["method", "bits", "top-1", "lost, points"], rows)]
    pathlib.Path("docs/results/paper.md").write_text("\n".join(lines).rstrip() + "\n")
    return table1


def summary(network):
    """What follows from the table, in one sentence: the paper's first row beside its reverse, the uniform rows and ours."""
    first, reverse, *uniform = [find(network, i) for i in (1, 2, 5, 6)]
    ours, allocated = [next((r for r in network["rows"] if r["origin"] == origin), None) for origin in OURS]
    others = [(reverse, "its reverse"), *[(r, r and f"uniform {r['bits'][0]} bits") for r in uniform], (ours, "our search's choice"),
              (allocated, "bits allocated by the errors of single layers")]
    parts = []
    for other, name in others:
        if first and other and first["mean"] is not None and other["mean"] is not None and first["bits"] != other["bits"]:
            d, doubt = compare(first, other)
            says = f"beats {name}" if d > doubt else f"loses to {name}" if d < -doubt else f"cannot be told from {name}"
            parts.append(f"{says} ({d:+.2f} ± {doubt:.2f} points, {100 * first['bytes']['paper'] / other['bytes']['paper']:.0f} % of its bytes)")
    note = "" if first and first["sd"] is not None else "; with one seed the noise of training is not in it"
    return f"What follows: row 1 of the paper {', '.join(parts)}. ± here: two standard errors{note}." if parts else ""


def readme(table1):
    path = pathlib.Path("README.md")
    text = path.read_text()
    network = next((n for n in (table1 or {"networks": []})["networks"] if any(r["mean"] is not None for r in n["rows"])), None)
    block = [BEGIN]
    if network:
        seeds = sorted({len(r["top1"]) for r in network["rows"] if r["mean"] is not None})
        count = "one training" if seeds == [1] else f"{' to '.join(map(str, seeds))} trainings"
        spread = "" if seeds == [1] else "; ± is their standard deviation"
        picture = "table1.svg" if network is table1["networks"][0] else f"table1-{network['net']}.svg"
        rows = [["floating point", "", percent(network["fp32"]["test"]), "", f"{network['paper_fp32']} %", ""]]
        for row in distinct(network["rows"]):
            paper = row.get("paper") or {}
            rows.append([row["label"], f"`{row['text']}`", measured(row), f"{row['bytes']['paper'] / 1e6:.2f}",
                         f"{paper['top1']} %" if paper.get("top1") else "", f"{paper['megabytes']} MB" if paper.get("megabytes") else ""])
        block += [f"The paper's Table 1 for {network['net']}, measured here with {count} of {epochs_text(max(r['epochs'] for r in network['rows']))} per row "
                  f"(the paper: 10 of 30){spread}. MB by the paper's rule. [Everything, with every deviation named](docs/results/paper.md):", "",
                  *table(["row", "bits", "top-1", "MB", "paper: top-1", "paper: size"], rows), summary(network), "",
                  f"![accuracy against size, {network['net']}](docs/results/paper/{picture})"]
    else:
        block += ["The paper's tables and figures by our own binaries: [docs/results/paper.md](docs/results/paper.md)."]
    block += [END]
    head, rest = text.split(BEGIN)
    path.write_text(head + "\n".join(block) + rest.split(END)[1])


def main():
    if len(sys.argv) > 1:
        take(pathlib.Path(sys.argv[1]))
    readme(page())


if __name__ == "__main__":
    main()
