#!/usr/bin/env python3
"""Golden logits of every network family, computed by PyTorch. Writes models.txt beside this file, and
resnet20_cifar10.txt (images, logits) where the trained ResNet20 is given: models.py resnet20-cifar10.safetensors

The modules below spell the networks as the PyTorch implementations do whose state dicts we import (pytorch-cifar,
akamaster's ResNet, torchvision); weights and images come from a formula that tests/nn/models_test.cpp evaluates too.
Line: network, image size, images, classes, whether convolutions have a bias, CRC-32 of the names and shapes, logits.
"""
import math
import os
import sys
import zlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

MODULES = {  # 1x1; 3x3 reduction, 3x3; 5x5 reduction, 5x5; pool projection
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}
VGG = {11: [1, 1, 2, 2, 2], 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4]}


def vgg_features(depth):
    layers, c = [], 3
    for count, o in zip(VGG[depth], [64, 128, 256, 512, 512]):
        for _ in range(count):
            layers += [nn.Conv2d(c, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU()]
            c = o
        layers.append(nn.MaxPool2d(2, 2))
    return layers


class VggCifar(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        self.features = nn.Sequential(*vgg_features(depth), nn.AvgPool2d(1, 1))
        self.classifier = nn.Linear(512, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class VggImageNet(nn.Module):
    def __init__(self, depth, classes, size):
        super().__init__()
        self.features = nn.Sequential(*vgg_features(depth))
        self.classifier = nn.Sequential(
            nn.Linear(512 * (size // 32) ** 2, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Block(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 (with the stride), 1x1; side branch called `side` ("" for option A)."""

    def __init__(self, c, width, stride, bottleneck, side):
        super().__init__()
        self.bottleneck, self.side, self.stride = bottleneck, side, stride
        self.out = width * (4 if bottleneck else 1)
        first = 1 if bottleneck else 3
        self.conv1 = nn.Conv2d(c, width, first, 1 if bottleneck else stride, first // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride if bottleneck else 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        if bottleneck:
            self.conv3 = nn.Conv2d(width, self.out, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(self.out)
        self.changes = stride != 1 or c != self.out
        if self.changes and side:
            setattr(self, side, nn.Sequential(nn.Conv2d(c, self.out, 1, stride, bias=False), nn.BatchNorm2d(self.out)))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(F.relu(y)))
        if self.changes and self.side:
            x = getattr(self, self.side)(x)
        elif self.changes:
            more = self.out - x.shape[1]
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, more // 2, more // 2))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, blocks, widths, bottleneck, side, head, big_stem, classes):
        super().__init__()
        self.head, self.big_stem = head, big_stem
        c = widths[0]
        self.conv1 = nn.Conv2d(3, c, 7, 2, 3, bias=False) if big_stem else nn.Conv2d(3, c, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.stages = len(blocks)
        for s, (count, width) in enumerate(zip(blocks, widths)):
            layers = []
            for i in range(count):
                layers.append(Block(c, width, 2 if s > 0 and i == 0 else 1, bottleneck, side))
                c = layers[-1].out
            setattr(self, f"layer{s + 1}", nn.Sequential(*layers))
        setattr(self, head, nn.Linear(c, classes))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.big_stem:
            x = F.max_pool2d(x, 3, 2, 1)
        for s in range(self.stages):
            x = getattr(self, f"layer{s + 1}")(x)
        return getattr(self, self.head)(x.mean((2, 3)))


class InceptionCifar(nn.Module):
    def __init__(self, c, m):
        super().__init__()

        def unit(i, o, k):
            return [nn.Conv2d(i, o, k, padding=k // 2), nn.BatchNorm2d(o), nn.ReLU()]

        self.b1 = nn.Sequential(*unit(c, m[0], 1))
        self.b2 = nn.Sequential(*unit(c, m[1], 1), *unit(m[1], m[2], 3))
        self.b3 = nn.Sequential(*unit(c, m[3], 1), *unit(m[3], m[4], 3), *unit(m[4], m[4], 3))
        self.b4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), *unit(c, m[5], 1))

    def forward(self, x):
        return torch.cat([self.b1(x), self.b2(x), self.b3(x), self.b4(x)], 1)


class GoogLeNetCifar(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.pre_layers = nn.Sequential(nn.Conv2d(3, 192, 3, padding=1), nn.BatchNorm2d(192), nn.ReLU())
        c = 192
        for name, m in MODULES.items():
            setattr(self, name[1] + name[0], InceptionCifar(c, m))
            c = m[0] + m[2] + m[4] + m[5]
        self.linear = nn.Linear(c, classes)

    def forward(self, x):
        x = self.pre_layers(x)
        for name in MODULES:
            if name in ("4a", "5a"):
                x = F.max_pool2d(x, 3, 2, 1)
            x = getattr(self, name[1] + name[0])(x)
        return self.linear(F.avg_pool2d(x, 8).flatten(1))


class BasicConv(nn.Module):
    def __init__(self, i, o, k, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, k, stride, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(o, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class InceptionImageNet(nn.Module):
    def __init__(self, c, m):
        super().__init__()
        self.branch1 = BasicConv(c, m[0], 1)
        self.branch2 = nn.Sequential(BasicConv(c, m[1], 1), BasicConv(m[1], m[2], 3))
        self.branch3 = nn.Sequential(BasicConv(c, m[3], 1), BasicConv(m[3], m[4], 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), BasicConv(c, m[5], 1))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNetImageNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = BasicConv(3, 64, 7, 2), BasicConv(64, 64, 1), BasicConv(64, 192, 3)
        c = 192
        for name, m in MODULES.items():
            setattr(self, "inception" + name, InceptionImageNet(c, m))
            c = m[0] + m[2] + m[4] + m[5]
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        for name in MODULES:
            if name == "4a":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if name == "5a":
                x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            x = getattr(self, "inception" + name)(x)
        return self.fc(x.mean((2, 3)))


def numbers(name, count):
    """`count` hashed numbers in [-1, 1), another sequence for every name."""
    key = 2166136261
    for byte in name.encode():
        key = (key ^ byte) * 16777619 % 2**32
    x = np.arange(count, dtype=np.uint32) + np.uint32(key)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x.astype(np.float64) / 2**31 - 1


def fill(name, tensor, is_bn):
    v = numbers(name, tensor.numel())
    if tensor.dim() > 1:  # keeps the size of activations (behind a ReLU: of convolutions)
        v *= math.sqrt((6 if tensor.dim() == 4 else 3) / (tensor.numel() // tensor.shape[0]))
    elif name.endswith("running_var"):
        v = 1 + 0.5 * v
    elif name.endswith("weight") and is_bn:
        v = 1 + 0.25 * v
    else:
        v *= 0.1
    tensor.copy_(torch.from_numpy(v.astype(np.float32)).reshape(tensor.shape))


def images_of(size, images):
    x = numbers("images", images * 3 * size * size).astype(np.float32)
    return torch.from_numpy(x.reshape(images, 3, size, size))


def text_of(logits):
    return " ".join(f"{v:.7g}" for v in logits.flatten().tolist()) + "\n"


def thin(depth):
    return ResNet([(depth - 2) // 6] * 3, [16, 32, 64], False, "", "linear", False, 10)


def line(name, net, size, images, classes):
    net.eval()
    norms = {n for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    biased = any(m.bias is not None for m in net.modules() if isinstance(m, nn.Conv2d))
    described = []
    for key, tensor in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        fill(key, tensor, key.rsplit(".", 1)[0] in norms)
        described.append(f"{key} {list(tensor.shape)}\n")
    crc = zlib.crc32("".join(sorted(described)).encode())
    return f"{name} {size} {images} {classes} {int(biased)} {crc:08x} " + text_of(net(images_of(size, images)))


def trained(path):
    from safetensors.torch import load_file
    net = thin(20)
    net.load_state_dict(load_file(path), strict=False)
    return "2 " + text_of(net.eval()(images_of(32, 2)))


def main():
    wide = [64, 128, 256, 512]
    cases = [
        ("vgg11", VggCifar(11, 7), 32, 2, 7),
        ("resnet20", thin(20), 32, 2, 10),
        ("resnet56", thin(56), 32, 2, 10),
        ("resnet18", ResNet([2, 2, 2, 2], wide, False, "shortcut", "linear", False, 10), 32, 2, 10),
        ("googlenet", GoogLeNetCifar(10), 32, 2, 10),
        ("resnet18_imagenet", ResNet([2, 2, 2, 2], wide, False, "downsample", "fc", True, 10), 96, 1, 10),
        ("resnet50_imagenet", ResNet([3, 4, 6, 3], wide, True, "downsample", "fc", True, 10), 96, 1, 10),
        ("vgg16_imagenet", VggImageNet(16, 10, 64), 64, 1, 10),
        ("googlenet_imagenet", GoogLeNetImageNet(10), 96, 1, 10),
    ]
    folder = os.path.dirname(os.path.abspath(__file__))
    with torch.no_grad():
        with open(os.path.join(folder, "models.txt"), "w") as file:
            file.write("".join(line(*case) for case in cases))
        if len(sys.argv) > 1:
            with open(os.path.join(folder, "resnet20_cifar10.txt"), "w") as file:
                file.write(trained(sys.argv[1]))


if __name__ == "__main__":
    main()
