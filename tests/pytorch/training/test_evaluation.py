"""What accuracy is computed with."""

import torch
from torch import nn

from rbnn_deploy.pytorch.training.run.evaluation import count_right


class _Recorder(nn.Module):
    """Names class 1 for every image, and remembers whether cuDNN could have used TensorFloat-32."""

    def __init__(self):
        super().__init__()
        self.allowed = []

    def forward(self, x):
        self.allowed.append(torch.backends.cudnn.allow_tf32)
        return torch.tensor([[0.0, 2.0, 1.0]]).expand(len(x), 3)


def test_it_counts_the_images_whose_class_is_likeliest():
    labels = torch.tensor([1, 1, 0, 2])
    batches = [(torch.zeros(3, 1), labels[:3]), (torch.zeros(1, 1), labels[3:])]
    counts = count_right(_Recorder(), batches, torch.device("cpu"))
    assert counts.tolist() == [2, 4, 4, 3]  # all of the three classes are among the five likeliest


def test_float32_is_whole_while_it_counts_and_only_then(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    recorder = _Recorder()
    count_right(recorder, [(torch.zeros(1, 1), torch.ones(1, dtype=torch.int64))] * 2, torch.device("cpu"))
    assert recorder.allowed == [False, False]
    assert torch.backends.cudnn.allow_tf32
