#!/usr/bin/env python3
"""Puts a finished training (kronbit train) into the documents: docs/results/NAME/ gets its journal and a page with the
command, the accuracy and the course of the training. Every number comes from the journal and from `kronbit info`.

usage: python3 docs/results/training.py NAME RUN "the command's own words, without folders" [KRONBIT]
       from the root of the repository; RUN may be docs/results/NAME itself, to write the page again
"""
import json
import pathlib
import shutil
import subprocess
import sys


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    name, run, command = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    kronbit = sys.argv[4] if len(sys.argv) > 4 else "build/kronbit"
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    settings = lines[0]["settings"]
    epochs = [line for line in lines if line["event"] == "epoch"]
    test = next((line for line in lines if line["event"] == "test"), None)
    if test is None:
        sys.exit(f"{run}: the training is not finished")
    info = json.loads(subprocess.run([kronbit, "info", "--json"], check=True, capture_output=True, text=True).stdout)
    rates = sorted(line["images_per_second"] for line in epochs)
    median = rates[len(rates) // 2]
    seconds = [line["seconds"] for line in epochs]
    steady = epochs[-1]["step"] * int(settings["batch"]) / median
    slow = sum(s > 2 * steady / len(epochs) for s in seconds)
    uneven = (f", where all epochs at the median rate would be {steady / 60:.0f}: {slow} took more than twice as long as that, "
              f"the slowest {max(seconds) / 60:.0f} minutes") if slow else ""

    page = [f"# {settings['net']} trained from scratch: {100 * test['top1']:.2f} % on the test split", "",
            f"    {command}", "",
            f"{settings['epochs']} epochs, batch {settings['batch']}, {settings['optimiser']} with weight decay "
            f"{settings['weight_decay']}, learning rate {settings['lr']} ({settings['schedule']}), seed {settings['seed']}, "
            f"{settings['precision']}. {info['cpu']}, {info['threads']} threads: "
            f"{median:.0f} images/s in the median epoch, {rates[-1]:.0f} in the fastest, {rates[0]:.0f} in the slowest; "
            f"{sum(seconds) / 60:.0f} minutes of steps{uneven}.", "",
            f"The weights are those of the best epoch on the images held out; the test split ({test['images']} images) was read "
            f"once, at the end: top-1 {100 * test['top1']:.2f} %, top-5 {100 * test['top5']:.2f} %, loss {test['loss']:.4f}.", "",
            "| epoch | learning rate | loss | training top-1 | held-out top-1 |", "|---|---|---|---|---|"]
    shown = max(1, len(epochs) // 12)
    for i, line in enumerate(epochs):
        if (i + 1) % shown == 0 or i == len(epochs) - 1:
            page.append(f"| {line['epoch']:g} | {line['lr']:.4f} | {line['loss']:.4f} | {100 * line['train_top1']:.2f} % | "
                        f"{100 * line['val_top1']:.2f} % |")
    page += ["", "Every epoch is in [journal.jsonl](journal.jsonl); this page was written by docs/results/training.py."]
    folder = pathlib.Path("docs/results") / name
    folder.mkdir(parents=True, exist_ok=True)
    if run.resolve() != folder.resolve():
        shutil.copy(run / "journal.jsonl", folder / "journal.jsonl")
    (folder / "README.md").write_text("\n".join(page) + "\n")
    print(folder / "README.md")


if __name__ == "__main__":
    main()
