"""One page from the JSON results of one or many hosts."""

from rbnn_deploy.reporting.page import write_page
from rbnn_deploy.reporting.results import Results, read_results

__all__ = ["Results", "read_results", "write_page"]
