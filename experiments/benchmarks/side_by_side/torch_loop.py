"""PyTorch, eager: in one process with all its threads, or in a single-threaded process for each core."""

import multiprocessing
import os
import queue
import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from experiments.benchmarks.side_by_side.images import padded_images, validation_batches
from experiments.benchmarks.side_by_side.torch_network import TorchNetwork
from experiments.benchmarks.side_by_side.work import Trained, Work, work_from_json
from jaxevo.data import Dataset, load
from jaxevo.networks.batches import plan_training
from jaxevo.networks.training import evaluation_batch_size
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.architecture import architecture
from jaxevo.spaces.large_scale.genotype import Genotype


class Trainer:
    """A trainer of single individuals, with the data set as tensors."""

    def __init__(self, settings: Settings, dataset: Dataset) -> None:
        """Makes the tensors."""
        self._settings = settings
        self._dataset = dataset
        padded = padded_images(dataset, settings)
        self._margin = padded.margin
        self._pixels = torch.from_numpy(padded.pixels).permute(0, 3, 1, 2).contiguous()
        self._labels = torch.from_numpy(padded.labels.astype(np.int64))
        self._validation = [
            (torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels))
            for images, labels in validation_batches(dataset, evaluation_batch_size(settings, dataset))
        ]

    def train(self, number: int, genotype: Genotype) -> float | None:
        """Trains an individual; returns its validation accuracy, or None if a logit is not finite."""
        torch.manual_seed(number)
        compiled = architecture(genotype, self._dataset.image_shape)
        network = TorchNetwork(compiled, self._dataset.num_classes, self._settings.batch_norm_decay)
        optimiser = make_optimiser(network, genotype.learning_rate, self._settings)
        for images, labels in self.batches(number):
            train_step(network, optimiser, images, labels)
        return self.accuracy(network)

    def batches(self, number: int) -> Any:
        """Yields the batches of an individual's training: images [batch, channels, height, width] and labels."""
        height, width, _ = self._dataset.image_shape
        plan = plan_training(self._settings.seed, number, self._settings, self._dataset)
        order, flips = torch.from_numpy(plan.order.astype(np.int64)), torch.from_numpy(plan.flips)
        corners = torch.from_numpy(plan.offsets.astype(np.int64) + self._margin)
        rows = corners[:, :, :1] + torch.arange(height)
        columns = corners[:, :, 1:] + torch.arange(width)
        columns = torch.where(flips[:, :, None], columns.flip(2), columns)
        channels = torch.arange(self._pixels.shape[1])[:, None, None]
        for picked, row, column in zip(order, rows, columns, strict=True):
            images = self._pixels[picked[:, None, None, None], channels, row[:, None, :, None], column[:, None, None]]
            yield images, self._labels[picked]

    def accuracy(self, network: TorchNetwork) -> float | None:
        """Returns the accuracy over the whole validation split, or None if a logit is not finite."""
        network.eval()
        correct = 0
        with torch.inference_mode():
            for images, labels in self._validation:
                logits = network(images)
                if not torch.isfinite(logits).all():
                    return None
                correct += int((logits.argmax(dim=1) == labels).sum())
        return correct / len(self._dataset.validation.labels)


def make_optimiser(network: TorchNetwork, learning_rate: float, settings: Settings) -> torch.optim.Optimizer:
    """Returns SGD with momentum, and weight decay of the filters alone."""
    filters = network.filters()
    decayed = {id(parameter) for parameter in filters}
    others = [parameter for parameter in network.parameters() if id(parameter) not in decayed]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": filters, "weight_decay": settings.weight_decay}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]], lr=learning_rate, momentum=settings.momentum, fused=True
    )


def train_step(
    network: TorchNetwork, optimiser: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> None:
    """Takes one step of SGD on a batch."""
    optimiser.zero_grad(set_to_none=True)
    functional.cross_entropy(network(images), labels).backward()
    optimiser.step()


def train_with_threads(work: Work, began: float) -> Trained:
    """Trains one individual after the other with all threads; `began` is the start of the process."""
    trainer = Trainer(work.settings, load(work.dataset))
    started = time.perf_counter()
    accuracies = tuple(trainer.train(number, genotype) for number, genotype in enumerate(work.genotypes))
    return Trained(time.perf_counter() - started, started - began, accuracies)


def train_in_processes(work: Work, began: float) -> Trained:
    """Trains in one single-threaded process for each core; `began` is the start of this process."""
    context = multiprocessing.get_context("spawn")
    numbers, results = context.Queue(), context.Queue()
    processes = [
        context.Process(target=_serve, args=(work.to_json(), numbers, results), daemon=True)
        for _ in range(len(os.sched_getaffinity(0)))
    ]
    for process in processes:
        process.start()
    for _ in processes:
        _next(results, processes)  # Each process says when it is ready.
    started = time.perf_counter()
    for number in range(len(work.genotypes)):
        numbers.put(number)
    accuracies = dict(_next(results, processes) for _ in work.genotypes)
    seconds = time.perf_counter() - started
    for _ in processes:
        numbers.put(None)
    for process in processes:
        process.join()
    return Trained(seconds, started - began, tuple(accuracies[number] for number in range(len(work.genotypes))))


def _serve(work_fields: Any, numbers: Any, results: Any) -> None:
    torch.set_num_threads(1)
    work = work_from_json(work_fields)
    trainer = Trainer(work.settings, load(work.dataset))
    results.put(None)
    while (number := numbers.get()) is not None:
        results.put((number, trainer.train(number, work.genotypes[number])))


def _next(results: Any, processes: list[Any]) -> Any:
    """Returns the next result; raises `RuntimeError` if a process has ended instead."""
    while True:
        try:
            return results.get(timeout=1.0)
        except queue.Empty:
            if any(process.exitcode is not None for process in processes):
                raise RuntimeError("a process of the side `torch processes` ended early; its output says why") from None
