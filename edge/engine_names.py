"""Names of engines and devices, for commands that offer them before they load any."""

# Of TFLite files, best first: the maintained one, the old one (32-bit Arm), the one that drags all
# of TensorFlow in.
TFLITE_ENGINES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
ONNX_ENGINES = ("onnxruntime",)
ENGINES = TFLITE_ENGINES + ONNX_ENGINES
DEVICES = ("cpu", "gpu", "cuda", "tensorrt", "coreml")
