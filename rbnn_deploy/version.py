"""The version of the installed package; pyproject.toml defines it."""

from importlib.metadata import version

__version__ = version("rbnn-deploy")
