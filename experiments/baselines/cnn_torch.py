"""The CNN by hand in eager PyTorch, channels last, on one thread."""

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.baselines.recipe import NORM_DECAY, POOLED, WIDTHS, Recipe, normalised
from jaxevo.data import Dataset, Split

_EVALUATION_BATCH = 500


class TorchLearner:
    """The CNN in training."""

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int) -> None:
        """Makes fresh tensors."""
        torch.set_num_threads(1)
        self._dataset, self._recipe, self._seed = dataset, recipe, seed
        self.reset()

    def reset(self) -> None:
        """Makes fresh tensors, those of the seed."""
        recipe = self._recipe
        torch.manual_seed(self._seed)
        self._network = _network(self._dataset).to(memory_format=torch.channels_last)
        parameters = list(self._network.parameters())
        groups = [
            {"params": [one for one in parameters if one.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [one for one in parameters if one.ndim == 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.SGD(
            groups, lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=True, fused=True
        )

    def step(self, images: np.ndarray, labels: np.ndarray, rate: float) -> None:
        """Takes one step on a batch."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._network.train()
        self._optimiser.zero_grad(set_to_none=True)
        wanted = torch.from_numpy(labels.astype(np.int64))
        logits = self._network(self._tensor(images))
        functional.cross_entropy(logits, wanted, label_smoothing=self._recipe.label_smoothing).backward()
        self._optimiser.step()

    def accuracy(self, split: Split) -> float:
        """Returns the accuracy on a split, in [0, 1]."""
        self._network.eval()
        right = 0
        with torch.inference_mode():
            for start in range(0, len(split.labels), _EVALUATION_BATCH):
                images, labels = (array[start : start + _EVALUATION_BATCH] for array in split)
                right += int((self._network(self._tensor(images)).argmax(dim=1).numpy() == labels).sum())
        return right / len(split.labels)

    def _tensor(self, images: np.ndarray) -> torch.Tensor:
        """Returns images as [batch, channels, height, width], whose memory has the channels last."""
        return torch.from_numpy(normalised(images, self._dataset)).permute(0, 3, 1, 2)


def _network(dataset: Dataset) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = (dataset.image_shape[2], *WIDTHS)
    for number, (before, width) in enumerate(itertools.pairwise(widths)):
        convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight)
        layers += [convolution, nn.BatchNorm2d(width, momentum=1 - NORM_DECAY), nn.ReLU(inplace=True)]
        if number in POOLED:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], dataset.num_classes))
