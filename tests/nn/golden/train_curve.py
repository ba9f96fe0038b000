#!/usr/bin/env python3
"""Golden losses of 20 training steps of ResNet20, computed by PyTorch. Writes train_curve.txt beside this file: the
losses of the steps, then the loss of one more batch in evaluation mode (which shows the running statistics).

Weights and images come from formulas that tests/nn/formula.h evaluates too. The start is a calm one, on purpose: with
the scales of the branches and the last weights as models.py has them, PyTorch's own FP32 and FP64 losses part by 1 %
within five steps. Here they agree to 2e-5 over the whole curve; the file holds those in FP64.
"""
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from models import fill, numbers, thin

IMAGES, STEPS = 16, 20


def start(dtype):
    net = thin(20)
    norms = {n for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            fill(key, tensor, key.rsplit(".", 1)[0] in norms)
            if key.endswith("bn2.weight") or key == "linear.weight":
                tensor *= 0.25
    return net.to(dtype)


def batch(step, dtype):
    """Images of ten classes: a pattern of the class and half as much of the image's own."""
    own = range(step * IMAGES, (step + 1) * IMAGES)
    x = [numbers(f"class {i % 10}", 3072) + 0.5 * numbers(f"image {i}", 3072) for i in own]
    x = torch.from_numpy(np.stack(x).astype(np.float32).reshape(IMAGES, 3, 32, 32))
    return x.to(dtype), torch.tensor([i % 10 for i in own])


def curve(net, steps, dtype):
    optimiser = torch.optim.SGD(net.train().parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step in range(steps):
        x, labels = batch(step, dtype)
        loss = F.cross_entropy(net(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    x, labels = batch(steps, dtype)
    with torch.no_grad():
        losses.append(F.cross_entropy(net.eval()(x), labels).item())
    return losses


def write(path, curve_of):
    """`curve_of` one dtype; prints how far FP32 is from FP64, so that the tolerance of the test can be judged."""
    exact, rounded = curve_of(torch.float64), curve_of(torch.float32)
    print(path, "FP32 and FP64 differ by", max(abs(a - b) for a, b in zip(exact, rounded)))
    with open(path, "w") as file:
        file.write("".join(f"{loss:.8f}\n" for loss in exact))


if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    write(os.path.join(folder, "train_curve.txt"), lambda dtype: curve(start(dtype), STEPS, dtype))
