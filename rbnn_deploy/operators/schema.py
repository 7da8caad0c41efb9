"""An operator's table as ONNX's own description of an operator."""

import onnx

from rbnn_deploy.operators.domain import DOMAIN, DOMAIN_VERSION
from rbnn_deploy.operators.fields import Input, Operator


def operator_schema(
    operator: Operator, domain: str = DOMAIN, version: int = DOMAIN_VERSION
) -> onnx.defs.OpSchema:
    """Builds an operator's schema for tools that ask for one; all attributes are required.

    Args:
        operator: Its table.
        domain: Of the operator; the exporter has a channels-first form of its own domain.
        version: Of the domain.
    """
    return onnx.defs.OpSchema(
        operator.name,
        domain,
        version,
        doc=f"See docs/ops/{operator.name}.md.",
        inputs=[_parameter(value) for value in operator.inputs],
        outputs=[
            onnx.defs.OpSchema.FormalParameter("Y", f"tensor({operator.output_dtype})", operator.output)
        ],
        attributes=[
            onnx.defs.OpSchema.Attribute(
                field.name, getattr(onnx.defs.OpSchema.AttrType, field.kind), field.meaning
            )
            for field in operator.attributes.fields()
        ],
    )


def _parameter(value: Input) -> onnx.defs.OpSchema.FormalParameter:
    option = onnx.defs.OpSchema.FormalParameterOption
    return onnx.defs.OpSchema.FormalParameter(
        value.name,
        f"tensor({value.dtype})",
        value.shape,
        param_option=option.Optional if value.optional else option.Single,
    )
