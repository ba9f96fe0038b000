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
OURS = {"ours": "the best of the paper's search as built here", "allocated": "bits allocated by the errors of single layers (no search)"}
TEST_IMAGES = 10000


def epochs_text(epochs):
    return f"{epochs:g} epoch" + ("" if epochs == 1 else "s")


def experiment_command(name, network):
    """With every number that its preset would decide, as presets may change."""
    done = next((r for r in network["rows"] if r["top1"]), None)
    numbers = {"epochs": network["fp32"]["epochs"], "evaluations": (network["search"] or {}).get("evaluations"),
               "row-epochs": done and done["epochs"], "seeds": network["seeds"]}
    return f"build/experiments/{name} --preset paper --net {network['net']}" + "".join(
        f" --{option} {number:g}" for option, number in numbers.items() if number is not None)


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


def estimate_text(row):
    """What the model of the search expects; * where it had to take the nearest curve, as none draws these bits."""
    if row["estimate"] is None:
        return ""
    return f"{percent(row['estimate'])} ± {100 * row['estimate_sd']:.2f}" + ("" if row.get("on_curve", True) else " *")


def printed_text(value, unit="", sd=None):
    """A number as the paper prints it, nothing where it prints none."""
    return "" if value is None else f"{value}{unit}" + (f" ± {sd}" if sd is not None else "")


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


def is_measured(network):
    return any(row.get("mean") is not None for row in network["rows"])


def picture_file(name, networks, net):
    """The experiment names the first network's picture without it."""
    return FOLDER / (f"{name}.svg" if networks[0]["net"] == net else f"{name}-{net}.svg")


def merge(name, out):
    """An experiment writes what its --out has run: of networks that this is nothing of, the documents keep what they have."""
    new, old = json.loads((out / f"{name}.json").read_text()), load(name) or {}
    if "networks" not in new:
        return new, (out / f"{name}.csv").read_text(), []
    head, *lines = (out / f"{name}.csv").read_text().splitlines(keepends=True)
    by_net = lambda lines, net: [line for line in lines if line.split(",")[0] == net]
    networks, csv, kept = [], [head], []
    known = {n["net"]: dict(n, machine=n.get("machine", old["machine"])) for n in old.get("networks", []) if is_measured(n)}
    if missing := known.keys() - {n["net"] for n in new["networks"]}:
        sys.exit(f"{out}/{name}.json leaves out {', '.join(sorted(missing))}, which {FOLDER}/{name}.json has: "
                 f"build/experiments/{name} --preset paper --no-run writes every network")
    for network in new["networks"]:
        net = network["net"]
        if net in known and not is_measured(network):
            networks.append(known[net])
            csv += by_net((FOLDER / f"{name}.csv").read_text().splitlines(keepends=True)[1:], net)
            kept.append(picture_file(name, new["networks"], net).name)
        else:
            networks.append(dict(network, machine=new["machine"]))
            csv += by_net(lines, net)
    return dict(new, networks=networks), "".join(csv), kept


def take(out):
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in EXPERIMENTS:
        if not (out / f"{name}.json").exists():
            continue
        page, csv, kept = merge(name, out)
        if page.get("preset") == "quick":
            sys.exit(f"{out}/{name}.json is of the quick preset: it does not belong into the documents")
        (FOLDER / f"{name}.json").write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n")
        (FOLDER / f"{name}.csv").write_text(csv)
        pictures = lambda folder: [path for path in folder.glob(f"{name}*.svg") if path.name not in kept
                                   and (path.stem == name or path.stem.startswith(name + "-"))]
        for path in pictures(FOLDER):
            path.unlink()
        for path in pictures(out):
            shutil.copy(path, FOLDER)


def load(name):
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def machines(table):
    return "; ".join(dict.fromkeys(n.get("machine", table["machine"]) for n in table["networks"] if is_measured(n))) or table["machine"]


