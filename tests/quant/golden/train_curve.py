#!/usr/bin/env python3
"""Golden losses of 6 training steps of ResNet20 with 2-bit weights and activations, computed by PyTorch: the start and
the batches of tests/nn/golden/train_curve.py, the quantizers of resnet20_ptq.py, straight-through gradients. Writes
train_curve.txt beside this file: the losses of the steps, then that of one more batch in evaluation mode.

The first two losses, before and after one update, are sharp: FP32 and FP64 agree to 1e-6, and gradients that pass
saturated activations would change the second by 9e-4. Later a mantissa rounds the other way here and there, and FP32
and FP64 part by 3e-3; the same network in FP32 is 8e-3 away by then.
"""
import importlib.util
import os
import sys

import torch
from torch import nn
from torch.nn import functional as F

from resnet20_ptq import activations, blocks, weights

FOLDER = os.path.dirname(os.path.abspath(__file__))
NN_GOLDEN = os.path.join(FOLDER, "../../nn/golden")
BITS, STEPS = 2, 6


def fp32_curve():
    """tests/nn/golden/train_curve.py, which has this file's name."""
    sys.path.insert(0, NN_GOLDEN)
    spec = importlib.util.spec_from_file_location("fp32_curve", os.path.join(NN_GOLDEN, "train_curve.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, quantized, passes):
        ctx.save_for_backward(passes)
        return quantized

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0], None, None


def unsaturated(x, bits):
    out = []
    for a in blocks(x, 1):
        m = a.amax(1, keepdim=True)
        step = torch.ldexp(torch.ones_like(m), torch.frexp(m)[1] - bits)
        out.append(torch.round(a / step) <= 2**bits - 1)
    return torch.cat(out, 1)


def quantize(conv, image):
    """The input of the first convolution is the image: it stays as it is."""
    def forward(x):
        with torch.no_grad():
            w = weights(conv.weight, BITS, "signed-extreme")
            a, passes = (x, torch.ones_like(x)) if image else (activations(x, BITS), unsaturated(x, BITS))
        a = StraightThrough.apply(x, a, passes)
        w = StraightThrough.apply(conv.weight, w, torch.ones_like(w))
        return F.conv2d(a, w, None, conv.stride, conv.padding)

    conv.forward = forward


def curve(base, dtype):
    net = base.start(dtype)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            quantize(module, name == "conv1")
    return base.curve(net, STEPS, dtype)


if __name__ == "__main__":
    base = fp32_curve()
    base.write(os.path.join(FOLDER, "train_curve.txt"), lambda dtype: curve(base, dtype))
