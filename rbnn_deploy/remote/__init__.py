"""Runs a command of ours on another host, by ssh alone: nothing listens there."""

from rbnn_deploy.remote.host import RemoteHost
from rbnn_deploy.remote.install import installed_python

__all__ = ["RemoteHost", "installed_python"]