def network_rows(network):
    fp32 = network["fp32"]
    rows = [["floating point", "", "", "", "", percent(fp32 and fp32["test"]), "", "", "", "", "", "",
             f"{network['paper_fp32']} %" if network["paper_fp32"] else "", "", "", ""]]
    for row in distinct(network["rows"] + network["text_mode"]):
        paper = row.get("paper") or {}
        delta = row["mean"] - row["estimate"] if row["mean"] is not None and row["estimate"] is not None else None
        lost = fp32["test"] - row["mean"] if row["mean"] is not None and fp32 else None
        rows.append([row["label"] + ("" if row["mode"] == "signed-extreme" else ", paper-floor"), f"`{row['text']}`",
                     str(row["total_bits"]), estimate_text(row), percent(row["before"]), measured(row), str(len(row["top1"])), points(delta),
                     points(lost), f"{row['bytes']['paper'] / 1e6:.2f}", f"{row['percent_of_fp32']:.1f} %",
                     printed_text(paper.get("estimate"), " %"), printed_text(paper.get("top1"), " %", paper.get("sd")) or printed_text(paper.get("loss"), " points lost"),
                     printed_text(paper.get("delta")), printed_text(paper.get("total_bits")),
                     printed_text(paper.get("megabytes"), " MB") or printed_text(paper.get("percent"), " %")])
    return rows


HEAD = ["row", "bits", "sum", "GP estimate", "before fine-tuning", "top-1", "seeds", "delta", "lost", "MB (paper's rule)", "of FP32 (payload)",
        "paper: estimate", "paper: top-1", "paper: delta", "paper: sum", "paper: size"]
LEGEND = ("GP estimate: of validation images after the search's last task; * where no curve of the search draws the bits and the estimate is of the nearest. "
          "top-1: of the test images, mean ± standard deviation between seeds. delta: top-1 minus estimate. lost: points below our floating point network.")


def notes(network):
    """What had to be decided to read the paper's rows."""
    told = [f"* {network['net']}, row {r['label'].split()[1].rstrip(',')}: {r['note']}" for r in network["rows"] if r["note"]]
    return told + [""] if told else []


def deviations(network):
    fp32, search = network["fp32"], network["search"]
    parts = []
    if fp32:
        parts.append(f"floating point {fp32['epochs']:g} epochs of one cycle, weight decay 5e-4 (paper: about 300 epochs in steps, 5e-5), {duration(fp32['seconds'])} by the clock of a machine that did other work beside it, {fp32['precision']}")
    if search:
        tasks = ", ".join(f"{t:g}" for t in search["tasks"])
        parts.append(f"search of {search['evaluations']} evaluations over tasks {tasks} epochs (paper: about 65 over 0, 1, 2, 15), {duration(search['seconds'])}; runs that ended at each task: {', '.join(map(str, search['evaluations_to_task']))}")
    done = [r for r in network["rows"] if r["top1"]]
    if done:
        parts.append(f"rows: {epochs_text(done[0]['epochs'])} of fine-tuning, {network['seeds']} seed{'s' if network['seeds'] > 1 else ''} wanted (paper: 30 epochs, 10 runs), {duration(sum(r['seconds'] for r in distinct(network['rows'] + network['text_mode'])))}")
    return f"* **{network['net']}**: " + ("; ".join(parts) if parts else UNKNOWN)


def find(network, number):
    return next((r for r in network["rows"] if r["label"].startswith(f"paper {number}")), None)


def spread(network):
    """Standard deviation between trainings of one row, pooled over the rows with several seeds; None without any."""
    squares = [(r["sd"] ** 2 * (len(r["top1"]) - 1), len(r["top1"]) - 1) for r in distinct(network["rows"]) if r["sd"] is not None]
    return (sum(s for s, _ in squares) / sum(n for _, n in squares)) ** 0.5 if squares else None


def compare(network, a, b):
    """Difference of two measured rows in points, and two standard errors of it from the noise of training (None where no
    row was trained twice)."""
    sd = spread(network)
    doubt = None if sd is None else 200 * sd * (1 / len(a["top1"]) + 1 / len(b["top1"])) ** 0.5
    return 100 * (a["mean"] - b["mean"]), doubt


