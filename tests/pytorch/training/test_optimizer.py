import torch
from support.training import SHORT, digits_network, own_network

from rbnn_deploy.pytorch.layers import binary_layers
from rbnn_deploy.pytorch.training.step.optimizer import (
    GROUPS,
    build_optimizer,
    group_parameters,
    set_learning_rate,
)


def test_every_parameter_is_in_one_group():
    module = digits_network()
    module.again = module.conv1  # a shared layer
    groups = group_parameters(module)
    assert tuple(groups) == GROUPS
    found = [parameter for group in groups.values() for parameter in group]
    assert len(found) == len(set(found))
    assert set(found) == set(module.parameters())


def test_groups_are_what_they_are_called():
    module = own_network()
    ((_, layer),) = binary_layers(module)
    groups = group_parameters(module)
    assert groups["binary"] == [layer.weight]
    assert groups["angle"] == [layer.rotate]
    assert groups["scale"] == [layer.alpha]
    assert groups["norm"] == [module[1].weight, module[1].bias]
    assert groups["float"] == [module[4].weight, module[4].bias]


def test_the_papers_optimizer_treats_all_alike():
    modules = own_network(), own_network()
    optimizers = [
        build_optimizer(modules[0], SHORT),
        torch.optim.SGD(modules[1].parameters(), 0.1, momentum=0.9, weight_decay=1e-4),
    ]
    generator = torch.Generator().manual_seed(0)
    for rate in (0.1, 0.02):
        set_learning_rate(optimizers[0], rate)
        optimizers[1].param_groups[0]["lr"] = rate
        for first, second in zip(*(module.parameters() for module in modules), strict=True):
            first.grad = torch.randn(first.shape, generator=generator)
            second.grad = first.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for first, second in zip(*(module.parameters() for module in modules), strict=True):
        assert torch.equal(first, second)


def test_a_groups_factor_multiplies_the_schedule():
    optimizer = build_optimizer(own_network(), SHORT)
    optimizer.param_groups[1]["factor"] = 0.5
    set_learning_rate(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1, 0.2, 0.2, 0.2]
