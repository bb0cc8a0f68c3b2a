"""Names that options take, for commands that offer them before NumPy or an engine is loaded.

Each tuple is the one list of its names: who checks a name reads it here.
"""

# Of TFLite files, best first: the maintained one, the old one (32-bit Arm), the one that drags all
# of TensorFlow in.
TFLITE_ENGINES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
ONNX_ENGINES = ("onnxruntime",)
ENGINES = TFLITE_ENGINES + ONNX_ENGINES
DEVICES = ("cpu", "gpu", "cuda", "tensorrt", "coreml")

# What a model's outputs are.
OUTPUTS = ("probabilities", "logits", "log_probabilities")
# What they mean, as options have it: the kinds of `edge_genre.task`.
TASKS = ("single-label", "multi-label")
# Labels of data sets, in the order that nearly everybody trains with: by name.
LABEL_SETS = {
    "gtzan": "blues classical country disco hiphop jazz metal pop reggae rock".split(),
    "fma-small": "Electronic Experimental Folk Hip-Hop Instrumental International Pop Rock".split(),
}
# How the windows of a song decide together.
VOTES = ("mean", "majority")
# Sample formats of raw PCM.
PCM_FORMATS = ("s16le", "s32le", "f32le")

# What a conversion makes, how it stores weights, and what has to run it.
SUFFIXES = ("tflite", "onnx")
QUANTIZATIONS = ("fp32", "fp16", "dynamic", "int8")
TARGETS = ("litert", "tflite-runtime", "micro")
# How golden vectors are written.
GOLDEN_FORMATS = ("npy", "json", "c")

# Recipes of `edge-genre train`; parts of a features file, and which numbers stand for them.
RECIPES = ("songnet", "songnet-30s", "tiny", "five-channel")
SPLITS = ("train", "validation", "all")
