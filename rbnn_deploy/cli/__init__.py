"""The command line: `rbnn-deploy COMMAND`."""

from rbnn_deploy.cli.app import main

__all__ = ["main"]
