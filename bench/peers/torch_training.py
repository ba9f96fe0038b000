#!/usr/bin/env python3
"""Whole training steps (or passes of inference) of one network in PyTorch, timed as bench/training.cpp times ours.

usage: torch_training.py --net NAME --variant VARIANT [--mode train|infer] [--bits none|B] [--batch N]
                         [--steps K] [--seconds S] [--threads T]
       torch_training.py --list [--mode train|infer]      the variants that this PyTorch can run

A variant is HOW-PRECISION[-cl]: eager, compiled (torch.compile) or frozen (a frozen trace, inference only); fp32 or bf16
(training: autocast, FP32 weights; inference: weights in bf16 too); cl is channels_last. One JSON line is printed. One
process measures one variant, so that its peak memory is its own and its failure stops nothing else.

The networks are those of tests/nn/golden/models.py, whose logits our own are compared with; convolutions without bias,
as ours. --bits quantizes every convolution by DSConv: see docs/method.md.
"""
import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/nn/golden"))

import torch
from torch import nn

import models

WARM_UP = 2  # as in bench/training.cpp
MIN_STEPS = 3
BLOCK = 32
VARIANTS = {
    "train": ["eager-fp32", "eager-fp32-cl", "eager-bf16-cl", "compiled-fp32-cl", "compiled-bf16-cl"],
    "infer": ["eager-fp32", "eager-fp32-cl", "eager-bf16-cl", "frozen-fp32-cl", "frozen-bf16-cl", "compiled-fp32-cl",
              "compiled-bf16-cl"],
}


def build(name):
    """The network and the height of its images."""
    wide = [64, 128, 256, 512]
    if name.startswith("vgg"):
        return models.VggCifar(int(name[3:]), 10), 32
    if name == "resnet20":
        return models.thin(20), 32
    if name == "resnet18":
        return models.ResNet([2, 2, 2, 2], wide, False, "shortcut", "linear", False, 10), 32
    if name == "googlenet":
        return models.GoogLeNetCifar(10), 32
    if name == "resnet18_imagenet":
        return models.ResNet([2, 2, 2, 2], wide, False, "downsample", "fc", True, 1000), 224
    if name == "resnet50_imagenet":
        return models.ResNet([3, 4, 6, 3], wide, True, "downsample", "fc", True, 1000), 224
    raise SystemExit(f"{name}: not a network of this benchmark")


def power_of_two_below(x):
    """2^floor(log2 x) of positive normal numbers, by clearing the bits of the fraction (a trace cannot do that)."""
    if torch.jit.is_tracing():
        return x / (2 * torch.frexp(x)[0])
    if x.dtype == torch.bfloat16:
        return (x.view(torch.int16) & 0x7F80).view(torch.bfloat16)
    return (x.view(torch.int32) & 0x7F800000).view(torch.float32)


def block_float(x, groups, bits, signed):
    """x in block floating point with mantissas of `bits` bits, `groups` blocks of channels; every result fits bf16.
    Also the mantissas before they were clamped, and their range."""
    lowest, highest = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
    blocks = x.unflatten(1, (groups, -1))
    top = (blocks.abs() if signed else blocks).amax(2, keepdim=True)
    step = power_of_two_below(top.clamp_min(2.0 ** -100)) * 2.0 ** ((2 if signed else 1) - bits)
    mantissas = (blocks * step.reciprocal()).round_()
    return (mantissas.clamp(lowest, highest) * step).flatten(1, 2), mantissas, lowest, highest


class BlockFloat(torch.autograd.Function):
    """block_float() with the straight-through gradient, 0 where the mantissa saturated."""

    @staticmethod
    def forward(ctx, x, groups, bits, signed):
        y, mantissas, lowest, highest = block_float(x, groups, bits, signed)
        inside = mantissas <= highest
        ctx.save_for_backward((inside & (mantissas >= lowest) if signed else inside).flatten(1, 2))
        return y

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0], None, None, None


