"""BinaryNet's VGG for 32 x 32 images; attribute names are the keys of its checkpoints."""

from collections.abc import Iterator

from torch import Tensor, nn

from rbnn_deploy.pytorch.methods import BinarizeConv2d, BinarizeLinear, SignWeightConv2d

WIDTHS = (384, 384, 768, 768, 1536, 512)
SIZE = 4  # of the last map
FEATURES = 1024


class BinaryNetVgg(nn.Module):
    """Six convolutions and three linear layers; all but the first are binary.

    The LogSoftmax of the published code is left out: it changes no class.

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features())
        self.classifier = nn.Sequential(
            BinarizeLinear(WIDTHS[-1] * SIZE**2, FEATURES, SIZE),
            nn.BatchNorm2d(FEATURES),  # over maps of one pixel, as the published BatchNorm1d over features
            nn.Hardtanh(),
            BinarizeLinear(FEATURES, FEATURES),
            nn.BatchNorm2d(FEATURES),
            nn.Hardtanh(),
            BinarizeLinear(FEATURES, num_classes),
            nn.BatchNorm2d(num_classes, affine=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 32, 32] to logits [N, num_classes]."""
        return self.classifier(self.features(x)).flatten(1)  # type: ignore[no-any-return]


def _features() -> Iterator[nn.Module]:
    inputs = 3
    for index, outputs in enumerate(WIDTHS):
        layer = SignWeightConv2d if index == 0 else BinarizeConv2d
        yield layer(inputs, outputs, kernel_size=3, padding=1, bias=True)
        if index % 2:
            yield nn.MaxPool2d(kernel_size=2, stride=2)
        yield nn.BatchNorm2d(outputs)
        yield nn.Hardtanh()
        inputs = outputs
