#!/usr/bin/env python3
"""Reads a packed network without kronbit: python3 read_packed.py model.safetensors [LAYER ...]

Prints name, bits, shape [O, C, kh, kw] and the integers' range of every convolution; of every LAYER the weights too, a
line per output channel, [C, kh, kw] each. docs/deployment.md draws the format. Needs numpy.
"""
import json
import sys

import numpy as np

DTYPES = {"U8": "u1", "F16": "<f2", "BF16": "<u2", "F32": "<f4"}


def read(path):
    """A safetensors file: 8 bytes with the header's length, the header, the tensors' bytes."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        body = file.read()
    metadata, tensors = header.pop("__metadata__"), {}
    for name, t in header.items():
        tensor = np.frombuffer(body[slice(*t["data_offsets"])], DTYPES[t["dtype"]]).reshape(t["shape"])
        if t["dtype"] == "BF16":  # the upper half of a float
            tensor = (tensor.astype("<u4") << 16).view("<f4")
        tensors[name] = tensor
    return metadata, tensors


def bits_of(text):
    """A digit per layer, or bits x layers: "6 55 3x4" is [6, 5, 5, 3, 3, 3, 3]."""
    pairs = [word.partition("x") for word in text.split()]
    return [int(b) for digits, x, times in pairs for b in ([digits] * int(times) if x else digits)]


def integers_of(planes, bits, block, binary):
    """planes [..., bytes], block after block, plane after plane -> integers [..., lanes], eight lanes per byte."""
    integers, step = [], bits * ((block + 7) // 8)
    for first in range(0, planes.shape[-1], step):
        plane = np.split(planes[..., first : first + step], bits, axis=-1)
        bit = [np.unpackbits(p, axis=-1, bitorder="little").astype(int) for p in plane]
        if binary:
            integers.append(1 - 2 * bit[0])  # set: -1, clear: +1
        else:  # two's complement
            integers.append(sum(b << p for p, b in enumerate(bit[:-1])) - (bit[-1] << (bits - 1)))
    return np.concatenate(integers, axis=-1)


def layers_of(path):
    """Of every convolution: name, bits, integers and weights, both [O, C, kh, kw]."""
    metadata, tensors = read(path)
    block = int(metadata["block"])
    if block % 8 != 0:
        sys.exit(f"{path}: wanted blocks of a multiple of 8 channels, got {block}")
    for n, (name, bits) in enumerate(zip(json.loads(metadata["layers"]), bits_of(metadata["bits"]))):
        binary = bits == 1 and metadata["mode"] != "paper-floor"
        integers = integers_of(tensors[name + ".weight_packed"], bits, block, binary)
        if n == 0:
            integers = integers[..., :3]  # of the image; later layers have a multiple of 8 channels
        multipliers = np.repeat(tensors[name + ".weight_scale"].astype("f4"), block, axis=-1)
        weights = integers.astype("f4") * multipliers[..., : integers.shape[-1]]
        yield name, bits, integers.transpose(0, 3, 1, 2), weights.transpose(0, 3, 1, 2)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name, bits, integers, weights in layers_of(sys.argv[1]):
        print(f"{name} bits {bits} shape {list(weights.shape)} integers {integers.min()}..{integers.max()}")
        if name in sys.argv[2:]:
            np.savetxt(sys.stdout, weights.reshape(len(weights), -1), "%.9g")
