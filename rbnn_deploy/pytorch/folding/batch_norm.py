"""Pass 2: a BatchNorm behind a binary convolution becomes part of its scale and bias (rbnn_deploy.affine).

Preconditions, each with its reason when it does not hold:

1. The network can be traced by torch.fx, so that it is known who uses whose output.
2. The BatchNorm is in evaluation mode and tracks running statistics: its map is a constant.
3. Its input is the output of one binary convolution, which nobody else uses.
4. Both modules are called once.
5. It is a BatchNorm2d and no subclass, without hooks: it computes what its class does.

The graph is only read; the module keeps its structure, and the BatchNorm is replaced by an identity.
Where a precondition fails the BatchNorm simply stays, and the exporter may still fuse it.
"""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d
from rbnn_deploy.pytorch.folding.user_code import code_around


@dataclass(frozen=True)
class BatchNormFold:
    """The outcome of folding one BatchNorm2d.

    Attributes:
        name: Qualified name of the BatchNorm.
        into: Qualified name of the convolution that took it up; None where it stays.
        reason: Why it stays; empty where it was folded.
    """

    name: str
    into: str | None
    reason: str = ""


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, BinaryConv2d) or super().is_leaf_module(module, qualified_name)


def batch_norm_affine(norm: nn.BatchNorm2d) -> ChannelAffine:
    """Returns the constant map of a BatchNorm in evaluation mode.

    Raises:
        ValueError: It has no running statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("it has no running statistics")

    def array(tensor: torch.Tensor | None) -> torch.Tensor | None:
        return None if tensor is None else tensor.detach().cpu()

    return ChannelAffine.from_batch_norm(
        array(norm.weight), array(norm.bias), norm.running_mean.cpu(), norm.running_var.cpu(), norm.eps
    )


def fold_batch_norms(module: nn.Module) -> list[BatchNormFold]:
    """Folds every BatchNorm2d inside `module` that meets the preconditions, in place."""
    modules = dict(module.named_modules())
    norms = [name for name, child in modules.items() if isinstance(child, nn.BatchNorm2d)]
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # torch.fx raises whatever the module's own code raises on a proxy
        reason = f"torch.fx cannot trace the network ({type(error).__name__})"
        return [BatchNormFold(name, None, reason) for name in norms]
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    result = []
    for node in graph.nodes:
        if node.op != "call_module" or node.target not in norms:
            continue
        name = str(node.target)
        producer = node.args[0] if node.args else None
        reason = _refusal(modules, calls, name, producer)
        if reason or not isinstance(producer, torch.fx.Node):
            result.append(BatchNormFold(name, None, reason))
            continue
        conv, norm = modules[str(producer.target)], modules[name]
        assert isinstance(conv, BinaryConv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        conv.append(batch_norm_affine(norm))
        module.set_submodule(name, nn.Identity())
        result.append(BatchNormFold(name, str(producer.target)))
    return result


def _refusal(modules: dict[str, nn.Module], calls: Counter[str], name: str, producer: object) -> str:
    norm = modules[name]
    if code := code_around(norm):
        return code
    if norm.training or type(norm) is not nn.BatchNorm2d or norm.running_mean is None:
        return "it is not a plain BatchNorm2d in evaluation mode with running statistics"
    if not isinstance(producer, torch.fx.Node) or producer.op != "call_module":
        return "its input is not the output of a module"
    if not isinstance(modules[str(producer.target)], BinaryConv2d):
        return "its input is not the output of a binary convolution"
    if len(producer.users) != 1:
        return f"the output of {producer.target} is used elsewhere too"
    once = calls[name] == calls[str(producer.target)] == 1
    return "" if once else "it or its convolution is called more than once"
