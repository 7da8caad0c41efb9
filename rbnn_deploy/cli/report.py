"""`rbnn-deploy report`."""

from pathlib import Path
from typing import Annotated

import typer

from rbnn_deploy.cli.output import JsonFile, check_writable, give_result
from rbnn_deploy.json_schema import with_schema


def report(
    results: Annotated[
        list[Path], typer.Argument(help="JSON files of bench, compare and inspect, of one or many hosts.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .html file to write.")],
    json: JsonFile = None,
) -> None:
    """Show results in one HTML page that needs nothing else: hosts, times, agreement, networks."""
    from rbnn_deploy import api

    api.require("report", "matplotlib")
    from rbnn_deploy.reporting import read_results, write_page

    check_writable(output, *results)
    if json is not None:
        check_writable(json, output, *results)
    found = read_results(results)
    write_page(found, output)
    counts = {
        "benchmarks": len(found.benches),
        "comparisons": len(found.comparisons),
        "networks": len(found.networks),
    }
    text = f"wrote {output}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    give_result(text, with_schema("report", {"path": str(output), **counts}), json)