def difference_text(network, a, b):
    d, doubt = compare(network, a, b)
    seeds = min(len(a["top1"]), len(b["top1"]))
    each = f"; by seed {', '.join(points(a['top1'][i] - b['top1'][i]) for i in range(seeds))}" if seeds > 1 else ""
    return f"{d:+.2f} points ({'one training each' if doubt is None else f'± {doubt:.2f}'}{each})"


def images_doubt(mean):
    """Two standard errors of a difference from the test images, were the two rows' mistakes independent: an upper bound,
    as both rows see the same images and mostly fail on the same ones."""
    return 200 * (2 * mean * (1 - mean) / TEST_IMAGES) ** 0.5


def uniform_line(network, size):
    """Accuracy at `size` bytes (paper's rule) on the line through the measured uniform rows: mean and the share of the
    variance of one training in it; None outside."""
    rows = sorted((r for r in distinct(network["rows"]) if len(set(r["bits"])) == 1 and r["mean"] is not None), key=lambda r: r["bytes"]["paper"])
    for low, high in zip(rows, rows[1:]):
        if low["bytes"]["paper"] <= size <= high["bytes"]["paper"]:
            t = (size - low["bytes"]["paper"]) / (high["bytes"]["paper"] - low["bytes"]["paper"])
            return (1 - t) * low["mean"] + t * high["mean"], (1 - t) ** 2 / len(low["top1"]) + t ** 2 / len(high["top1"])
    return None


def elsewhere(table1, net, row):
    """The row with what Table 1 measured for the same network, bits and mode, if it did."""
    for network in (table1 or {"networks": []})["networks"]:
        for other in network["rows"]:
            same = (network["net"], other["bits"], other["mode"]) == (net, row["bits"], row["mode"])
            if same and other["mean"] is not None and network["fp32"]:
                measured = {k: other[k] for k in ("before", "top1", "mean", "sd")}
                return {**row, **measured, "loss": network["fp32"]["test"] - other["mean"]}
    return row


def number_of(row):
    """The paper's row that a label speaks of: "paper 3", "ours, size of paper 1"."""
    return int(row["label"].split("paper ")[1].split(",")[0])


