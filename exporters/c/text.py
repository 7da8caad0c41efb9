"""The text of the C files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rbnn_deploy.exporters.c.arena import Arena
from rbnn_deploy.exporters.c.lines import lines_of
from rbnn_deploy.exporters.c.names import comment_text, string_literal
from rbnn_deploy.exporters.c.program import ELEMENT_BYTES, Buffer, Places, Program, Table
from rbnn_deploy.exporters.c.structures import float_constant
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.version import __version__

KERNELS = Path(__file__).parent / "kernels"
# The files that a kernel stands on, in the order in which C needs them; all others stand alone.
_SUMS = ("bits", "count_mismatches", "binary_windows", "sums_of_products")
_GENERAL = (*_SUMS, "pad_with_ones", "activation", "general_windows")
NEEDS = {
    "binary_conv2d": (*_SUMS, "activation", "finish"),
    "binary_conv2d_by_fours": (*_SUMS, "activation", "finish", "binary_conv2d", "mismatches_of_fours"),
    "general_binary_conv2d": _GENERAL,
    "general_binary_conv2d_by_fours": (*_GENERAL, "mismatches_of_fours"),
    "quant_conv2d": ("activation", "finish"),
    "quant_conv2d_map": ("activation", "finish", "quant_conv2d"),
    "packed_binary_conv2d": (*_SUMS, "pad_with_ones"),
    "matrix_product": ("row_times_columns",),
    "conv2d": ("row_times_columns",),
    "reduce_mean": ("reduce_sum",),
}


def model_h(program: Program, metadata: ModelMetadata | None, source: str) -> str:
    """Writes the interface."""
    C, H, W = program.input_shape
    lines = [
        f"/* {comment_text(source)} as C, made by rbnn-deploy {__version__}. */",
        "#ifndef MODEL_H",
        "#define MODEL_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define MODEL_CHANNELS {C}",
        f"#define MODEL_HEIGHT {H}",
        f"#define MODEL_WIDTH {W}",
        f"#define MODEL_INPUTS {C * H * W}",
        f"#define MODEL_OUTPUTS {program.output.count}",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "/* Runs the network on one image.",
        "   input: [MODEL_CHANNELS][MODEL_HEIGHT][MODEL_WIDTH], normalised. output: [MODEL_OUTPUTS].",
        "   They must not overlap. Returns 0, or -1 for a null pointer. Memory is static: call it from one",
        "   thread at a time. */",
        "int model_run(const float* input, float* output);",
        "",
    ]
    if metadata is not None:
        lines += [
            "/* The same from pixels: [MODEL_HEIGHT][MODEL_WIDTH][MODEL_CHANNELS], 0 to 255. */",
            "int model_run_image(const uint8_t* pixels, float* output);",
            "",
        ]
    if class_names(program, metadata):
        lines += ["/* The name of each output, UTF-8. */", "extern const char* const model_classes[];", ""]
    lines += ["#ifdef __cplusplus", "}", "#endif", "", "#endif", ""]
    return "\n".join(lines)


def kernels_h(program: Program) -> str:
    """Writes the functions that this network needs, and no others."""
    names: list[str] = ["common"]
    for step in program.steps:
        needed = (*step.also, *NEEDS.get(step.kernel, ()), step.kernel)
        names += [name for name in needed if name not in names]
    parts = [(KERNELS / f"{name}.h").read_text() for name in names]
    return "\n".join(["#ifndef KERNELS_H\n#define KERNELS_H\n", *parts, "#endif\n"])


_WEIGHTS_H = "#ifndef WEIGHTS_H\n#define WEIGHTS_H\n\n#include <stdint.h>\n"


def weights_h(program: Program) -> str:
    """Declares the constant arrays."""
    tables = program.tables.values()
    declared = [f"extern const {t.element} {t.name}[{t.values.size}];" for t in tables]
    return "\n".join(
        ["#ifndef WEIGHTS_H\n#define WEIGHTS_H\n\n#include <stdint.h>\n", *declared, "\n#endif\n"]
    )


def weights_c(program: Program) -> str:
    """Defines the constant arrays."""
    parts = ['#include "weights.h"\n\n#include <math.h>\n']
    for table in program.tables.values():
        parts.append(f"/* {table.comment} */")
        parts.append(f"const {table.element} {table.name}[{table.values.size}] = {{")
        parts += _numbers(table)
        parts.append("};\n")
    return "\n".join(parts)


def model_c(program: Program, floats: Arena, words: Arena, metadata: ModelMetadata | None) -> str:
    """Writes the network: its layers' descriptions, and one call per layer."""
    places: dict[Buffer, str] = {program.input: "input", program.output: "output"}
    places |= {buffer: f"floats + {offset}" for buffer, offset in floats.offsets.items()}
    places |= {buffer: f"words + {offset}" for buffer, offset in words.offsets.items()}
    parts = ['#include "model.h"\n', '#include "kernels.h"\n#include "weights.h"\n']
    parts.append("/* Memory of all layers. Each call below says where in it its maps lie. */")
    for name, element, arena in (("floats", "float", floats), ("words", "uint32_t", words)):
        if arena.count:
            parts.append(f"static {element} {name}[{arena.count}]; /* {arena.count * ELEMENT_BYTES} bytes */")
    parts.append(
        "\n/* Called with each value once it is complete; define it to watch the network at work. */\n"
        "#ifndef MODEL_WATCH\n#define MODEL_WATCH(name, values, count)\n#endif\n"
    )
    parts += [f"{step.layer}\n" for step in program.steps if step.layer]
    parts += ["int model_run(const float* input, float* output)", "{"]
    parts += ["    if (input == NULL || output == NULL) {", "        return -1;", "    }"]
    parts += list(_calls(program, places))
    parts += ["    return 0;", "}", ""]
    if metadata is not None:
        parts.append(_image_entry(program, metadata))
    names = class_names(program, metadata)
    if names:
        listed = ",\n".join(f"    {string_literal(name)}" for name in names)
        parts.append(f"const char* const model_classes[] = {{\n{listed}}};\n")
    return "\n".join(parts)


