"""The plan of memory: no two maps that are needed at once share a place, and little room is lost."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.generated_c import write_c

from rbnn_deploy.exporters.c import CExport
from rbnn_deploy.exporters.c.arena import plan_arena
from rbnn_deploy.exporters.c.program import Buffer, Program, Step
from rbnn_deploy.models import EMBEDDED_MODEL

END = Buffer("end", "uint32_t", 1)


def step(reads: list[Buffer], writes: list[Buffer], in_place: Buffer | None = None) -> Step:
    return Step("", lambda _: "", tuple(reads), tuple(writes), "", in_place)


def program(steps: list[Step]) -> Program:
    return Program(Buffer("input", "float", 1), Buffer("output", "float", 1), (1, 1, 1), steps)


def check(plan: Program) -> None:
    """Fills each buffer with its own mark in the order of the calls; what is read must be whole."""
    for element in ("float", "uint32_t"):
        arena = plan_arena(plan, element)
        memory = np.zeros(arena.count, np.int64)
        marks: dict[Buffer, int] = {}
        for number, call in enumerate(plan.steps, start=1):
            for buffer in call.reads:
                if buffer in arena.offsets:
                    own = memory[arena.offsets[buffer] :][: buffer.count]
                    assert (own == marks[buffer]).all(), buffer.name
            for index, buffer in enumerate(call.writes):
                if buffer in arena.offsets:
                    marks[buffer] = marks.get(buffer, number * 10 + index)
                    memory[arena.offsets[buffer] :][: buffer.count] = marks[buffer]


def test_a_network(tmp_path: Path) -> None:
    result: CExport = write_c(EMBEDDED_MODEL, tmp_path)
    check(result.program)
    assert onnx.load(EMBEDDED_MODEL).graph.node[0].op_type == "Conv"


@pytest.mark.parametrize("seed", range(50))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps: list[Step] = []
    alive = [Buffer("first", "float", 5)]
    steps.append(step([], [alive[0]]))
    for number in range(30):
        reads = [alive[i] for i in rng.integers(0, len(alive), rng.integers(1, 3))]
        size = reads[0].count if rng.random() < 0.5 else int(rng.integers(1, 20))
        new = Buffer(f"b{number}", "float", size)
        scratch = Buffer(f"s{number}", "float", int(rng.integers(1, 4)))
        place = reads[0] if size <= reads[0].count and (len(reads) == 1 or reads[1] is not reads[0]) else None
        steps.append(step(reads, [new, scratch], place))
        alive = [*alive[-3:], new]
    check(program(steps))


def test_a_smaller_map_in_place_frees_the_rest() -> None:
    """Big, then its subset in place, then a second map: the second fits behind the subset."""
    big, part, second = (
        Buffer(name, "float", size) for name, size in (("big", 64), ("part", 16), ("two", 40))
    )
    plan = program([step([], [big]), step([big], [part], big), step([part], [second]), step([second], [END])])
    assert plan_arena(plan, "float").count == 64
    check(plan)


def test_a_value_that_is_read_later_is_not_overwritten() -> None:
    a, b = Buffer("a", "float", 8), Buffer("b", "float", 8)
    plan = program([step([], [a]), step([a], [b], a), step([a, b], [END])])
    assert plan_arena(plan, "float").count == 16
    check(plan)
