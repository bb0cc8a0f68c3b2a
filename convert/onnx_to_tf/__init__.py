"""An ONNX graph as a TensorFlow function, on its way to TFLite."""
