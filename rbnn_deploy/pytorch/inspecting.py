"""Inspects a checkpoint: a torch network before it is folded."""

import copy
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from rbnn_deploy.bits import packed_size
from rbnn_deploy.inspecting.summary import FLOAT_BYTES, LayerSummary, NetworkSummary, describe_input
from rbnn_deploy.pytorch import module_inputs
from rbnn_deploy.pytorch.checkpoints.checkpoint import LoadedNetwork
from rbnn_deploy.pytorch.folding import fold_binary_layers
from rbnn_deploy.pytorch.layers import BinaryLayer
from rbnn_deploy.pytorch.module_inputs import bind


def _binary_layer(name: str, layer: BinaryLayer, output: Tensor) -> LayerSummary:
    outputs, inputs, *kernel = layer.effective_weight().shape
    taps = outputs * math.prod(kernel)
    floats = 2 * outputs  # scale and bias
    if layer.thresholds is not None:
        floats += layer.thresholds.numel()
    if (terms := layer.window_terms) is not None:
        floats += terms.window_sum.size + terms.border.size
    return LayerSummary(
        name,
        "binary",
        f"{type(layer).__name__} {'x'.join(map(str, kernel))}",
        tuple(output.shape[1:]),
        taps * inputs,
        taps * packed_size(inputs) + FLOAT_BYTES * floats,
        taps * inputs * math.prod(output.shape[2:]),
    )


def _float_layer(name: str, module: nn.Conv2d | nn.Linear, output: Tensor) -> LayerSummary:
    weights = module.weight.numel()
    shape = tuple(output.shape[1:])
    pixels = math.prod(shape[1:]) if isinstance(module, nn.Conv2d) else math.prod(shape[:-1])
    bias = 0 if module.bias is None else module.bias.numel() * FLOAT_BYTES
    operator = type(module).__name__
    if isinstance(module, nn.Conv2d):
        operator += " " + "x".join(map(str, module.kernel_size))
    return LayerSummary(
        name, "float", operator, shape, weights, weights * FLOAT_BYTES + bias, weights * pixels
    )


def inspect_network(network: LoadedNetwork, path: Path) -> NetworkSummary:
    """Summarises a checkpoint; its binary layers are counted at the size that they are deployed with.

    Args:
        network: The loaded checkpoint.
        path: Its file.
    """
    layers: list[LayerSummary] = []
    handles = []
    for name, module in network.module.named_modules():
        if isinstance(module, BinaryLayer | nn.Conv2d | nn.Linear):

            def hook(module: nn.Module, _: object, output: Tensor, name: str = name) -> None:
                if isinstance(module, BinaryLayer):
                    layers.append(_binary_layer(name, module, output))
                elif isinstance(module, nn.Conv2d | nn.Linear):
                    layers.append(_float_layer(name, module, output))

            handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        arguments, keywords = bind(network.module, module_inputs.zeros(network.inputs, 1))
        network.module(*arguments, **keywords)
    for handle in handles:
        handle.remove()
    # Folding replaces layers in place.
    _, folded = fold_binary_layers(copy.deepcopy(network.module))
    zeros = sum(entry.zeros for entry in folded)
    facts = {
        **describe_input(network.inputs),
        **({} if network.num_classes is None else {"classes": str(network.num_classes)}),
        "checkpoint SHA-256": network.sha256,
        "weights that are exactly zero": str(zeros),
    }
    parameters = sum(p.numel() for p in network.module.parameters()) * FLOAT_BYTES
    deployed = sum(layer.size for layer in layers)
    return NetworkSummary(
        f"{path}: {network.architecture}", facts, tuple(layers), parameters, deployed, path.stat().st_size
    )