def class_names(program: Program, metadata: ModelMetadata | None) -> Sequence[str]:
    """Returns one name per output, or none."""
    names = metadata.class_names if metadata is not None else None
    return names if names is not None and len(names) == program.output.count else ()


def _calls(program: Program, places: Places) -> Iterator[str]:
    for number, step in enumerate(program.steps, start=1):
        yield f"\n    /* {number}. {step.comment} */"
        yield f"    {step.call(places)}"
        if step.result is not None:
            buffer = step.writes[0]
            yield f"    MODEL_WATCH({string_literal(step.result)}, {places[buffer]}, {buffer.count});"
    yield ""


def _image_entry(program: Program, metadata: ModelMetadata) -> str:
    C = program.input_shape[0]
    mean, std = (
        ", ".join(float_constant(v) for v in values or (default,) * C)
        for values, default in ((metadata.mean, 0.0), (metadata.std, 1.0))
    )
    return f"""\
int model_run_image(const uint8_t* pixels, float* output)
{{
    static const float mean[MODEL_CHANNELS] = {{{mean}}};
    static const float deviation[MODEL_CHANNELS] = {{{std}}};
    static float input[MODEL_INPUTS]; /* no memory if nothing calls this function and the linker drops it */
    float* to = input;
    int c, pixel;
    if (pixels == NULL) {{
        return -1;
    }}
    for (c = 0; c < MODEL_CHANNELS; c++) {{
        for (pixel = 0; pixel < MODEL_HEIGHT * MODEL_WIDTH; pixel++) {{
            float x = (float)pixels[pixel * MODEL_CHANNELS + c] / 255.0f;
            x = x - mean[c];
            *to++ = x / deviation[c];
        }}
    }}
    return model_run(input, output);
}}
"""


def _numbers(table: Table) -> Iterator[str]:
    if table.element == "float":
        return lines_of(map(float_constant, table.values))
    if table.element in ("int8_t", "int32_t"):
        return lines_of(map(str, table.values.tolist()))
    return lines_of(f"0x{value:08X}" for value in table.values.tolist())
