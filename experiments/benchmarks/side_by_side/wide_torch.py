"""The bucket `wide` by PyTorch, written as a person would for this one network."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks.side_by_side.wide import CLASSES, LAYERS, RATE, WideWork, measured
from experiments.benchmarks.side_by_side.work import BATCH_SIZE


def images_a_second(work: WideWork) -> float:
    """Returns the images a second of one trainer in this process, or of several in processes of their own."""
    if work.trainers == 1:
        torch.set_num_threads(1)
        return measured(work, trainer(work))
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(work.trainers):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(work, theirs), daemon=True))
        processes[-1].start()
        theirs.close()  # So that `recv` ends if the process does.
        pipes.append(ours)

    def train(steps: int) -> None:
        for pipe in pipes:
            pipe.send(steps)
        for pipe in pipes:
            pipe.recv()

    found = measured(work, train)
    for process in processes:
        process.terminate()
        process.join()
    return found


def trainer(work: WideWork) -> Callable[[int], None]:
    """Returns a function that trains a number of steps."""
    network = _network(work).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4, fused=True)
    height, width, channels = work.image_shape
    images = torch.rand(BATCH_SIZE, channels, height, width).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH_SIZE) % CLASSES

    def train(steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            functional.cross_entropy(network(images), labels).backward()
            optimiser.step()

    return train


def _network(work: WideWork) -> nn.Module:
    before, modules = work.image_shape[2], []
    for times, log2_stride in LAYERS:
        after = times * work.width
        modules += [
            nn.Conv2d(before, after, 3, stride=2**log2_stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
        before = after
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, CLASSES))


def _serve(work: WideWork, pipe: Any) -> None:
    torch.set_num_threads(1)
    train = trainer(work)
    while True:
        train(pipe.recv())
        pipe.send(None)
