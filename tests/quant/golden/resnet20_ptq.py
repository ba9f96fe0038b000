"""Golden numbers for tests/quant/golden_test.cpp: ResNet20 on the first 500 CIFAR-10 test images, weights and
activations quantized after training, in PyTorch FP32. Usage: python3 resnet20_ptq.py DATA_DIR > resnet20_ptq.txt
Each line: bits, mode, images classified correctly. "fp32" is the network as it came."""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

BLOCK, IMAGES = 32, 500


def blocks(t, dim):
    return t.split(BLOCK, dim)


def weights(w, bits, mode):
    """[O, C, kh, kw]; one multiplier per 32 input channels of one (o, ky, kx)."""
    out = []
    low, high = -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    for x in blocks(w, 1):
        top, at = x.abs().max(1, keepdim=True)
        if mode == "signed-extreme":
            q = torch.clamp(torch.round(x * (low / torch.gather(x, 1, at))), low, high)
        else:
            q = torch.clamp(torch.floor(x * -low / top), low, high)
        out.append(q * (x * q).sum(1, keepdim=True) / (q * q).sum(1, keepdim=True).clamp_min(1e-30))
    return torch.cat(out, 1)


def activations(x, bits):
    """[N, C, H, W] >= 0; unsigned mantissas, one exponent per 32 channels of one pixel."""
    out = []
    for a in blocks(x, 1):
        m = a.amax(1, keepdim=True)
        _, e = torch.frexp(m)  # m = f 2^e, 1/2 <= f < 1: floor(log2 m) = e - 1
        step = torch.ldexp(torch.ones_like(m), e - bits)
        out.append(torch.where(m > 0, torch.clamp(torch.round(a / step), 0, 2**bits - 1) * step, 0.0))
    return torch.cat(out, 1)


def logits(state, x, bits, mode):
    layer = 0

    def conv(name, x, stride=1):
        nonlocal layer
        w = state[name + ".weight"]
        if bits:
            w = weights(w, bits[layer], mode)
            x = activations(x, bits[layer]) if layer else x
        layer += 1
        return F.conv2d(x, w, None, stride, 1)

    def norm(name, x):
        s = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *s, False, 0, 1e-5)

    x = F.relu(norm("bn1", conv("conv1", x)))
    for stage in (1, 2, 3):
        for block in range(3):
            p = f"layer{stage}.{block}."
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(norm(p + "bn1", conv(p + "conv1", x, stride)))
            y = norm(p + "bn2", conv(p + "conv2", y))
            if stride == 2:
                side = y.shape[1] // 4
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, side, side))
            x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])


def main(folder):
    torch.set_num_threads(2)
    state = {k.removeprefix("module."): v.float() for k, v in load_file(folder + "/resnet20-cifar10.safetensors").items()}
    raw = np.fromfile(folder + "/cifar-10-batches-bin/test_batch.bin", np.uint8, 3073 * IMAGES).reshape(IMAGES, 3073)
    labels = torch.tensor(raw[:, 0].astype(np.int64))
    x = torch.tensor(raw[:, 1:].astype(np.float32) / 255).reshape(IMAGES, 3, 32, 32)
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    mixed = [int(c) for c in "6665555444443333322"]
    cases = [("fp32", None, "-"), ("4", [4] * 19, "signed-extreme"), ("2", [2] * 19, "signed-extreme"),
             ("6", [6] * 19, "paper-floor"), ("666 5555 44444 33333 22", mixed, "signed-extreme")]
    with torch.no_grad():
        for text, bits, mode in cases:
            correct = int((logits(state, x, bits, mode).argmax(1) == labels).sum())
            print(f"{text}|{mode}|{correct}")


if __name__ == "__main__":
    main(sys.argv[1])
