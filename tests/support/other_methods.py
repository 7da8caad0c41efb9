"""Other people's binary networks, transcribed from papers and code into float64 functions of a state dict.

Nothing of rbnn_deploy is used. The sign of 0 is +1, as in every deployed model.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

State = Mapping[str, Tensor]
Conv = Callable[[State, str, Tensor, int, int], Tensor]
Activation = Callable[[State, str, Tensor], Tensor]


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def mean_of(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1).view(-1, 1, 1, 1)


# The layers: state dict, name, input, stride, padding -> output.


def irnet(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    w = state[f"{name}.weight"]
    w = w - mean_of(w)
    w = w / w.flatten(1).std(1).view(-1, 1, 1, 1)
    scale = 2 ** torch.round(torch.log(mean_of(w.abs())) / torch.log(torch.tensor(2.0, dtype=w.dtype)))
    return F.conv2d(sign(x), sign(w) * scale, None, stride, padding)


def recu(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    w = state[f"{name}.weight"]
    w = (w - mean_of(w)) / torch.sqrt((w - mean_of(w)).flatten(1).var(1).view(-1, 1, 1, 1) + 1e-5)
    magnitude = w.abs().mean()
    quantile = -magnitude * torch.log(2 - 2 * state[f"{name}.tau"])
    w = torch.clamp(w, -quantile, quantile)
    return F.conv2d(sign(x), sign(w), None, stride, padding) * state[f"{name}.alpha"]


def siman(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    bits = 2 * state[f"{name}.B"].view_as(state[f"{name}.weight"]) - 1
    return F.conv2d(sign(x - mean_of(x)), bits, None, stride, padding) * state[f"{name}.alpha"]


def rbonn(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    scale = 0.02 * state[f"{name}.scale_factor"].abs().view(-1, 1, 1)
    return F.conv2d(sign(x), sign(state[f"{name}.weight"]), None, stride, padding) * scale


def reste(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    w = state[f"{name}.weight"]
    return F.conv2d(sign(x), sign(w) * w.abs().mean(), None, stride, padding)


def unscaled(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(sign(x), sign(state[f"{name}.weight"]), None, stride, padding)


def magnitudes(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    """Bi-Real Net's flat weights, or ReActNet's."""
    if f"{name}.weight" in state:
        w = state[f"{name}.weight"]
    else:
        taps = 3 if padding else 1
        w = state[f"{name}.weights"].view(-1, x.shape[1], taps, taps)
    return F.conv2d(sign(x), sign(w) * mean_of(w.abs()), None, stride, padding)


def adabin(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    alpha, beta = state[f"{name}.binary_a.alpha_a"], state[f"{name}.binary_a.beta_a"]
    w = state[f"{name}.weight"]
    deviation = torch.sqrt(((w - mean_of(w)) ** 2).flatten(1).mean(1)).view(-1, 1, 1, 1)
    weights = sign((w - mean_of(w)) / deviation) * deviation + mean_of(w)
    return F.conv2d(alpha * (sign((x - beta) / alpha) + beta), weights, None, stride, padding)


def real(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], None, stride, padding)


# The parts around them.


def norm(state: State, name: str, x: Tensor) -> Tensor:
    values = (state.get(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias"))
    mean, var, gain, shift = (None if v is None else v.view(-1, *[1] * (x.ndim - 2)) for v in values)
    y = (x - mean) / torch.sqrt(var + 1e-5)
    return y if gain is None else y * gain + shift


def hardtanh(state: State, name: str, x: Tensor) -> Tensor:
    return x.clamp(-1, 1)


def relu(state: State, name: str, x: Tensor) -> Tensor:
    return x.clamp(min=0)


def nothing(state: State, name: str, x: Tensor) -> Tensor:
    return x


def prelu(state: State, name: str, x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, state[f"{name}.weight"].view(-1, 1, 1) * x)


def maxout(state: State, name: str, x: Tensor) -> Tensor:
    slopes = (state[f"{name}.{side}_scale"].view(-1, 1, 1) for side in ("pos", "neg"))
    above, below = slopes
    return above * relu(state, name, x) - below * relu(state, name, -x)


def subsampled(x: Tensor) -> Tensor:
    return x[:, :, ::2, ::2]


def pooled(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


# The networks.


def resnet20(
    state: State,
    x: Tensor,
    conv: Conv,
    activation: Activation = hardtanh,
    stem: Activation = hardtanh,
    reduced: Callable[[Tensor], Tensor] = subsampled,
) -> Tensor:
    y = stem(state, "nonlinear1", norm(state, "bn1", real(state, "conv1", x, 1, 1)))
    for stage in (1, 2, 3):
        for index in range(3):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            z = norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", y, stride, 1))
            if stride == 2:
                zeros = torch.zeros_like(reduced(y)[:, : y.shape[1] // 2])
                y = torch.cat([zeros, reduced(y), zeros], 1)
            y = activation(state, f"{name}.nonlinear1", z + y)
            z = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", y, 1, 1))
            y = activation(state, f"{name}.nonlinear2", z + y)
    y = norm(state, "bn2", y.mean((2, 3)))
    return y @ state["linear.weight"].T + state["linear.bias"]


def adabin_resnet18(state: State, x: Tensor) -> Tensor:
    y = maxout(state, "nonlinear1", norm(state, "bn1", real(state, "conv1", x, 1, 1)))
    for stage in (1, 2, 3, 4):
        for index in range(2):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            z = norm(state, f"{name}.bn1", adabin(state, f"{name}.conv1", y, stride, 1))
            if stride == 2:
                y = norm(state, f"{name}.shortcut.1", real(state, f"{name}.shortcut.0", y, 2, 0))
            y = maxout(state, f"{name}.nonlinear1", z + y)
            z = norm(state, f"{name}.bn2", adabin(state, f"{name}.conv2", y, 1, 1))
            y = maxout(state, f"{name}.nonlinear2", z + y)
    y = norm(state, "bn2", y.mean((2, 3)))
    return y @ state["linear.weight"].T + state["linear.bias"]


def binarynet_vgg(state: State, x: Tensor) -> Tensor:
    def unscaled(y: Tensor, name: str, shape: tuple[int, ...], padding: int) -> Tensor:
        weights = sign(state[f"{name}.weight"]).view(shape)
        return F.conv2d(y, weights, state[f"{name}.bias"], 1, padding)

    place, y = 0, x
    for index in range(6):
        inputs = state[f"features.{place}.weight"].shape
        y = unscaled(sign(y) if index else y, f"features.{place}", inputs, 1)
        if index % 2:
            y, place = F.max_pool2d(y, 2), place + 1
        y = norm(state, f"features.{place + 1}", y).clamp(-1, 1)
        place += 3
    y = y.flatten(1)
    for place in (0, 3, 6):
        weight, bias = (state[f"classifier.{place}.{part}"] for part in ("weight", "bias"))
        y = norm(state, f"classifier.{place + 1}", sign(y) @ sign(weight).T + bias)
        y = y.clamp(-1, 1) if place < 6 else y
    return y


def xnor_nin(state: State, x: Tensor) -> Tensor:
    def block(index: int, y: Tensor, padding: int) -> Tensor:
        name = f"xnor.{index}"
        w = state[f"{name}.conv.weight"]
        w = (w - w.mean(1, keepdim=True)).clamp(-1, 1)
        statistics = (
            state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        mean, var, gain, shift = (v.view(-1, 1, 1) for v in statistics)
        y = sign((y - mean) / torch.sqrt(var + 1e-4) * gain.clamp(min=0.01) + shift)
        return F.conv2d(y, sign(w) * mean_of(w.abs()), state[f"{name}.conv.bias"], 1, padding).clamp(min=0)

    def plain_norm(index: int, y: Tensor) -> Tensor:
        mean, var = (state[f"xnor.{index}.running_{part}"].view(-1, 1, 1) for part in ("mean", "var"))
        return (y - mean) / torch.sqrt(var + 1e-4)

    y = plain_norm(1, F.conv2d(x, state["xnor.0.weight"], state["xnor.0.bias"], 1, 2)).clamp(min=0)
    y = F.max_pool2d(block(4, block(3, y, 0), 0), 3, 2, 1)
    y = F.avg_pool2d(block(8, block(7, block(6, y, 2), 0), 0), 3, 2, 1)
    y = plain_norm(12, block(11, block(10, y, 1), 0))
    return F.conv2d(y, state["xnor.13.weight"], state["xnor.13.bias"]).clamp(min=0).mean((2, 3))


def resnet18(state: State, x: Tensor, conv: Conv, shortcut: Conv) -> Tensor:
    y = norm(state, "bn1", real(state, "conv1", x, 1, 1))
    for stage in (1, 2, 3, 4):
        for index in range(2):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            z = norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", y, stride, 1)).clamp(-1, 1)
            z = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", z, 1, 1))
            if stride == 2:
                y = norm(state, f"{name}.shortcut.1", shortcut(state, f"{name}.shortcut.0", y, 2, 0))
            y = (z + y).clamp(-1, 1)
    y = norm(state, "bn2", y.mean((2, 3)))
    return y @ state["linear.weight"].T + state["linear.bias"]


def vgg_small(state: State, x: Tensor, conv: Conv, activation: Activation = hardtanh) -> Tensor:
    y = activation(state, "nonlinear0", norm(state, "bn0", real(state, "conv0", x, 1, 1)))
    for index in range(1, 6):
        y = conv(state, f"conv{index}", y, 1, 1)
        y = F.max_pool2d(y, 2) if index in (1, 3, 5) else y
        y = activation(state, f"nonlinear{index}", norm(state, f"bn{index}", y))
    return y.flatten(1) @ state["fc.weight"].T + state["fc.bias"]


def imagenet_resnet18(
    state: State, x: Tensor, conv: Conv, activation: Activation = hardtanh, stem: Activation = hardtanh
) -> Tensor:
    y = stem(state, "nonlinear1", norm(state, "bn1", real(state, "conv1", x, 2, 3)))
    y = F.max_pool2d(y, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for index in range(2):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            z = norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", y, stride, 1))
            if stride == 2 and f"{name}.downsample.2.weight" in state:
                y = real(state, f"{name}.downsample.1", pooled(y), 1, 0)
                y = norm(state, f"{name}.downsample.2", y)
            elif stride == 2:
                y = norm(state, f"{name}.downsample.1", real(state, f"{name}.downsample.0", y, 2, 0))
            y = activation(state, f"{name}.nonlinear1", z + y)
            z = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", y, 1, 1))
            y = activation(state, f"{name}.nonlinear2", z + y)
    y = norm(state, "bn2", y.mean((2, 3)))
    return y @ state["fc.weight"].T + state["fc.bias"]


def reste_stem(state: State, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
    return norm(state, f"bn{name}", relu(state, "", real(state, f"conv{name}", x, stride, padding)))


def reste_resnet20(state: State, x: Tensor, shortcuts: int) -> Tensor:
    """ResNet-20 with one shortcut per block, or two."""
    y = reste_stem(state, "1", x, 1, 1)
    for stage in (1, 2, 3):
        for index in range(3):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            z = norm(state, f"{name}.bn1", relu(state, "", reste(state, f"{name}.conv1", y, stride, 1)))
            if stride == 2:
                zeros = torch.zeros_like(subsampled(y)[:, : y.shape[1] // 2])
                y = torch.cat([zeros, subsampled(y), zeros], 1)
            if shortcuts == 2:
                z = y = z + y
            y = norm(state, f"{name}.bn2", relu(state, "", reste(state, f"{name}.conv2", z, 1, 1))) + y
    return norm(state, "bn2", y.mean((2, 3))) @ state["linear.weight"].T + state["linear.bias"]


def reste_resnet18(state: State, x: Tensor) -> Tensor:
    """For images of 32 x 32, with one shortcut per block; for larger ones, with two."""
    large = "fc.weight" in state
    y = reste_stem(state, "1", x, 2 if large else 1, 3 if large else 1)
    y = F.max_pool2d(y, 3, 2, 1) if large else y
    for stage in (1, 2, 3, 4):
        for index in range(2):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            z = norm(state, f"{name}.bn1", relu(state, "", reste(state, f"{name}.conv1", y, stride, 1)))
            if stride == 2:
                shortcut = f"{name}.{'downsample' if large else 'shortcut'}"
                y = norm(state, f"{shortcut}.1", real(state, f"{shortcut}.0", y, 2, 0))
            if large:
                z = y = z + y
            y = norm(state, f"{name}.bn2", relu(state, "", reste(state, f"{name}.conv2", z, 1, 1))) + y
    head = "fc" if large else "linear"
    return norm(state, "bn2", y.mean((2, 3))) @ state[f"{head}.weight"].T + state[f"{head}.bias"]


def reste_vgg_small(state: State, x: Tensor) -> Tensor:
    y = reste_stem(state, "0", x, 1, 1)
    for index in range(1, 6):
        y = norm(state, f"bn{index}", relu(state, "", reste(state, f"conv{index}", y, 1, 1)))
        y = F.max_pool2d(y, 2) if index in (1, 3, 5) else y
    return y.flatten(1) @ state["fc.weight"].T + state["fc.bias"]


def xnor_alexnet(state: State, x: Tensor) -> Tensor:
    def binarised(name: str, y: Tensor) -> Tensor:
        statistics = (
            state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        mean, var, gain, shift = (v.view(1, -1, *[1] * (y.ndim - 2)) for v in statistics)
        return sign((y - mean) / torch.sqrt(var + 1e-4) * gain + shift)

    def block(index: int, y: Tensor, padding: int) -> Tensor:
        name = f"features.{index}"
        w = state[f"{name}.conv.weight"]
        w = (w - w.mean(1, keepdim=True)).clamp(-1, 1)
        weights = sign(w) * mean_of(w.abs())
        return F.conv2d(binarised(name, y), weights, state[f"{name}.conv.bias"], 1, padding).clamp(min=0)

    def rows(index: int, y: Tensor) -> Tensor:
        name = f"classifier.{index}"
        w = state[f"{name}.linear.weight"]
        w = (w - w.mean(1, keepdim=True)).clamp(-1, 1)
        weights = sign(w) * w.abs().mean(1, keepdim=True)
        return (binarised(name, y) @ weights.T + state[f"{name}.linear.bias"]).clamp(min=0)

    def plain_norm(name: str, y: Tensor, epsilon: float) -> Tensor:
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        mean, var, gain, shift = (v.view(1, -1, *[1] * (y.ndim - 2)) for v in parts)
        return (y - mean) / torch.sqrt(var + epsilon) * gain + shift

    y = F.conv2d(x, state["features.0.weight"], state["features.0.bias"], 4)
    y = F.max_pool2d(plain_norm("features.1", y, 1e-4).clamp(min=0), 3, 2)
    y = F.max_pool2d(block(4, y, 2), 3, 2)
    y = F.max_pool2d(block(8, block(7, block(6, y, 1), 1), 1), 3, 2)
    y = plain_norm("classifier.2", rows(1, rows(0, y.flatten(1))), 1e-3)
    return y @ state["classifier.4.weight"].T + state["classifier.4.bias"]


def reactnet_a(state: State, x: Tensor) -> Tensor:
    y = norm(state, "feature.0.bn1", real(state, "feature.0.conv1", x, 2, 1))
    for index in range(1, 14):
        name = f"feature.{index}"
        stride = 2 if index in (2, 4, 6, 12) else 1
        z = magnitudes(state, f"{name}.binary_3x3", y + state[f"{name}.move11.bias"], stride, 1)
        y = norm(state, f"{name}.bn1", z) + (pooled(y) if stride == 2 else y)
        y = prelu(state, f"{name}.prelu1", y + state[f"{name}.move12.bias"]) + state[f"{name}.move13.bias"]
        z = y + state[f"{name}.move21.bias"]
        if f"{name}.bn2.weight" in state:
            y = y + norm(state, f"{name}.bn2", magnitudes(state, f"{name}.binary_pw", z, 1, 0))
        else:
            halves = [
                y + norm(state, f"{name}.bn2_{i}", magnitudes(state, f"{name}.binary_pw_down{i}", z, 1, 0))
                for i in (1, 2)
            ]
            y = torch.cat(halves, 1)
        y = prelu(state, f"{name}.prelu2", y + state[f"{name}.move22.bias"]) + state[f"{name}.move23.bias"]
    return y.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


def bnext(state: State, x: Tensor) -> Tensor:
    def layer(name: str, y: Tensor, stride: int, padding: int) -> Tensor:
        z = unscaled(state, f"{name}.binary_conv", y + state[f"{name}.move.bias"], stride, padding)
        z = prelu(state, f"{name}.activation2", norm(state, f"{name}.norm1", z))
        scale = state[f"{name}.scale"]
        scale = scale if padding else scale.clamp(0, 1)
        mixed = scale * (pooled(y) if stride == 2 else y) + (1 - scale) * z
        weights = (state[f"{name}.se.se.{i}.{part}"] for i in (1, 3) for part in ("weight", "bias"))
        first, first_bias, second, second_bias = (w.flatten(1) if w.ndim > 1 else w for w in weights)
        hidden = (mixed.mean((2, 3)) @ first.T + first_bias).clamp(min=0)
        factors = 1 / (1 + torch.exp(-(hidden @ second.T + second_bias)))
        return factors[:, :, None, None] * z

    def added(name: str, y: Tensor, stride: int, padding: int) -> Tensor:
        return norm(state, f"{name}.norm2", layer(name, y, stride, padding)) + (
            pooled(y) if stride == 2 else y
        )

    def multiplied(name: str, y: Tensor, stride: int) -> Tensor:
        shortcut = prelu(state, f"{name}.activation1", y)
        shortcut = pooled(shortcut) if stride == 2 else shortcut
        return norm(state, f"{name}.norm2", layer(name, y, stride, 1) * shortcut) + shortcut

    y = norm(
        state,
        "feature.0.bn1",
        real(state, "feature.0.conv1", x, 2 if len(state["fc.bias"]) == 1000 else 1, 1),
    )
    for index in range(1, 14):
        name = f"feature.{index}"
        doubles = f"{name}.FFN_1.scale" in state
        stride = 2 if doubles and index > 1 else 1
        if index % 2:
            y = added(f"{name}.Attention", y, stride, 1)
        else:
            y = multiplied(f"{name}.Attention", y, stride)
        parts = ("FFN_1", "FFN_2") if doubles else ("FFN",)
        y = torch.cat([added(f"{name}.{part}", y, 1, 0) for part in parts], 1)
    return prelu(state, "prelu", y).mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


def birealnet18(state: State, x: Tensor) -> Tensor:
    """Bi-Real Net, or ReActNet or RBONN where the state dict has their shifts."""
    y = F.max_pool2d(norm(state, "bn1", real(state, "conv1", x, 2, 3)), 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for index in range(4):
            name, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            shifted = f"{name}.move0.bias" in state
            z = y + state[f"{name}.move0.bias"] if shifted else y
            conv = rbonn if f"{name}.binary_conv.scale_factor" in state else magnitudes
            z = norm(state, f"{name}.bn1", conv(state, f"{name}.binary_conv", z, stride, 1))
            if stride == 2:
                y = real(state, f"{name}.downsample.1", pooled(y), 1, 0)
                y = norm(state, f"{name}.downsample.2", y)
            y = z + y
            if shifted:
                y = prelu(state, f"{name}.prelu", y + state[f"{name}.move1.bias"])
                y = y + state[f"{name}.move2.bias"]
    return y.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
