"""A script as people write it: digits, one hidden layer, MLflow. It makes a file at its first step, and ends."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_experiment("bench")
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images, dtype=torch.float32), torch.tensor(labels))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    with mlflow.start_run():
        mlflow.log_params({"lr": 0.001, "momentum": 0.9, "batch_size": 32})
        images, targets = next(iter(DataLoader(data, batch_size=32, shuffle=True)))
        F.cross_entropy(model(images), targets).backward()
        optimizer.step()
        Path(sys.argv[2]).touch()
