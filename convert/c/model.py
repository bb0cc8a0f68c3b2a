"""A model as C sources: its graph, its labels, its quantization, and how to run it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edge_genre.classifier import Classifier
from edge_genre.convert.c.code import array, comment, header, number, string
from edge_genre.convert.c.micro import (
    available,
    require_arena,
    require_micro,
    resolver_methods,
    smallest_arena,
)
from edge_genre.convert.c.tables import c_tables
from edge_genre.convert.outputs.edges import edges
from edge_genre.convert.tflite.flatbuffer import parse, schema
from edge_genre.convert.verify.graph_facts import multiply_accumulates
from edge_genre.engines.tensor import bare_name
from edge_genre.errors import ConversionError
from edge_genre.model.container import split
from edge_genre.task import GENRES, Task

HEADER, SOURCE, EXAMPLE = "edge_genre_model.h", "edge_genre_model.c", "edge_genre_micro.cc"
ALIGNMENT = 16
_TYPES = ("FLOAT32", "INT8")


def c_model(classifier: Classifier, *, arena: int | None = None) -> dict[str, str]:
    """C sources of a TFLite model for TFLite Micro.

    Where its interpreter is installed, the smallest arena is found and written down.

    Parameters
    ----------
    classifier : the model
    arena : bytes that the device has for TFLite Micro, if it is to be checked

    Returns
    -------
    The texts, by file name: the model as an aligned constant array with its size, labels (with
    thresholds, a background, where it has them) and quantization; the headers of `c_tables` if its
    front end has them; and an example in C++ that runs it

    Raises
    ------
    ConversionError
        It is no TFLite model or one with several inputs, TFLite Micro does not run it, or the arena
        is too small for it.
    """
    model = classifier.model
    require_one_input(classifier)
    if model.kind != "tflite":
        raise ConversionError(
            f"{model.path}: is ONNX, and TFLite Micro runs TFLite: edge-genre convert "
            f"{model.path} --target micro --quantize int8 --calibrate MUSIC"
        )
    try:
        require_micro(model.content)
        needed = smallest_arena(model.content) if available() else None
        if arena is not None:
            if needed is None:
                raise ConversionError("checking an arena needs a package: pip install tflite-micro")
            require_arena(arena, needed)
    except ConversionError as error:
        raise ConversionError(f"{model.path}: {error}") from None
    graph, _ = split(model.content)
    tables: dict[str, str] = {}
    # A kind that C knows is computed there, or it is an error; of others the program has features.
    if type(classifier.spec)().no_c is None:
        tables = c_tables(classifier.spec)
    name = " ".join((classifier.info.name or model.path.stem, classifier.info.version)).strip()
    return {
        HEADER: _header(classifier, graph, name, needed, arena or needed),
        SOURCE: _source(classifier, graph, name),
        EXAMPLE: _example(classifier, name),
        **tables,
    }


def require_one_input(classifier: Classifier) -> None:
    """Refuse a model with several inputs, for which there is no front end in C.

    Raises
    ------
    ConversionError
        It is one.
    """
    if len(classifier.info.inputs) > 1:
        names = " and ".join(each.name for each in classifier.info.inputs)
        raise ConversionError(
            f"{classifier.model.path}: takes {names}, and the C export is for models with one input"
        )


def _header(
    classifier: Classifier, graph: bytes, name: str, needed: int | None, arena: int | None
) -> str:
    macs = multiply_accumulates(graph)
    lines = [
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define EG_MODEL_BYTES {len(graph)}",
        f"#define EG_CLASSES {len(classifier.labels)}",
        f"#define EG_INPUT_VALUES {math.prod(classifier.spec.shape)}",
    ]
    ends = _ends(graph, _answer(graph, classifier.task))
    for side, (kind, scale, zero_point) in zip(("INPUT", "OUTPUT"), ends, strict=True):
        quantized = int(kind == "INT8")
        lines += [
            "",
            comment(f"{side.capitalize()}: {_MEANING[quantized]}."),
            f"#define EG_{side}_IS_INT8 {quantized}",
        ]
        if quantized:
            lines.append(f"#define EG_{side}_SCALE {number(np.float32(scale))}")
            lines.append(f"#define EG_{side}_ZERO_POINT ({zero_point})")
    task, operator = classifier.task, classifier.task.operator(classifier.info.output)
    lines += ["", comment(_OUTPUTS[task.exclusive][classifier.info.output])]
    if task.background is not None:
        lines += [
            comment(f"The label that is no answer: {task.background}."),
            f"#define EG_BACKGROUND {classifier.labels.index(task.background)}",
        ]
    if macs is not None:
        lines += ["", comment(f"A window is {macs:,} multiply-accumulates.")]
    if arena is None:
        lines += [
            "",
            comment(
                "Define EG_ARENA_BYTES: it was not measured, since tflite-micro was not installed."
            ),
        ]
    else:
        about = (
            "Bytes. TFLite Micro needs "
            + ("so many" if needed == arena else f"{needed:,}")
            + " with pointers of 64 bits and portable kernels."
        )
        lines += ["", comment(about)]
        lines += ["#ifndef EG_ARENA_BYTES", f"#define EG_ARENA_BYTES {arena}", "#endif"]
    lines += [
        "",
        comment(f"The TFLite graph, aligned to {ALIGNMENT} bytes."),
        "extern const unsigned char eg_model[EG_MODEL_BYTES];",
        "extern const unsigned int eg_model_bytes;",
        comment(f"{_of(task)}In the order of the outputs, in UTF-8."),
        "extern const char *const eg_labels[EG_CLASSES];",
        *([] if task.exclusive else _thresholds_declared(task.noun, operator)),
        "",
        comment(f"In {EXAMPLE}. Both return 0 if they fail."),
        "int eg_begin(void);",
        "int eg_classify(const float *features, float *outputs);",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
    ]
    return header(HEADER, f"Model {name}.", lines)


_MEANING = ("floats", "8 bits; a real value is (value - ZERO_POINT) * SCALE")
# By whether the probabilities of all labels add up to 1.
_OUTPUTS = {
    True: {
        "probabilities": "The outputs are probabilities.",
        "logits": "The outputs are logits: a softmax makes probabilities of them.",
        "log_probabilities": "The outputs are logarithms of probabilities.",
    },
    False: {
        "probabilities": "The outputs are probabilities, each of its own label.",
        "logits": "The outputs are logits: a sigmoid makes a probability of each.",
        "log_probabilities": "The outputs are logarithms of probabilities, each of its own label.",
    },
}


def _of(task: Task) -> str:
    """What a label is, where it is no genre."""
    return "" if task.noun == GENRES.noun else f"A {task.noun} each. "


def _thresholds_declared(noun: str, operator: str | None) -> list[str]:
    unit = "" if operator is None else ", in the outputs' own unit"
    return [
        comment(f"A {noun} holds where its output is this or more{unit}."),
        "extern const float eg_thresholds[EG_CLASSES];",
    ]


def _thresholds(classifier: Classifier) -> list[str]:
    values = edges(classifier.task, classifier.info.output)
    return [
        "",
        "const float eg_thresholds[EG_CLASSES] = {",
        *(f"    {number(np.float32(each))}," for each in values),
        "};",
    ]


def _source(classifier: Classifier, graph: bytes, name: str) -> str:
    content = array("eg_model", np.frombuffer(graph, np.uint8), prefix="const")
    content[0] = "EG_ALIGNED const unsigned char eg_model[EG_MODEL_BYTES] = {"
    lines = [
        comment(f"Model {name}. Made by edge-genre export."),
        f'#include "{HEADER}"',
        "",
        "#if defined(__GNUC__) || defined(__ICCARM__)",
        f"#define EG_ALIGNED __attribute__((aligned({ALIGNMENT})))",
        "#elif defined(_MSC_VER)",
        f"#define EG_ALIGNED __declspec(align({ALIGNMENT}))",
        "#else",
        f'#error "say how this compiler aligns an array to {ALIGNMENT} bytes"',
        "#endif",
        "",
        "const unsigned int eg_model_bytes = EG_MODEL_BYTES;",
        "",
        "const char *const eg_labels[EG_CLASSES] = {",
        *(f"    {string(label)}," for label in classifier.labels),
        "};",
        *([] if classifier.task.exclusive else _thresholds(classifier)),
        "",
        *content,
    ]
    return "\n".join(lines) + "\n"


def _answer(graph: bytes, task: Task) -> int:
    """The number of the output that is the answer, and no explanation of it."""
    main = parse(graph).subgraphs[0]
    names = [bare_name(main.tensors[index].name.decode()) for index in main.outputs]
    return next(number for number, name in enumerate(names) if name not in task.explanations)


def _ends(graph: bytes, answer: int) -> list[tuple[str, float, int]]:
    """Type, scale and zero point of the input and of the output."""
    model = parse(graph)
    main = model.subgraphs[0]
    names = {value: name for name, value in vars(schema().TensorType).items()}
    ends = []
    for index in (main.inputs[0], main.outputs[answer]):
        tensor: Any = main.tensors[index]
        kind = names[tensor.type]
        if kind not in _TYPES:
            raise ConversionError(f"an input or output is {kind.lower()}, expected float32 or int8")
        if kind == "INT8":
            found = tensor.quantization
            ends.append((kind, float(found.scale[0]), int(found.zeroPoint[0])))
        else:
            ends.append((kind, 1.0, 0))
    return ends


def _example(classifier: Classifier, name: str) -> str:
    methods = resolver_methods(classifier.model.content)
    adds = " ||\n        ".join(f"resolver.{method}() != kTfLiteOk" for method in methods)
    return _EXAMPLE.format(
        about=comment(f"Model {name} in TFLite Micro. Made by edge-genre export."),
        header=HEADER,
        count=len(methods),
        adds=adds,
        answer=_answer(split(classifier.model.content)[0], classifier.task),
    )


_EXAMPLE = """\
{about}
#include <math.h>
#include <stdint.h>