def findings(table):
    """What follows from Table 1 or 2, network by network."""
    lines = []
    has = lambda *rows: all(r and r["mean"] is not None for r in rows)
    for network in table["networks"]:
        name = network["net"]
        papers = [r for r in network["rows"] if r["origin"] == "paper"]
        below = (network["paper_fp32"] or 0) - 100 * network["fp32"]["test"] if network["fp32"] else 0
        if below > 1 and has(*papers[:1]):
            lines.append(f"* {name}: our floating point network is {below:.2f} points below the paper's, after {epochs_text(network['fp32']['epochs'])}: what follows is of such a network.")
        for i, row in enumerate(papers):
            if len(set(row["bits"])) == 1 or "reversed" in row["label"] or not has(row):
                continue
            printed = lambda other: f"; the paper printed {row['paper']['top1'] - other['paper']['top1']:+.1f}" if row["paper"]["top1"] else \
                f"; the paper printed {other['paper']['loss'] - row['paper']['loss']:+.1f}"
            for other in papers[i + 1:i + 2] + [r for r in papers if len(set(r["bits"])) == 1]:
                if has(other):
                    what = f"uniform {other['bits'][0]} bits" if len(set(other["bits"])) == 1 else f"its reverse (row {i + 2})"
                    size = row["bytes"]["paper"] / other["bytes"]["paper"]
                    lines.append(f"* {name}, row {i + 1} against {what}: {difference_text(network, row, other)} with {100 * size:.0f} % of the bytes{printed(other)}.")
            line = uniform_line(network, row["bytes"]["paper"])
            if line:
                sd = spread(network)
                doubt = "one training each" if sd is None else f"± {200 * sd * (1 / len(row['top1']) + line[1]) ** 0.5:.2f}"
                lines.append(f"* {name}, row {i + 1} against the line between the uniform networks **at its own size**: {points(row['mean'] - line[0])} points ({doubt}).")
        for ours in [r for r in network["rows"] if r["origin"] in OURS]:
            theirs = find(network, number_of(ours))
            if has(ours, theirs):
                says = "the same bits" if ours["bits"] == theirs["bits"] else f"{difference_text(network, ours, theirs)} against the paper's row with {100 * ours['bytes']['packed'] / theirs['bytes']['packed']:.0f} % of its bytes"
                lines.append(f"* {name}, {OURS[ours['origin']]} at the size of row {number_of(ours)} (`{ours['text']}`): {says}.")
        told = [r for r in distinct(network["rows"]) if r["mean"] is not None and r["estimate"] is not None]
        drawn = [r for r in told if r.get("on_curve", True)]
        if drawn:
            mean = lambda r: sum(r["validation"]) / len(r["validation"])
            test = [100 * (r["mean"] - r["estimate"]) for r in drawn]
            validation = [100 * (mean(r) - r["estimate"]) for r in drawn]
            inside = sum(abs(mean(r) - r["estimate"]) <= 2 * r["estimate_sd"] for r in drawn)
            lines.append(f"* {name}: for the {len(drawn)} rows that curves of the search draw, the estimate is on average {sum(map(abs, validation)) / len(drawn):.2f} points from the rows' validation accuracy (largest {max(validation, key=abs):+.2f}; {inside} within two of its standard deviations) and {sum(map(abs, test)) / len(drawn):.2f} from their test accuracy: the test images are {100 * sum(mean(r) - r['mean'] for r in told) / len(told):.2f} points harder than the validation images for all of them alike.")
        best = (network["search"] or {}).get("effective_best")
        if best:
            lines.append(f"* {name}: the paper's effective accuracy (k = 100) picks `{best['text']}`, expected {percent(best['estimate'])} ± {100 * best['estimate_sd']:.2f}.")
        for floor in network["text_mode"]:
            other = next(r for r in network["rows"] if r["bits"] == floor["bits"])
            if floor["before"] is not None and other["before"] is not None:
                after = f"; after it {percent(other['top1'][0])} and {percent(floor['top1'][0])}" if floor["top1"] and other["top1"] else ""
                lines.append(f"* {name}, quantizer of the paper's text (paper-floor), `{floor['text']}`: before fine-tuning signed-extreme {percent(other['before'])}, paper-floor {percent(floor['before'])}{after}.")
    return lines or ["* " + UNKNOWN]


def doubts(network):
    """What the ± of findings() are."""
    rows = [r for r in network["rows"] if r["mean"] is not None]
    return f"±: two standard errors from the noise of training, its standard deviation pooled over all rows of the network. All rows saw the same {TEST_IMAGES:,} images; on other images of the kind a difference could be another by up to {max(map(images_doubt, (r['mean'] for r in rows))):.2f} points more (an upper bound: as if two networks failed independently). All rows start from one training in floating point." if rows else ""


