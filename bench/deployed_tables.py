"""The page of bench/deployed.py: its measurements as tables, the targets beside what was reached, and when low bits pay."""

PAPER = [("vgg16", "6 555 44 333 22 11"), ("resnet18", "666 5555 4444 3333 2222 1")]
PRECISIONS = ("fp32", "bf16", "int8")


def key_of(m):
    return m["net"], m["threads"], m["isa"]


def precision_of(m):
    """Of a measurement of PyTorch: fp32, bf16 or int8."""
    return m["variant"].split("-")[1].split(".")[0]


def time_of(m, batch):
    return next((t["median"] for t in m["times"] if t["batch"] == batch), None)


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def ratio(theirs, ours):
    return f"{theirs / ours:.2f}" if theirs and ours else "–"


class Best:
    """The best median of a net, number of images, threads and instruction set, of whoever is asked for."""

    def __init__(self, results):
        self.all = [m for m in results["measurements"] if "error" not in m]

    def find(self, key, batch, accept):
        found = [m for m in self.all if key_of(m) == key and accept(m) and time_of(m, batch)]
        best = min(found, key=lambda m: time_of(m, batch), default=None)
        return (time_of(best, batch), best) if best else (None, None)

    def packed(self, key, batch, bits):
        return self.find(key, batch, lambda m: m.get("how") == "packed" and m["bits"] == bits)

    def floats(self, key, batch, how):
        return self.find(key, batch, lambda m: m.get("how") == how)[0]

    def peer(self, key, batch, precision):
        return self.find(key, batch, lambda m: m["engine"] == "pytorch" and precision_of(m) == precision)

    def rows(self, threads, isa):
        return list(dict.fromkeys((m["net"], m["bits"]) for m in self.all
                                  if m.get("how") == "packed" and m["threads"] == threads and m["isa"] == isa))


def variant(m):
    return f"{m['variant']}, {m['torch'].split('+')[0].replace('0a0', '0')}" if m else "–"


def speed_table(best, threads, isa, many):
    """Milliseconds of one image, or images per second of many."""
    unit = "images/s" if many else "ms"
    lines = [f"| net | bits | ours, {unit} | ours fp32 | ours bf16 | PyTorch fp32 | × | PyTorch bf16 | × | PyTorch int8 | × | "
             "its fp32, its int8 |", "|" + "---|" * 12]
    for net, bits in best.rows(threads, isa):
        key = (net, threads, isa)
        batch = many_of(net) if many else 1
        ours = best.packed(key, batch, bits)[0]
        if not ours:
            continue

        def show(seconds):
            return "–" if not seconds else number(batch / seconds) if many else number(1e3 * seconds, 2)

        cells = [f"**{show(ours)}**", show(best.floats(key, batch, "fp32")), show(best.floats(key, batch, "bf16"))]
        named = []
        for precision in PRECISIONS:
            theirs, who = best.peer(key, batch, precision)
            cells += [show(theirs), ratio(theirs, ours)]
            if precision != "bf16":
                named.append(variant(who))
        lines.append(f"| {net} | {bits} | " + " | ".join(cells) + f" | {'; '.join(named)} |")
    return lines if len(lines) > 2 else []


def megabytes(count):
    return number(count / 1e6, 1)


def kernels_text(kernels):
    return ", ".join(f"{name} {count}" for name, count in kernels.items())


def load_table(best, threads):
    lines = ["| net | bits | load, ms | of it reading | first load, ms | file, MB | weights in memory, MB | as FP32, MB | "
             "buffers, MB | kernels of one image |", "|" + "---|" * 10]
    for net, bits in best.rows(threads, "auto"):
        key = (net, threads, "auto")
        runs = [m for m in best.all if key_of(m) == key and m.get("bits") == bits]
        m = min(runs, key=lambda r: r["load_seconds"]["whole"])
        floats = next((f for f in best.all if f["net"] == net and f.get("how") in ("fp32", "bf16")), None)
        lines.append(f"| {net} | {bits} | {number(1e3 * m['load_seconds']['whole'], 1)} | "
                     f"{number(1e3 * m['load_seconds']['parsing'], 1)} | {number(1e3 * m['first_load_seconds'])} | "
                     f"{megabytes(m['file_bytes'])} | {megabytes(m['weight_bytes'])} | "
                     f"{megabytes(floats['weight_bytes']) if floats else '–'} | {megabytes(m['buffer_bytes'])} | "
                     f"{kernels_text(m['latency_kernels'])} |")
    return lines


