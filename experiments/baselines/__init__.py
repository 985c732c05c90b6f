"""The classifiers that an evolved network has to beat, on one core: `python -m experiments.baselines DATASET`.

    python -m experiments.baselines fashion_mini --cpu-seconds 30 --seeds 0 1 2

prints a table of the majority class, multinomial logistic regression, k-nearest neighbours (k = 5), and a plain CNN by
hand, which is trained for a given number of CPU seconds: in Flax, and in PyTorch where it is installed (the extra
`peers`). The CNN has 3x3 convolutions of 16, 32, 32, 64 and 64 channels, each with batch normalisation and ReLU, max
pools after the first and the third, global average pooling, and a dense layer; it is trained by SGD with Nesterov
momentum on a one-cycle schedule. Colour images are cropped and flipped as the data set has it.

The process pins itself to one core. A few steps are timed first, and the schedule is laid over exactly as many steps as
fit into the CPU seconds. These include drawing the batches; compiling and evaluation are outside, compiling in a column
of its own. The training images alone are learnt from, validation is printed for choices, and test only reported. With
`--as-finish` the CNN has what the finish of the presets has: label smoothing, crops of a pixel and flips of grey images
too, and the validation images to learn from, whose accuracy then says nothing.
"""
