#!/usr/bin/env python3
"""Forward and backward passes in PyTorch on a GPU, timed as bench/device.cpp times ours: bf16 autocast, channels_last,
captured in a CUDA graph; random images that lie on the GPU. As in ours, no parameter is updated.

usage: torch_cuda.py --net NAME [--batch N] [--bits none|B] [--steps K]

One JSON line. The networks and the quantizers are those of torch_training.py.
"""
import argparse
import json
import sys

import torch
from torch import nn

import torch_training as peer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", required=True)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--bits", default="none")
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    net, size = peer.build(args.net)
    peer.without_biases(net)
    if args.bits != "none":
        peer.assign_bits(net, int(args.bits))
    net = net.cuda().train().to(memory_format=torch.channels_last)
    images = torch.rand(args.batch, 3, size, size, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.arange(args.batch, device="cuda") * 7919 % 10

    def step():
        net.zero_grad(set_to_none=True)  # gradients are written, not added to
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    how, run = "graph", None
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay
    except RuntimeError as error:
        print(f"no graph: {error}", file=sys.stderr)
        how, run = "eager", step
    for _ in range(3):
        run()
    times = []
    for _ in range(args.steps):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    median = sorted(times)[len(times) // 2]
    print(json.dumps({"what": "peer", "net": args.net, "bits": 0 if args.bits == "none" else int(args.bits),
                      "batch": args.batch, "how": how, "step_milliseconds": median,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