#include "{header}"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{

alignas(16) uint8_t arena[EG_ARENA_BYTES];
tflite::MicroMutableOpResolver<{count}> resolver;
tflite::MicroInterpreter *interpreter = nullptr;

}}  // namespace

extern "C" int eg_begin(void) {{
    if (interpreter != nullptr)
        return 1;
    if ({adds})
        return 0;
    static tflite::MicroInterpreter made(tflite::GetModel(eg_model), resolver, arena, sizeof arena);
    if (made.AllocateTensors() != kTfLiteOk)  // the arena is too small
        return 0;
    interpreter = &made;
    return 1;
}}

extern "C" int eg_classify(const float *features, float *outputs) {{
    if (interpreter == nullptr)
        return 0;
    TfLiteTensor *input = interpreter->input(0);
    for (int i = 0; i < EG_INPUT_VALUES; i++) {{
#if EG_INPUT_IS_INT8
        const float steps = roundf(features[i] / EG_INPUT_SCALE) + EG_INPUT_ZERO_POINT;
        input->data.int8[i] = (int8_t)(steps < -128 ? -128 : steps > 127 ? 127 : steps);
#else
        input->data.f[i] = features[i];
#endif
    }}
    if (interpreter->Invoke() != kTfLiteOk)
        return 0;
    const TfLiteTensor *output = interpreter->output({answer});
    for (int i = 0; i < EG_CLASSES; i++) {{
#if EG_OUTPUT_IS_INT8
        outputs[i] = (float)(output->data.int8[i] - EG_OUTPUT_ZERO_POINT) * EG_OUTPUT_SCALE;
#else
        outputs[i] = output->data.f[i];
#endif
    }}
    return 1;
}}
"""
