"""A model's cost on a device, before it runs there: storage, memory and a range of its time."""

from rbnn_deploy.estimating.devices import DEVICES, Device, find_devices
from rbnn_deploy.estimating.estimate import Estimate, Estimates, estimate

__all__ = ["DEVICES", "Device", "Estimate", "Estimates", "estimate", "find_devices"]