def page():
    lines = ["# The paper's tables and figures, by our own binaries", "",
             "Every number here was measured by `build/experiments/NAME --preset paper` and stands in [paper/](paper/) as JSON and CSV; "
             "this page is written from that JSON by `docs/results/paper.py`. The paper's own numbers are printed beside ours. "
             f"\"{UNKNOWN}\" means what it says: two cores need days for the whole, and the commands that were run are listed.", ""]
    table1 = load("table1")
    if table1:
        lines += ["## What follows", "", next((d for d in map(doubts, table1["networks"]) if d), ""), "", *findings(table1), "", "## Table 1: linear Bézier curves on CIFAR-10", "", f"{machines(table1)}. {LEGEND}", ""]
        for network in table1["networks"]:
            if network["fp32"] is None:
                continue
            lines += [f"### {network['net']}", "", *table(HEAD, network_rows(network)), *notes(network)]
        missing = [n["net"] for n in table1["networks"] if n["fp32"] is None]
        if missing:
            lines += [f"Not run yet: {', '.join(missing)}.", ""]
        for i, network in enumerate(table1["networks"]):
            picture = "table1.svg" if i == 0 else f"table1-{network['net']}.svg"
            if any(r["mean"] is not None for r in network["rows"]) and (FOLDER / picture).exists():
                lines += [f"![accuracy against size, {network['net']}](paper/{picture})", ""]
        lines += ["### Deviations from the paper's protocol", "",
                  "* All: 5,000 training images are held out and searched on; the 10,000 test images are read before and after each fine-tuning and choose nothing. One training in floating point per network; rows are fine-tuned by SGD from a learning rate of 0.005, cosine, weight decay 1e-4 (paper: as in floating point), with shifts of up to 4 pixels and flips (paper: crops only). Quantizer signed-extreme unless a row says paper-floor; `docs/method.md` says how both differ. The explorer begins with uniform 2, 3 and 4 bits and a design, keeps the accuracies that a run passes on its way to a later task, and spends one run in four at the last task where its goal may be reached (see each command's `--by`; none: the paper's effective accuracy).",
                  *[deviations(n) for n in table1["networks"]], ""]
        for network in table1["networks"]:
            if network["fp32"]:
                example = next((r["commands"][0] for r in network["rows"] if r["commands"]), "")
                today = "; the search ran without `--by` and `--covariance se`, which the experiment adds today" if network["search"] and " --by " not in network["search"]["command"] else ""
                lines += [f"{network['net']}: `{experiment_command('table1', network)}`. Its commands, one of the rows' (paths below its `--out`{today}):", "",
                          *["    " + c for c in (network["fp32"]["command"], network["search"] and network["search"]["command"], example) if c], ""]
    table2 = load("table2")
    if table2:
        lines += ["## Table 2: Chebyshev series of four weights", ""]
        for network in table2["networks"]:
            if network["fp32"]:
                lines += [f"### {network['net']}", "", *table(HEAD, network_rows(network)), *notes(network)]
        if any(n["fp32"] for n in table2["networks"]):
            lines += [*findings(table2), ""]
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
                             points(row["loss"]), f"{paper.get('loss', '')}",
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
    fig4 = load("fig4") or {}
    lines += ["## Fig. 4: a toy network and one weight", ""]
    if not fig4.get("search"):
        lines += ["Not run yet: `build/experiments/fig4 --preset paper`.", ""]
    else:
        lines += [f"{fig4['search']['evaluations']} runs chosen by the explorer gave {fig4['observations']} observations.", "", "![Fig. 4](paper/fig4.svg)", ""]
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
            rows = [["floating point", "", percent(network["fp32"] and network["fp32"]["test"]), "", ""]]
            rows += [[r["method"], f"`{r['text']}`", measured(r), points(r["loss"]), f"{r['paper_loss_percent']} %"] for r in network["rows"]]
            lines += [f"{network['net']} on {network['data'].partition(':')[0]}:", "", *table(["method", "bits", "top-1", "lost, points", "the paper, ImageNet at 224x224"], rows)]
    pathlib.Path("docs/results/paper.md").write_text("\n".join(lines).rstrip() + "\n")
    return table1


def summary(network):
    """What follows from the table, in one sentence: the paper's first row beside its reverse, the uniform rows and ours."""
    first, reverse, *uniform = [find(network, i) for i in (1, 2, 5, 6)]
    ours, allocated = [next((r for r in network["rows"] if r["origin"] == origin), None) for origin in OURS]
    others = [(reverse, "its reverse"), *[(r, r and f"uniform {r['bits'][0]} bits") for r in uniform], (ours, "the choice of the paper's search as built here"),
              (allocated, "bits allocated by the errors of single layers")]
    parts = []
    for other, name in others:
        if first and other and first["mean"] is not None and other["mean"] is not None and first["bits"] != other["bits"]:
            d, doubt = compare(network, first, other)
            says = "cannot be told from" if abs(d) <= (doubt or 0) else "beats" if d > 0 else "loses to"
            parts.append(f"{says} {name} ({d:+.2f}{'' if doubt is None else f' ± {doubt:.2f}'} points, {100 * first['bytes']['paper'] / other['bytes']['paper']:.0f} % of its bytes)")
    note = "±: two standard errors from the noise of training, on these test images" if spread(network) is not None else "one training each: its noise is not known"
    return f"What follows: row 1 of the paper {', '.join(parts)}. {note[0].upper()}{note[1:]}." if parts else ""


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
