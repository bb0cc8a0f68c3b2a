"""Turn trained models into small files that run on a device.

This package is what a desktop runs; a device never imports it. Each module is one step and is
imported by name, so that ``import edge_genre.convert`` stays free of TensorFlow:

- ``tflite``: ``keras_to_tflite``, a Keras model as a TFLite file.
- ``onnx``: ``keras_to_onnx``, a Keras model as an ONNX file.
- ``parity``: ``compare``, how far a converted model is from the one it was made from.
- ``gru``: GRU layers in a form that small engines run well.
- ``keras_models``: what both writers ask of a Keras model, and how they copy it.
"""
