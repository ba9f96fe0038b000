"""Numbers computed by PyTorch for tests/nn/ops_golden_test.cpp: python3 make_ops_golden.py > ops.txt

Lines "name: number number ...". Images are written channels last with the batch third, [H][W][N][C], as kronbit stores
them. Inputs follow formulas that both sides evaluate: see number() here and in the test.
"""

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def number(i, salt):
    """Exact in single precision: multiples of 1/64 in [-4, 4)."""
    return ((i * (37 + 2 * salt) + salt * 101 + (i * i) % 53) % 512 - 256) / 64.0


def image(n, c, h, w, salt):
    """Filled in [H][W][N][C] order, returned as PyTorch's NCHW."""
    flat = [number(i, salt) for i in range(h * w * n * c)]
    return torch.tensor(flat).reshape(h, w, n, c).permute(2, 3, 0, 1).contiguous()


def vector(n, salt):
    return torch.tensor([number(i, salt) for i in range(n)])


def write(name, tensor):
    if tensor.dim() == 4:
        tensor = tensor.permute(2, 3, 0, 1)
    print(name + ":", " ".join(f"{v:.9g}" for v in tensor.detach().reshape(-1).tolist()))


def batch_norm():
    x = image(2, 3, 2, 2, 1).requires_grad_()
    bn = torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        bn.weight.copy_(vector(3, 2))
        bn.bias.copy_(vector(3, 3))
        bn.running_mean.copy_(vector(3, 4))
        bn.running_var.copy_(vector(3, 5).abs() + 0.5)
    y = bn(x)
    write("bn_train_y", y)
    (y * image(2, 3, 2, 2, 6)).sum().backward()
    write("bn_train_dx", x.grad)
    write("bn_train_dweight", bn.weight.grad)
    write("bn_train_dbias", bn.bias.grad)
    write("bn_running_mean", bn.running_mean)
    write("bn_running_var", bn.running_var)
    bn.eval()
    write("bn_eval_y", bn(x))


def pools():
    x = image(2, 2, 5, 6, 7)
    x[0, 0] -= 10  # all negative: padding must not win
    write("max_3_2_1", F.max_pool2d(x, 3, 2, 1))
    write("max_3_2_0_ceil", F.max_pool2d(x, 3, 2, 0, ceil_mode=True))
    write("max_2_3_1_ceil", F.max_pool2d(x, 2, 3, 1, ceil_mode=True))
    write("avg_3_2_1", F.avg_pool2d(x, 3, 2, 1))
    write("avg_3_2_1_exclude", F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
    write("avg_3_2_1_ceil", F.avg_pool2d(x, 3, 2, 1, ceil_mode=True))
    write("avg_2_3_1_ceil", F.avg_pool2d(x, 2, 3, 1, ceil_mode=True))
    write("shortcut_a", F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)))
    print("flatten:", " ".join(f"{v:.9g}" for v in torch.flatten(x, 1).reshape(-1).tolist()))


def cross_entropy():
    labels = torch.tensor([0, 4, 2])
    for smoothing in (0.0, 0.1):
        logits = vector(15, 8).reshape(3, 5).requires_grad_()
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        loss.backward()
        write(f"ce_{smoothing}", loss)
        write(f"ce_{smoothing}_dlogits", logits.grad)


def trajectory(name, make):
    """Five steps of p for the gradients number(i, 20 + step), from p = number(i, 19)."""
    p = torch.nn.Parameter(vector(4, 19))
    optimizer = make([p])
    for step in range(5):
        p.grad = vector(4, 20 + step)
        optimizer.step()
        write(f"{name}_{step}", p)


def optimisers():
    trajectory("sgd", lambda p: torch.optim.SGD(p, lr=0.1))
    trajectory("sgd_momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))
    trajectory("sgd_nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True))
    trajectory("adam", lambda p: torch.optim.Adam(p, lr=0.01))
    trajectory("adam_decay", lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1))
    p = torch.nn.Parameter(vector(4, 19))
    p.grad = vector(4, 20)
    norm = torch.nn.utils.clip_grad_norm_([p], 1.5)
    write("clip_norm", norm)
    write("clip_grad", p.grad)


def schedules():
    def rates(name, steps, make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        schedule = make(optimizer)
        values = []
        for _ in range(steps):
            values.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(values) < steps:
                schedule.step()
        print(name + ":", " ".join(f"{v:.12g}" for v in values))

    lr = torch.optim.lr_scheduler
    rates("onecycle_20", 20, lambda o: lr.OneCycleLR(o, max_lr=0.1, total_steps=20))
    rates("onecycle_7", 7, lambda o: lr.OneCycleLR(o, max_lr=0.1, total_steps=7))
    rates("onecycle_3", 3, lambda o: lr.OneCycleLR(o, max_lr=0.1, total_steps=3))
    rates("onecycle_2", 2, lambda o: lr.OneCycleLR(o, max_lr=0.1, total_steps=2))
    rates("cosine_5", 5, lambda o: lr.CosineAnnealingLR(o, T_max=5))
    rates("step_6", 6, lambda o: lr.MultiStepLR(o, milestones=[2, 4], gamma=0.1))


batch_norm()
pools()
cross_entropy()
optimisers()
schedules()
