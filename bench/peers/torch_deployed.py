#!/usr/bin/env python3
"""Networks deployed with PyTorch, timed as bench/deployed.cpp times ours: from images in memory to logits.

usage: torch_deployed.py --net NAME --variants V,W [--batches 1,128] [--seconds S] [--threads T]
       torch_deployed.py --list          the variants that this PyTorch can run

A variant is HOW-PRECISION[-cl]: eager, frozen (a frozen trace) or compiled (torch.compile); fp32, bf16 (weights too), or
int8 by FX graph mode quantization, with the name of its backend: frozen-int8.x86-cl; cl is channels_last. Int8 networks
are calibrated on random images: their speed does not depend on the numbers. One JSON line for each variant.
"""
import argparse
import json
import time
import warnings

import torch

from torch_training import build, inference_pass, peak_rss_mb, without_biases

WARM_UP = 5  # as in bench/deployed.cpp; the first passes of a trace are slow
MIN_PASSES, MOST_PASSES = 3, 5000
FLOATS = ["eager-fp32", "eager-fp32-cl", "frozen-fp32", "frozen-fp32-cl", "compiled-fp32-cl", "frozen-bf16-cl",
          "compiled-bf16-cl"]
BACKENDS = ["x86", "fbgemm", "onednn"]  # qnnpack is for other processors


def variants():
    floats = [v for v in FLOATS if hasattr(torch, "compile") or not v.startswith("compiled")]
    backends = [b for b in BACKENDS if b in torch.backends.quantized.supported_engines]
    return floats + [f"{how}-int8.{b}{layout}" for b in backends
                     for how, layout in (("eager", ""), ("frozen", ""), ("frozen", "-cl"))]


def quantized(net, size, backend):
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    torch.backends.quantized.engine = backend
    calibration = torch.rand(8, 3, size, size) * 2 - 1
    prepared = prepare_fx(net.eval(), get_default_qconfig_mapping(backend), (calibration,))
    prepared(calibration)
    return convert_fx(prepared)


def times(run, limit):
    """Median and best seconds of a pass."""
    def once():
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    spent = 0
    for _ in range(WARM_UP):
        spent += once()
        if spent > 5 * limit:
            break
    seconds = []
    while len(seconds) < MIN_PASSES or (sum(seconds) < limit and len(seconds) < MOST_PASSES):
        seconds.append(once())
    seconds.sort()
    return {"passes": len(seconds), "median": seconds[len(seconds) // 2], "best": seconds[0]}


def measure(args, variant):
    how, precision = variant.split("-")[:2]
    torch.manual_seed(1)
    result = {"net": args.net, "variant": variant, "torch": torch.__version__, "threads": torch.get_num_threads(),
              "times": []}
    for batch in map(int, args.batches.split(",")):
        net, size = build(args.net)
        without_biases(net)
        if precision.startswith("int8"):
            net = quantized(net, size, precision.split(".")[1])
        x = torch.rand(batch, 3, size, size) * 2 - 1
        if variant.endswith("-cl"):
            net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        run = inference_pass(net, x, precision == "bf16", how)
        result["times"].append({"batch": batch} | times(run, args.seconds))
    return result | {"peak_rss_mb": peak_rss_mb()}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--net", default="vgg16")
    parser.add_argument("--variants", default="frozen-fp32-cl")
    parser.add_argument("--batches", default="1,128")
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # of deprecation, in every line
    if args.list:
        print(json.dumps({"torch": torch.__version__, "variants": variants()}))
        return
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    with torch.no_grad():
        for variant in args.variants.split(","):
            try:
                print(json.dumps(measure(args, variant)), flush=True)
            except Exception as e:  # the others are measured all the same
                why = (str(e).strip().splitlines() or [type(e).__name__])[0]
                print(json.dumps({"net": args.net, "variant": variant, "torch": torch.__version__, "error": why}))


if __name__ == "__main__":
    main()