def target(what, wanted, reached):
    """reached: ratios from the best of their rounds to every one of ours, the largest first."""
    if not reached:
        return f"| {what} | ≥ {wanted:g} | not measured | | |"
    met = "yes" if reached[-1] >= wanted else "in the best round only" if reached[0] >= wanted else "no"
    return f"| {what} | ≥ {wanted:g} | {reached[0]:.2f} | {reached[-1]:.2f}, {len(reached)} rounds | {met} |"


def targets(best, threads):
    lines = ["| target | wanted | reached | our worst round | met |", "|---|---|---|---|---|"]
    for net, bits in PAPER:
        def times(isa, precision):
            key = (net, threads, isa)
            theirs = best.peer(key, 1, precision)[0]
            ours = [time_of(m, 1) for m in best.all if key_of(m) == key and m.get("bits") == bits]
            return [theirs / t for t in sorted(ours)] if theirs else []

        lines.append(target(f"{net} \"{bits}\", one image: × PyTorch FP32", 5, times("auto", "fp32")))
        lines.append(target(f"{net}, one image: × PyTorch int8", 1, times("auto", "int8")))
        lines.append(target(f"{net}, one image, capped at AVX2: × PyTorch FP32", 2, times("avx2", "fp32")))
        batch = 128
        ours, bf16 = best.packed((net, threads, "auto"), batch, bits)[0], best.floats((net, threads, "auto"), batch, "bf16")
        if ours and bf16:
            lines.append(f"| {net}, {batch} images: × our own bf16 forward pass | reported | {bf16 / ours:.2f} | | |")
    loads = [m["load_seconds"]["whole"] for m in best.all if (m["net"], m.get("bits")) in PAPER and m["isa"] == "auto"]
    if loads:
        lines.append(f"| loading either, kernels known, best run | ≤ 50 ms | {1e3 * min(loads):.0f} ms | {1e3 * max(loads):.0f} ms | "
                     f"{'yes' if min(loads) <= 0.05 else 'no'} |")
    return lines


def when_it_pays(best, threads):
    """Uniform bits of one network against its own 8 bits, and against PyTorch's int8."""
    text = []
    for net in ("vgg16", "resnet18"):
        key = (net, threads, "auto")

        def of(batch):
            return {b: best.packed(key, batch, b)[0] for b in ("1", "2", "4", "8")}

        one, many = of(1), of(128)
        if not all(one.values()) or not all(many.values()):
            continue
        gains = ", ".join(f"{b} {'bit' if b == '1' else 'bits'} {one['8'] / one[b]:.2f} and {many['8'] / many[b]:.2f}"
                          for b in ("1", "2", "4"))
        text.append(f"**{net}**, times as fast as its own 8 bits, one image and 128: {gains}.")
        pays = [b for b in ("4", "2", "1") if one["8"] / one[b] > 1.1 or many["8"] / many[b] > 1.1]
        flat = [b for b in ("4", "2", "1") if b not in pays]
        if pays:
            text.append(f"Time falls (by more than a tenth) at {' and '.join(pays)} bits" +
                        (f", not at {' and '.join(flat)}." if flat else "."))
        int8_one, int8_many = best.peer(key, 1, "int8")[0], best.peer(key, 128, "int8")[0]
        if int8_one and int8_many:
            text.append("Beside PyTorch's int8: " + ", ".join(
                f"{b} {'bit' if b == '1' else 'bits'} {int8_one / one[b]:.2f} and {int8_many / many[b]:.2f}"
                for b in ("1", "2", "4", "8")) + " times.")
    return " ".join(text)


def many_of(net):
    return 16 if net.endswith("imagenet") else 128


