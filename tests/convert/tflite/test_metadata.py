"""TFLite metadata, read back here and by the schema module of MediaPipe."""

from dataclasses import replace

import numpy as np
import pytest

from edge_genre.convert.pipeline import convert
from edge_genre.convert.tflite import flatbuffer
from edge_genre.convert.tflite.metadata import (
    NAME,
    AudioMetadata,
    check_metadata,
    read_metadata,
    with_metadata,
)
from edge_genre.convert.waveform import waveform_spec, with_front_end
from edge_genre.errors import ConversionError
from edge_genre.model.file import attach
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.models_on_the_fly import LABELS, SPEC
from tests.support.requirements import require_package
from tests.support.tflite_on_the_fly import tflite_graph

WAVEFORM = waveform_spec(SPEC)


def graph(samples: int = WAVEFORM.window_samples, classes: int = len(LABELS)) -> bytes:
    """A dense layer from samples to classes."""
    types = flatbuffer.schema()
    model, subgraph = types.ModelT(), types.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [subgraph], []
    model.buffers, subgraph.tensors = [types.BufferT()], []
    weights = np.ones((classes, samples), np.float32) / samples
    tensors = [
        flatbuffer.add_tensor(model, subgraph, "samples", (1, samples), 0),
        flatbuffer.add_tensor(model, subgraph, "weights", weights.shape, 0, weights),
        flatbuffer.add_tensor(model, subgraph, "scores", (1, classes), 0),
    ]
    dense = types.BuiltinOperator.FULLY_CONNECTED
    node = flatbuffer.new_operator(model, dense, [*tensors[:2], -1], tensors[2:], version=6)
    node.builtinOptionsType = types.BuiltinOptions.FullyConnectedOptions
    node.builtinOptions = types.FullyConnectedOptionsT()
    subgraph.operators = [node]
    subgraph.inputs, subgraph.outputs = np.array(tensors[:1]), np.array(tensors[2:])
    return flatbuffer.pack(model)


INFO = small.info(
    front_end=WAVEFORM, description="Größe: klein", license="Apache-2.0", version="0.3"
)


def test_what_is_written_is_read() -> None:
    content = attach(with_metadata(graph(), INFO), INFO)
    assert read_metadata(content) == AudioMetadata(
        name="small",
        description="Größe: klein",
        version="0.3",
        license="Apache-2.0",
        sample_rate=22_050,
        channels=1,
        labels="labels.txt",
    )
    check_metadata(content, INFO)
    assert read_metadata(graph()) is None


def test_texts_that_are_empty() -> None:
    found = read_metadata(with_metadata(graph(), small.info(front_end=WAVEFORM, name="")))
    assert found is not None
    assert (found.name, found.description, found.sample_rate) == ("", "", 22_050)


def test_another_reader_of_the_schema() -> None:
    schema = require_package("mediapipe.tasks.metadata.metadata_schema_py_generated")
    model = flatbuffer.parse(with_metadata(graph(), INFO))
    (entry,) = [each for each in model.metadata if each.name == NAME]
    buffer = bytes(model.buffers[entry.buffer].data)
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(buffer, 0)
    found = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(buffer, 0))
    assert (found.name, found.version, found.license) == (b"small", b"0.3", b"Apache-2.0")
    assert found.description.decode() == INFO.description
    assert found.minParserVersion == b"1.3.0"
    (subgraph,) = found.subgraphMetadata
    (source,), (result,) = subgraph.inputTensorMetadata, subgraph.outputTensorMetadata
    assert source.content.contentPropertiesType == schema.ContentProperties.AudioProperties
    properties = source.content.contentProperties
    assert (properties.sampleRate, properties.channels) == (22_050, 1)
    assert result.content.contentPropertiesType == schema.ContentProperties.FeatureProperties
    (labels,) = result.associatedFiles
    assert labels.name == b"labels.txt"
    assert labels.type == schema.AssociatedFileType.TENSOR_AXIS_LABELS


def test_writing_again_replaces() -> None:
    once = with_metadata(graph(), INFO)
    again = with_metadata(once, small.info(front_end=WAVEFORM, name="other"))
    assert read_metadata(again).name == "other"
    assert [each.name for each in flatbuffer.parse(again).metadata] == [NAME]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (graph(samples=16_000), "the graph takes 1 x 16000, but there are 22050 samples"),
        (graph(classes=4), "the graph gives 1 x 4, but there are 3 labels"),
    ],
)
def test_another_graph_than_is_described(content: bytes, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        with_metadata(content, INFO)


def test_a_graph_of_features() -> None:
    with pytest.raises(ConversionError, match="for graphs that take samples"):
        with_metadata(graph(), small.info())


@pytest.mark.parametrize(
    ("front_end", "message"),
    [
        (WAVEFORM.replace(sample_rate=16_000), "sample rate is 22050, expected 16000"),
        (SPEC, "takes samples at 22050 Hz, but its front end is log_mel"),
        (WAVEFORM.replace(window_seconds=2.0), "takes 1 x 22050, but there are 44100 samples"),
    ],
)
def test_a_source_whose_metadata_say_otherwise(front_end, message: str, tmp_path) -> None:
    """A waveform model of somebody else, converted with another spec than its own."""
    source = tmp_path / "theirs.tflite"
    source.write_bytes(with_metadata(graph(), INFO))
    with pytest.raises(ConversionError, match=message):
        convert(source, output=tmp_path, labels=LABELS, front_end=front_end)


def test_damaged_metadata() -> None:
    model = flatbuffer.parse(with_metadata(graph(), INFO))
    (entry,) = model.metadata
    model.buffers[entry.buffer].data = np.frombuffer(b"\x10\0\0\0M001\xff\xff", np.uint8)
    with pytest.raises(ConversionError, match="metadata are damaged"):
        read_metadata(flatbuffer.pack(model))


MANY = small.info(
    front_end=WAVEFORM, task=Task(kind="multi_label", noun="mood", thresholds=(0.3, 0.2, 0.6))
)


def test_many_labels_have_the_lowest_of_their_thresholds() -> None:
    found = read_metadata(with_metadata(graph(), MANY))
    assert found is not None
    assert found.threshold == pytest.approx(0.2)
    assert found.noun == "mood"
    schema = require_package("mediapipe.tasks.metadata.metadata_schema_py_generated")
    model = flatbuffer.parse(with_metadata(graph(), MANY))
    (entry,) = [each for each in model.metadata if each.name == NAME]
    buffer = bytes(model.buffers[entry.buffer].data)
    result = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(buffer, 0))
    (scores,) = result.subgraphMetadata[0].outputTensorMetadata
    (unit,) = scores.processUnits
    assert unit.optionsType == schema.ProcessUnitOptions.ScoreThresholdingOptions
    assert unit.options.globalScoreThreshold == pytest.approx(0.2)


def test_outputs_that_explain_are_described_behind_the_answer() -> None:
    info = replace(INFO, task=Task(explanations=("attention", "beat")))
    joined = with_front_end(
        tflite_graph(explanation="attention"), SPEC, task=Task(explanations=("attention",))
    )
    with pytest.raises(ConversionError, match="gives 1 x 3 and 1 x 22, but there are 3 labels"):
        with_metadata(joined, info)
    info = replace(INFO, task=Task(explanations=("attention",)))
    found = read_metadata(with_metadata(joined, info))
    assert found is not None
    assert found.explanations == ("attention",)
    assert found.threshold is None
