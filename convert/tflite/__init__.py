"""TFLite files: written from Keras, quantized, described, and read as flatbuffers."""
