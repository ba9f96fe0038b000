#!/usr/bin/env python3
"""BoTorch's MultiTaskGP (GPyTorch) on the data of bench/gp.py: one fit, predictions, an acquisition; one JSON line.

usage: torch_gp.py --data FILE [--threads T] [--rounds R]

The model is ours: squared exponential with a lengthscale per input times a task covariance of full rank, noise and mean
per task, BoTorch's default priors (the same as ours), double precision, outputs standardised per task beforehand.
"""
import argparse
import json
import time
import warnings

warnings.filterwarnings("ignore")
import botorch  # noqa: E402
import gpytorch  # noqa: E402
import torch  # noqa: E402
from botorch.acquisition.max_value_entropy_search import qMultiFidelityMaxValueEntropy  # noqa: E402
from botorch.acquisition.utils import project_to_target_fidelity  # noqa: E402
from botorch.models import MultiTaskGP  # noqa: E402
from botorch.optim.fit import fit_gpytorch_mll_scipy  # noqa: E402


def read(path):
    observed, candidates = [], []
    for line in open(path):
        words = line.split()
        if words[0] == "-":
            candidates.append([float(w) for w in words[1:]])
        else:
            observed.append([float(w) for w in words])
    table = torch.tensor(observed, dtype=torch.double)
    task, y, x = table[:, 0], table[:, 1], table[:, 2:]
    return torch.cat([x, task[:, None]], 1), y[:, None], torch.tensor(candidates, dtype=torch.double)


def standardised(x, y):
    y = y.clone()
    for task in x[:, -1].unique():
        rows = x[:, -1] == task
        y[rows] = (y[rows] - y[rows].mean()) / y[rows].std()
    return y


def model_of(x, y):
    tasks = int(x[:, -1].max()) + 1  # one output only, because the acquisition wants that; inputs name their task
    return MultiTaskGP(x, y, task_feature=-1, rank=tasks, outcome_transform=None, output_tasks=[tasks - 1])


def log_likelihood(model):
    model.train()
    with torch.no_grad():
        return model.likelihood(model(*model.train_inputs), *[model.train_inputs]).log_prob(model.train_targets).item()


def climb(x, y):
    """[seconds, log marginal likelihood] after every step of L-BFGS-B, the likelihoods found out afterwards."""
    begin = time.perf_counter()
    model = model_of(x, y)
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    steps = []

    def remember(parameters, result):
        steps.append((time.perf_counter() - begin, {k: v.detach().clone() for k, v in parameters.items()}))

    fit_gpytorch_mll_scipy(mll, callback=remember)
    seconds = time.perf_counter() - begin
    found = []
    for when, parameters in steps:
        mll.load_state_dict(parameters, strict=False)
        found.append([when, log_likelihood(model)])
    return model, seconds, found


def best_of(rounds, work):
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    x, y, candidates = read(args.data)
    y = standardised(x, y)
    tasks = int(x[:, -1].max()) + 1
    climb(x[::7], y[::7])  # to warm up; every task is there
    model, seconds, trace = climb(x, y)
    for _ in range(args.rounds - 1):
        _, again, other = climb(x, y)
        if again < seconds:
            seconds, trace = again, other
    result = {"botorch": botorch.__version__, "gpytorch": gpytorch.__version__, "torch": torch.__version__,
              "threads": args.threads, "log_marginal_likelihood": trace[-1][1], "steps": len(trace),
              "fit_seconds": seconds, "trace": trace}

    def with_task(task):
        return torch.cat([candidates, torch.full((len(candidates), 1), float(task), dtype=torch.double)], 1)

    # Variants of a prediction; the model keeps what it can from one call to the next, and only later calls are timed.
    def one_by_one():
        for task in range(tasks):
            posterior = model.posterior(with_task(task)[:, None])
            posterior.mean, posterior.variance

    def pieces():
        for task in range(tasks):
            for piece in with_task(task).split(256):
                posterior = model.posterior(piece)
                posterior.mean, posterior.variance

    model.eval()
    with torch.no_grad():
        result["predict"] = {}
        for name, work in (("one by one", one_by_one), ("pieces of 256", pieces)):
            work()
            result["predict"][name] = best_of(2 * args.rounds, work)
        # Maximum value entropy of the last task: setting up draws its maxima, then every candidate at every task.
        target = {x.shape[1] - 1: float(tasks - 1)}

        def acquire(size):
            criterion = qMultiFidelityMaxValueEntropy(
                model, with_task(tasks - 1), num_fantasies=0, num_mv_samples=10,
                project=lambda at: project_to_target_fidelity(at, target, x.shape[1]))
            for task in range(tasks):
                for piece in with_task(task).split(size):
                    criterion(piece[:, None])

        acquire(512)
        result["acquisition"] = {f"max-value entropy, pieces of {size}": best_of(args.rounds, lambda: acquire(size))
                                 for size in (512,)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
