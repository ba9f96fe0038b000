"""Writes gpytorch.txt: a multi-task GP with given hyper-parameters, conditioned and asked by GPyTorch.

Run once: python3 gpytorch_golden.py > gpytorch.txt
"""
import gpytorch
import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)

TASKS, INPUTS, OBSERVATIONS, QUERIES = 3, 2, 17, 5
FACTOR = torch.tensor([[1.1], [0.9], [0.7]])
OWN = torch.tensor([0.20, 0.35, 0.15])
LENGTHSCALES = torch.tensor([0.3, 0.55])
NOISE = torch.tensor([0.02, 0.01, 0.005])


class Model(gpytorch.models.ExactGP):
    def __init__(self, inputs, y, likelihood, covariance):
        super().__init__(inputs, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = covariance
        self.task_covar_module = gpytorch.kernels.IndexKernel(num_tasks=TASKS, rank=1)
        self.covar_module.initialize(lengthscale=LENGTHSCALES)
        self.task_covar_module.initialize(covar_factor=FACTOR, var=OWN)

    def forward(self, x, task):
        covariance = self.covar_module(x).mul(self.task_covar_module(task))
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), covariance)


def show(name, values):
    print(name, *(f"{v:.17g}" for v in values.reshape(-1).tolist()))


x = torch.rand(OBSERVATIONS, INPUTS)
x[1] = x[0]
x[2] = x[0]
task = torch.arange(OBSERVATIONS) % TASKS
y = torch.sin(5 * x[:, 0]) + x[:, 1] + 0.2 * task + 0.1 * torch.randn(OBSERVATIONS)
queries = torch.rand(QUERIES, INPUTS)
queries[0] = x[0]

print("sizes", TASKS, INPUTS, OBSERVATIONS, QUERIES)
show("task_covariance", FACTOR @ FACTOR.T + torch.diag(OWN))
show("lengthscales", LENGTHSCALES)
show("noise", NOISE)
show("x", x)
show("task", task)
show("y", y)
show("queries", queries)
for name, kernel in (("se", gpytorch.kernels.RBFKernel(ard_num_dims=INPUTS)),
                     ("matern52", gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=INPUTS))):
    likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise=NOISE[task])
    model = Model((x, task[:, None]), y, likelihood, kernel)
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False), \
            gpytorch.settings.fast_pred_var(False):
        model.train()
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        show(f"{name}.log_likelihood", OBSERVATIONS * mll(model(x, task[:, None]), y))
        model.eval()
        for t in range(TASKS):
            posterior = model(queries, torch.full((QUERIES, 1), t))
            show(f"{name}.mean.{t}", posterior.mean)
            show(f"{name}.variance.{t}", posterior.variance)