def quantize_activations(x, channels, bits, signed):
    def of(part, groups):
        if torch.is_grad_enabled():
            return BlockFloat.apply(part, groups, bits, signed)
        return block_float(part, groups, bits, signed)[0]

    whole = channels // BLOCK * BLOCK
    if whole in (0, channels):
        return of(x, max(1, channels // BLOCK))
    return torch.cat([of(x[:, :whole], whole // BLOCK), of(x[:, whole:], 1)], 1)  # the last block is shorter


def quantize_weights(w, bits):
    """Signed-extreme: the element of largest magnitude becomes -2^(b-1); one multiplier per block, by least squares."""
    channels, limit = w.shape[1], 2 ** (bits - 1)

    def of(part, groups):
        blocks = part.unflatten(1, (groups, -1))
        extreme = blocks.gather(2, blocks.abs().argmax(2, keepdim=True))
        q = (blocks * (-limit / extreme)).round().clamp(-limit, limit - 1)
        multiplier = (blocks * q).sum(2, keepdim=True) / (q * q).sum(2, keepdim=True)
        return (multiplier * q).flatten(1, 2)

    whole = channels // BLOCK * BLOCK
    if whole in (0, channels):
        return of(w, max(1, channels // BLOCK))
    return torch.cat([of(w[:, :whole], whole // BLOCK), of(w[:, whole:], 1)], 1)


class DsConv2d(nn.Module):
    """A convolution with quantized weights and input; `quantize_input` is False for the image. Inputs are unsigned:
    all of these networks have a ReLU (and pooling) before every other convolution."""

    def __init__(self, conv, bits, quantize_input):
        super().__init__()
        self.conv, self.bits, self.quantize_input = conv, bits, quantize_input

    def forward(self, x):
        if self.quantize_input:
            x = quantize_activations(x, self.conv.in_channels, self.bits, False)
        w = self.conv.weight
        if self.training:
            w = w + (quantize_weights(w.detach(), self.bits) - w).detach()
        return nn.functional.conv2d(x, w, None, self.conv.stride, self.conv.padding)

    def freeze(self):
        """Inference: the weights are quantized once."""
        with torch.no_grad():
            self.conv.weight.copy_(quantize_weights(self.conv.weight, self.bits))


def without_biases(net):
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = None


def assign_bits(net, bits, first=True):
    for name, child in net.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(net, name, DsConv2d(child, bits, not first))
            first = False
        else:
            first = assign_bits(child, bits, first)
    return first


def training_step(net, x, y, bf16, how):
    loss_of = nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    run = torch.compile(net) if how == "compiled" else net

    def step():
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(run(x).float(), y)
        loss.backward()
        optimiser.step()
        return loss

    return step


def inference_pass(net, x, bf16, how):
    net.eval()
    for module in net.modules():
        if isinstance(module, DsConv2d):
            module.freeze()
    if bf16:
        net, x = net.to(torch.bfloat16), x.to(torch.bfloat16)
    if how == "compiled":
        from torch._inductor import config
        config.freezing = True
        net = torch.compile(net)
    elif how == "frozen":
        with torch.no_grad():
            net = torch.jit.freeze(torch.jit.trace(net, x))
    return lambda: net(x)


def times(step, steps, limit):
    """Seconds of every step after the warm-up (fewer than `steps` where they take longer than `limit` seconds), of the
    first step, and the mean of processor time."""
    seconds = []
    for i in range(WARM_UP + steps):
        if i == WARM_UP:
            cpu = time.process_time()
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
        if sum(seconds[WARM_UP:]) > limit and i + 1 >= WARM_UP + MIN_STEPS:
            break
    if not torch.isfinite(result).all():
        raise SystemExit("the result is not finite")
    return sorted(seconds[WARM_UP:]), seconds[0], (time.process_time() - cpu) / (len(seconds) - WARM_UP)


def peak_rss_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6)


def measure(args):
    how, precision = args.variant.split("-")[:2]
    torch.manual_seed(1)
    net, size = build(args.net)
    without_biases(net)
    if args.bits != "none":
        assign_bits(net, int(args.bits))
    x = torch.rand(args.batch, 3, size, size) * 2 - 1
    y = torch.randint(0, 10, (args.batch,))
    if args.variant.endswith("-cl"):
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    bf16, train = precision == "bf16", args.mode == "train"
    imported = peak_rss_mb()
    step = training_step(net, x, y, bf16, how) if train else inference_pass(net, x, bf16, how)
    with torch.set_grad_enabled(train):
        seconds, first, cpu = times(step, args.steps, args.seconds)
    median, best = seconds[len(seconds) // 2], seconds[0]
    return {"net": args.net, "mode": args.mode, "variant": args.variant, "precision": precision, "bits": args.bits,
            "batch": args.batch, "threads": torch.get_num_threads(), "steps": len(seconds),
            "images_per_second": args.batch / median, "images_per_second_best": args.batch / best,
            "seconds_per_step": median, "seconds_per_step_best": best, "cpu_seconds_per_step": cpu, "first_step_seconds": first,
            "peak_rss_mb": peak_rss_mb(), "rss_before_mb": imported, "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--net", default="resnet20")
    parser.add_argument("--variant", default="eager-bf16-cl")
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--bits", default="none")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.list:
        can_compile = hasattr(torch, "compile")
        print(json.dumps({"torch": torch.__version__, "variants":
                          [v for v in VARIANTS[args.mode] if can_compile or not v.startswith("compiled")]}))
        return
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    print(json.dumps(measure(args)))


if __name__ == "__main__":
    main()