def where_slower(best, threads):
    """The networks that lose, by what they lose against."""
    text = []
    for what, many in (("one image", False), ("many images", True)):
        for name in ("PyTorch's int8", "our own bf16 pass"):
            lost, won = [], []
            for net, bits in best.rows(threads, "auto"):
                key, batch = (net, threads, "auto"), many_of(net) if many else 1
                ours = best.packed(key, batch, bits)[0]
                theirs = best.peer(key, batch, "int8")[0] if name.startswith("Py") else best.floats(key, batch, "bf16")
                if ours and theirs:
                    (lost if ours > theirs else won).append(f"{net} \"{bits}\" ({theirs / ours:.2f})")
            if lost or won:
                text.append(f"- {what}, slower than {name}: {', '.join(lost) or 'none'}; as fast or faster: "
                            f"{', '.join(won) or 'none'}.")
    return text


def page(results):
    best, machine, threads = Best(results), results["machine"], results["threads"]
    versions = sorted({m["torch"] for m in best.all if m["engine"] == "pytorch"})
    hows = sorted({m["variant"].split("-")[0] for m in best.all if m["engine"] == "pytorch"})
    torch = "PyTorch " + ", ".join(versions) if versions else "no PyTorch on this machine: ours only"
    amx = "" if "amx" in machine["features"] else " This processor has no AMX: its best is AVX-512, with its bf16 and VNNI."
    text = ["# Deployed networks beside PyTorch's", "",
            f"{machine['processor']}, {threads} threads where no other number is given, {results['date']}; {torch}. Peak of a "
            f"core, measured: {machine['fma_peak_gflops']:.0f} GFLOP/s of FP32 multiply-adds, "
            f"{machine['bf16_peak_gflops']:.0f} of bf16 products.{amx}", "",
            "Ours: a packed network and its engine, from bytes of pixels to logits; random weights, on which speed does not "
            "depend. PyTorch: the fastest of its variants that were measured (" + ", ".join(hows) + "; two layouts), FP32 and int8 named; int8 by "
            "FX graph mode quantization with the fastest of its backends. Medians of a process's passes, the best of the "
            "rounds, whose number differs (deployed.json has all of them): times of one process and the next differ by up to a third "
            "on a shared machine, so that ratios near 1 say little. ×: PyTorch's time over ours.", "",
            "## Targets", "", *targets(best, threads), "",
            "## One image, milliseconds", "", *speed_table(best, threads, "auto", False), "",
            "## 128 images (of 224x224: 16), images per second", "", *speed_table(best, threads, "auto", True), ""]
    single = speed_table(best, 1, "auto", False) if threads != 1 else []
    if single:
        text += ["## One image on one thread, milliseconds", "", *single, ""]
    for isa, name in (("avx512bf16", "AVX-512, without AMX"), ("avx2", "AVX2")):
        for many in (False, True):
            rows = speed_table(best, threads, isa, many)
            if rows:
                text += [f"## Capped at {name}: {'128 images, images per second' if many else 'one image, milliseconds'}", "",
                         *rows, ""]
    pays = when_it_pays(best, threads)
    text += ["## When low bits pay, and when they do not", "",
             *([pays, ""] if pays else []), *where_slower(best, threads), "",
             "Weights of three bits and more run as bytes, so that fewer bits cost less memory and no less time, except where a "
             "layer waits for its weights: one image, many channels, small maps. One and two bits run as bit planes, whose "
             "products cost by the plane of weights times the plane of activations; how far that carries, layer by layer: "
             "[low-bit-kernels.md](low-bit-kernels.md). The first layer reads pixels in FP32 at any number of bits, and "
             "quantizing the activations of a layer costs the same for all of them.", "",
             "## Loading and memory", "",
             "load: reading, checking and preparing, file and kernels known from before. first load: with the trial of kernels. "
             "buffers: activations and scratch memory of all threads.", "", *load_table(best, threads), "",
             "Written by `make bench-deployed` (`bench/deployed.py`); the measurements, the slower variants and what failed "
             "included, are in [deployed.json](deployed.json), each with the share of the processors that others took."]
    return "\n".join(text) + "\n"
