"""ONNX files: written from Keras and PyTorch, and quantized."""
